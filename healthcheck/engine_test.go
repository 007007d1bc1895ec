// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func startEngine(t *testing.T) *engine {
	t.Helper()
	g, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// collect waits until so many probes have ended.
func (g *engine) collect(n int) (all []ended) {
	for end := time.Now().Add(20 * time.Second); len(all) < n && time.Now().Before(end); {
		all = append(all, g.wait(time.Second, 0)...)
	}
	return all
}

func TestWhatAnEngineCarries(t *testing.T) {
	change := func(typ Type, f func(*Config)) Config {
		c := DefaultConfig(typ)
		f(&c)
		return c
	}
	for _, tt := range []struct {
		name string
		c    Config
		want bool
	}{
		{"tcp", DefaultConfig(TCP), true},
		{"http", DefaultConfig(HTTP), true},
		{"http with a request of one's own", change(HTTP, func(c *Config) { c.Version, c.Body, c.Headers = HTTP10, "x", []Header{{"A", "b"}} }), true},
		{"tcp that talks", change(TCP, func(c *Config) { c.Expect = "x" }), false},
		{"http that looks at the body", change(HTTP, func(c *Config) { c.Content.Contains = "x" }), false},
		{"http by version 2", change(HTTP, func(c *Config) { c.Version = HTTP2 }), false},
		{"https", DefaultConfig(HTTPS), false},
		{"udp", DefaultConfig(UDP), false},
		{"exec", DefaultConfig(Exec), false},
	} {
		if got := tt.c.carried(); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestManyFlights(t *testing.T) {
	noLeftovers(t)
	addr := serve(t, hear("HTTP/1.1 200 OK\r\n\r\n"))
	silent := serve(t, untilGone[*net.TCPConn])
	g := startEngine(t)
	const n = 300
	now := time.Now()
	for i := range n {
		target := httpTarget(addr, 10*time.Second)
		switch i % 3 {
		case 1:
			target.Config.Type = TCP
		case 2:
			target = httpTarget(silent, 200*time.Millisecond)
		}
		target.ID = fmt.Sprint(i % 3)
		if _, ok := g.launch(&entry{target: target}, now); !ok {
			t.Fatal("not carried")
		}
	}
	want := map[string]result{
		"0": pass("status 200"), "1": pass("connected"), "2": fail("timeout after 200ms while waiting for the response"),
	}
	all := g.collect(n)
	for _, e := range all {
		if e.result != want[e.entry.target.ID] {
			t.Errorf("kind %s: %+v", e.entry.target.ID, e.result)
		}
	}
	if len(all) != n || len(g.flights) != 0 || len(g.queue) != 0 {
		t.Errorf("%d ended; %d flights and %d deadlines are left", len(all), len(g.flights), len(g.queue))
	}
	g.close()
}

func TestCancelledFlights(t *testing.T) {
	noLeftovers(t)
	silent := serve(t, untilGone[*net.TCPConn])
	g := startEngine(t)
	cancel, _ := g.launch(&entry{target: httpTarget(silent, time.Minute)}, time.Now())
	_, _ = g.launch(&entry{target: httpTarget(silent, time.Minute)}, time.Now())
	go cancel()
	before := time.Now()
	if all := g.collect(1); len(all) != 1 || all[0].result.outcome != abandoned || time.Since(before) > 10*time.Second {
		t.Errorf("%+v after %s", all, time.Since(before))
	}
	cancel() // again, too late
	if all := g.wait(0, 0); len(all) != 0 {
		t.Errorf("ended twice: %+v", all)
	}
	g.close() // with one still under way
	g.wake()
	cancel()
}

func TestEngineWakes(t *testing.T) {
	g := startEngine(t)
	defer g.close()
	for range 3 {
		go g.wake()
		before := time.Now()
		g.wait(time.Minute, 0)
		if took := time.Since(before); took > 10*time.Second {
			t.Errorf("woke after %s", took)
		}
	}
}

// A request that does not fit into the socket's buffer goes out in pieces.
func TestLargeRequest(t *testing.T) {
	got := make(chan int64, 1)
	const size = 16 << 20
	addr := serve(t, func(c *net.TCPConn) {
		n, _ := io.CopyN(io.Discard, c, size)
		got <- n
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	})
	target := httpTarget(addr, 20*time.Second)
	target.Config.Body = string(make([]byte, size))
	if res, _ := carry(target); res != pass("status 200") {
		t.Errorf("%+v", res)
	}
	if n := <-got; n != size {
		t.Errorf("the server got %d bytes", n)
	}
}

// Where the director has no file descriptor left, no server is blamed.
func TestNoDescriptorLeft(t *testing.T) {
	addr := serve(t, untilGone[*net.TCPConn])
	g := startEngine(t)
	defer g.close()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 3
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	target := httpTarget(addr, time.Second)
	_, _ = g.launch(&entry{target: target}, time.Now())
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	if err != nil {
		t.Fatal(err)
	}
	if all := g.collect(1); len(all) != 1 || all[0].result != (result{outcome: notRun, reason: "too many open files"}) {
		t.Errorf("%+v", all)
	}
}

// A runner with a low limit of descriptors raises it, or runs fewer probes at the same time.
func TestMakeRoom(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	low := before
	low.Cur = 512
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	r := NewRunner(Options{MaxInFlight: 4096})
	r.makeRoom()
	var after unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &after)
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.maxInFlight != 4096 || after.Cur < 4096+spareFiles {
		t.Errorf("%d probes with a limit of %d", r.maxInFlight, after.Cur)
	}
}

// Probes of both kinds under one runner, through a change of targets and to its end.
func TestRunnerWithBothKinds(t *testing.T) {
	noLeftovers(t)
	addr := serve(t, hear("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	silent := serve(t, untilGone[*net.TCPConn])
	targets := []Target{httpTarget(addr, 5*time.Second), httpTarget(addr, 5*time.Second), httpTarget(silent, 5*time.Second)}
	for i := range targets {
		targets[i].ID, targets[i].Config.Interval = fmt.Sprint(i), 5*time.Second
	}
	targets[1].Config.Content.Contains = "ok"
	r := NewRunner(Options{})
	r.Set(targets)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s := r.Status()
		if s["0"].Reason == "status 200" && s["1"].Reason == "status 200 with the expected body" && r.Stats().InFlight == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("status %+v", s)
		}
	}
	r.Set(targets[:2]) // the silent one's probe is under way
	for end := time.Now().Add(20 * time.Second); r.Stats().InFlight != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("stats %+v", r.Stats())
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.Set([]Target{{ID: "later", Addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 80), Config: DefaultConfig(TCP)}})
}

// While the neighbour of a director without a cable is given up, the kernel has been seen to end a connection that never
// stood without an error. To take it for one that the server closed would be to have heard from the server.
func TestAConnectionThatNeverStoodIsSilent(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // which the kernel calls over as well
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, typ := range []Type{TCP, HTTP} {
		f := &flight{entry: &entry{target: typed(typ, testAddr, time.Second, func(*Config) {})}, fd: fd, phase: connecting}
		if got := f.step(make([]byte, 64), true); got != (result{}) || f.phase != connecting {
			t.Errorf("%s: %+v in phase %d", typ, got, f.phase)
		}
		if got := f.explain(os.ErrDeadlineExceeded); !got.silent {
			t.Errorf("%s: at last %+v", typ, got)
		}
	}
}
