// SPDX-License-Identifier: Apache-2.0

package epoll

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// launch begins a probe whose owner is the target's ID.
func launch(g *Engine, t healthcheck.Target, now time.Time) (func(), bool) {
	return g.Launch(t.ID, &t, now)
}

func startEngine(t *testing.T) *Engine {
	t.Helper()
	g, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// collect waits until n probes have ended.
func (g *Engine) collect(n int) (all []Ended) {
	for end := time.Now().Add(20 * time.Second); len(all) < n && time.Now().Before(end); {
		ended, _ := g.Wait(time.Second, 0)
		all = append(all, ended...)
	}
	return all
}

func TestWhatAnEngineCarries(t *testing.T) {
	change := func(typ healthcheck.Type, f func(*healthcheck.Config)) healthcheck.Config {
		c := healthcheck.DefaultConfig(typ)
		f(&c)
		return c
	}
	for _, tt := range []struct {
		name string
		c    healthcheck.Config
		want bool
	}{
		{"tcp", healthcheck.DefaultConfig(healthcheck.TCP), true},
		{"http", healthcheck.DefaultConfig(healthcheck.HTTP), true},
		{"http with a request of one's own", change(healthcheck.HTTP, func(c *healthcheck.Config) {
			c.Version, c.Body, c.Headers = healthcheck.HTTP10, "x", []healthcheck.Header{{Name: "A", Value: "b"}}
		}), true},
		{"tcp that talks", change(healthcheck.TCP, func(c *healthcheck.Config) { c.Expect = "x" }), false},
		{"http that looks at the body", change(healthcheck.HTTP, func(c *healthcheck.Config) { c.Content.Contains = "x" }), false},
		{"http by version 2", change(healthcheck.HTTP, func(c *healthcheck.Config) { c.Version = healthcheck.HTTP2 }), false},
		{"https", healthcheck.DefaultConfig(healthcheck.HTTPS), false},
		{"udp", healthcheck.DefaultConfig(healthcheck.UDP), false},
		{"exec", healthcheck.DefaultConfig(healthcheck.Exec), false},
	} {
		if got := carries(&tt.c); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestManyProbes(t *testing.T) {
	probetest.NoLeftovers(t)
	addr := probetest.Serve(t, probetest.Hear("HTTP/1.1 200 OK\r\n\r\n"))
	silent := probetest.Serve(t, probetest.UntilGone[*net.TCPConn])
	g := startEngine(t)
	const n = 300
	now := time.Now()
	for i := range n {
		target := probetest.HTTPTarget(addr, 10*time.Second)
		switch i % 3 {
		case 1:
			target.Config.Type = healthcheck.TCP
		case 2:
			target = probetest.HTTPTarget(silent, time.Second)
		}
		target.ID = fmt.Sprint(i % 3)
		if _, ok := launch(g, target, now); !ok {
			t.Fatal("not carried")
		}
	}
	want := map[string]healthcheck.Result{
		"0": healthcheck.Pass("status 200"), "1": healthcheck.Pass("connected"), "2": probetest.Fail("timeout after 1s while waiting for the response"),
	}
	all := g.collect(n)
	for _, e := range all {
		if probetest.Words(e.Result) != want[e.Owner.(string)] {
			t.Errorf("kind %s: %+v", e.Owner.(string), e.Result)
		}
	}
	if len(all) != n || len(g.probes) != 0 || len(g.queue) != 0 {
		t.Errorf("%d ended; %d probes and %d deadlines are left", len(all), len(g.probes), len(g.queue))
	}
	g.Close()
}

func TestCancelledProbes(t *testing.T) {
	probetest.NoLeftovers(t)
	silent := probetest.Serve(t, probetest.UntilGone[*net.TCPConn])
	g := startEngine(t)
	cancel, _ := launch(g, probetest.HTTPTarget(silent, time.Minute), time.Now())
	_, _ = launch(g, probetest.HTTPTarget(silent, time.Minute), time.Now())
	go cancel()
	before := time.Now()
	if all := g.collect(1); len(all) != 1 || all[0].Result.Outcome != healthcheck.Abandoned || time.Since(before) > 10*time.Second {
		t.Errorf("%+v after %s", all, time.Since(before))
	}
	cancel() // again, after its end
	if all, _ := g.Wait(0, 0); len(all) != 0 {
		t.Errorf("ended twice: %+v", all)
	}
	g.Close() // with one still under way
	g.Wake()
	cancel()
}

func TestEngineWakes(t *testing.T) {
	g := startEngine(t)
	defer g.Close()
	for range 3 {
		go g.Wake()
		before := time.Now()
		g.Wait(time.Minute, 0)
		if took := time.Since(before); took > 10*time.Second {
			t.Errorf("woke after %s", took)
		}
	}
}

// A request that does not fit into the socket's buffer goes out in pieces.
func TestLargeRequest(t *testing.T) {
	got := make(chan int64, 1)
	const size = 16 << 20
	addr := probetest.Serve(t, func(c *net.TCPConn) {
		n, _ := io.CopyN(io.Discard, c, size)
		got <- n
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	})
	target := probetest.HTTPTarget(addr, 20*time.Second)
	target.Config.Body = string(make([]byte, size))
	g := startEngine(t)
	defer g.Close()
	_, _ = launch(g, target, time.Now())
	if all := g.collect(1); len(all) != 1 || all[0].Result != healthcheck.Pass("status 200") {
		t.Errorf("%+v", all)
	}
	if n := <-got; n != size {
		t.Errorf("the server got %d bytes", n)
	}
}

// A director without free file descriptors blames no server.
func TestNoDescriptorLeft(t *testing.T) {
	addr := probetest.Serve(t, probetest.UntilGone[*net.TCPConn])
	g := startEngine(t)
	defer g.Close()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 3
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	target := probetest.HTTPTarget(addr, time.Second)
	_, _ = launch(g, target, time.Now())
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	if err != nil {
		t.Fatal(err)
	}
	if all := g.collect(1); len(all) != 1 || all[0].Result != (healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "too many open files"}) {
		t.Errorf("%+v", all)
	}
}

// When a director has lost its cable, the kernel gives up the neighbour, and can end a connection that was never
// established without an error. Such a connection is silent: the server has not closed it.
func TestAConnectionThatNeverStoodIsSilent(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // the kernel reports such a socket as closed too
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, typ := range []healthcheck.Type{healthcheck.TCP, healthcheck.HTTP} {
		target := probetest.Target(typ, probetest.Addr, time.Second, func(*healthcheck.Config) {})
		p := &epollProbe{target: &target, fd: fd, phase: connecting}
		if got := p.proceed(make([]byte, 64), true); got != (healthcheck.Result{}) || p.phase != connecting {
			t.Errorf("%s: %+v in phase %d", typ, got, p.phase)
		}
		if got := p.explain(os.ErrDeadlineExceeded); !got.Silent {
			t.Errorf("%s: at last %+v", typ, got)
		}
	}
}

// A probe that is connected has not missed its deadline, however many others are ready with it after a standstill.
func TestManyReadyAfterTheDeadline(t *testing.T) {
	probetest.NoLeftovers(t)
	target := probetest.HTTPTarget(probetest.Serve(t, probetest.UntilGone[*net.TCPConn]), time.Second)
	target.Config.Type = healthcheck.TCP
	g := startEngine(t)
	defer g.Close()
	n := 2*len(g.events) + 50
	for range n {
		_, _ = launch(g, target, time.Now().Add(-time.Minute))
	}
	all, late := g.Wait(time.Hour, 0)
	for _, e := range all {
		if e.Result != healthcheck.Pass("connected") {
			t.Fatalf("%+v", e.Result)
		}
	}
	if len(all) != n || late < 50*time.Second {
		t.Errorf("%d of %d ended, %s late", len(all), n, late)
	}
}
