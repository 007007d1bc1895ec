// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe"
)

// serverEnv is the environment variable that makes the test binary the server. So the CPU time of this process is that of the
// checks alone.
const serverEnv = "HEALTHCHECK_BENCH_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		benchServer()
		return
	}
	if port := os.Getenv(starvedVar); port != "" {
		starvedChild(port)
		return
	}
	os.Exit(m.Run())
}

// benchServer answers on loopback until its standard input ends.
func benchServer() {
	l, err := net.Listen("tcp4", "0.0.0.0:0") // all of 127.0.0.0/8
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			if n, _ := conn.Read(make([]byte, 1024)); n > 0 {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nall is fine")
			}
		}()
	}
}

// startServer starts that server, and returns its address, which is one of many, and its process.
func startServer(t testing.TB) (netip.AddrPort, *os.Process) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(loopback(0), netip.MustParseAddrPort(strings.TrimSpace(line)).Port()), cmd.Process
}

// loopback returns the address of a target, one of many that lead to the same server.
func loopback(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}) }

// cpu returns the CPU time of this process so far, the kernel's work for it included.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkProbe is the CPU time of one check after another of a server in another process.
func BenchmarkProbe(b *testing.B) {
	for _, typ := range []healthcheck.Type{healthcheck.TCP, healthcheck.HTTP} {
		b.Run(typ.String(), func(b *testing.B) {
			p := probe.New()
			addr, _ := startServer(b)
			t := probetest.HTTPTarget(addr, 5*time.Second)
			t.Config.Type = typ
			b.ReportAllocs()
			before := cpu()
			for b.Loop() {
				ctx, cancel := context.WithTimeout(context.Background(), t.Config.Timeout)
				if got := p.Probe(ctx, &t); got.Outcome != healthcheck.Passed {
					b.Fatalf("%+v", got)
				}
				cancel()
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/check")
		})
	}
}

// resident returns the memory of this process, in bytes.
func resident(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return float64(pages * os.Getpagesize())
}

// BenchmarkRunner checks one server under 10,000 addresses, each every 5 s, for 10 s: the schedule's share included.
func BenchmarkRunner(b *testing.B) {
	for _, typ := range []healthcheck.Type{healthcheck.TCP, healthcheck.HTTP} {
		b.Run(typ.String(), func(b *testing.B) {
			addr, _ := startServer(b)
			targets := make([]healthcheck.Target, 10_000)
			for i := range targets {
				targets[i] = probetest.HTTPTarget(netip.AddrPortFrom(loopback(i), addr.Port()), time.Second)
				targets[i].ID = fmt.Sprint(i)
				targets[i].Config.Type, targets[i].Config.Interval = typ, 5*time.Second
			}
			for b.Loop() {
				r := New(Options{})
				r.Set(targets)
				before := cpu()
				ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
				_ = r.Run(ctx)
				cancel()
				s := r.Stats()
				b.ReportMetric(float64((cpu()-before).Microseconds())/float64(s.Probes), "cpu-µs/check")
				b.ReportMetric(float64(s.Probes)/10, "checks/s")
				b.ReportMetric(float64(s.StartedLate), "late")
				b.ReportMetric(float64(s.Failed), "failed")
				b.ReportMetric(resident(b)/1e6, "MB")
			}
		})
	}
}

// BenchmarkIdleTargets is the memory of 10,000 targets between their probes.
func BenchmarkIdleTargets(b *testing.B) {
	const n = 10_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		before := heap()
		r := New(Options{})
		targets := make([]healthcheck.Target, n)
		for i := range targets {
			targets[i] = probetest.HTTPTarget(netip.AddrPortFrom(loopback(i), 80), time.Second)
			targets[i].ID = fmt.Sprintf("service-%d/192.0.2.%d:80", i/10, i)
		}
		r.Set(targets)
		targets = nil
		r.begin(nil)
		b.ReportMetric(float64(heap()-before)/n, "bytes/target")
		runtime.KeepAlive(r)
	}
}

// BenchmarkSet is the time of a Set of 10,000 targets of which one has changed.
func BenchmarkSet(b *testing.B) {
	targets := make([]healthcheck.Target, 10_000)
	for i := range targets {
		targets[i] = probetest.HTTPTarget(netip.AddrPortFrom(loopback(i), 80), time.Second)
		targets[i].ID = fmt.Sprintf("service-%d/192.0.2.%d:80", i/10, i)
	}
	r := New(Options{})
	r.Set(targets)
	r.begin(nil)
	r.poller = nil
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		targets[5000].Config.Fall = targets[5000].Config.Fall%5 + 1
		r.Set(targets)
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/set")
}
