// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/nstest"
	"github.com/vishvananda/netlink"
)

// noLeftovers fails the test if it ends with more goroutines or file descriptors than it began with.
func noLeftovers(t *testing.T) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	t.Cleanup(func() {
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			g, f := runtime.NumGoroutine(), openFiles(t)
			if g <= goroutines && f <= files {
				return
			}
			if time.Now().After(end) {
				t.Errorf("left over: goroutines %d, were %d; files %d, were %d", g, goroutines, f, files)
				return
			}
		}
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// serve is a server on loopback that gives every connection to f and closes it afterwards.
func serve(t *testing.T, f func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				f(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// hear reads the request and says an answer.
func hear(answer string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = c.Write([]byte(answer))
	}
}

// untilGone waits for the peer to end the connection.
func untilGone[C net.Conn](c C) { _, _ = io.Copy(io.Discard, c) }

func httpTarget(addr netip.AddrPort, timeout time.Duration) Target {
	c := DefaultConfig(HTTP)
	c.Timeout = timeout
	return Target{ID: "s", Addr: addr, Config: c}
}

// probeOnce probes as the runner does.
func probeOnce(t Target) (result, time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), t.Config.Timeout)
	defer cancel()
	start := time.Now()
	p := newProber()
	defer p.close()
	res := p.probe(ctx, t)
	return res, time.Since(start)
}

// carry probes as the runner does what an engine carries.
func carry(t Target) (result, time.Duration) {
	g, err := newEngine()
	if err != nil {
		return result{reason: err.Error()}, 0
	}
	defer g.close()
	start := time.Now()
	if _, ok := g.launch(&entry{target: t}, start); !ok {
		return result{reason: "not carried"}, 0
	}
	for {
		if ended := g.wait(time.Hour, 0); len(ended) > 0 {
			return ended[0].result, time.Since(start)
		}
	}
}

// ways are the two ways in which a plain probe is made, which must come to the same in everything.
var ways = map[string]func(Target) (result, time.Duration){"goroutine": probeOnce, "engine": carry}

func TestServersOfEveryKind(t *testing.T) {
	const timeout = 300 * time.Millisecond
	tests := []struct {
		name  string
		typ   Type
		serve func(*net.TCPConn)
		want  result
	}{
		{"tcp: accepts", TCP, untilGone[*net.TCPConn], pass("connected")},
		{"tcp: accepts and hangs up", TCP, func(*net.TCPConn) {}, pass("connected")},
		{"http: works", HTTP, hear("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), pass("status 200")},
		{"http: works, version 1.0", HTTP, hear("HTTP/1.0 204 Empty\r\n\r\n"), pass("status 204")},
		{"http: has a bad day", HTTP, hear("HTTP/1.1 503 Down\r\n\r\n"), fail("status 503, want 200-299")},
		{"http: redirects", HTTP, hear("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), fail("status 302, want 200-299")},
		{"http: answers before it was asked, and hangs up", HTTP, func(c *net.TCPConn) {
			_, _ = c.Write([]byte("HTTP/1.1 503 Busy\r\n\r\n"))
			_ = c.CloseWrite()
			untilGone(c)
		}, fail("status 503, want 200-299")},
		{"http: hangs up at once", HTTP, func(*net.TCPConn) {}, fail("connection closed before a response")},
		{"http: resets at once", HTTP, func(c *net.TCPConn) { _ = c.SetLinger(0) },
			fail("connection closed before a response")},
		{"http: hangs up when asked", HTTP, hear(""), fail("connection closed before a response")},
		{"http: closes its half only", HTTP, func(c *net.TCPConn) { _ = c.CloseWrite(); untilGone(c) },
			fail("connection closed before a response")},
		{"http: hangs up half-way", HTTP, hear("HTTP/1.1 200 OK\r\nA: b\r\n"),
			fail("connection closed in the middle of the response header")},
		{"http: says nothing", HTTP, untilGone[*net.TCPConn], fail("timeout after 300ms while waiting for the response")},
		{"http: stops half-way", HTTP, func(c *net.TCPConn) { hear("HTTP/1.1 200 OK\r\n")(c); untilGone(c) },
			fail("timeout after 300ms while reading the response header")},
		{"http: is something else", HTTP, hear("220 mail.example.com ESMTP\r\n"),
			fail("malformed response: not HTTP/1.0 or 1.1")},
		{"http: is garbage", HTTP, hear("\x16\x03\x01\x00\xff"), fail("malformed response: not HTTP/1.0 or 1.1")},
	}
	for _, tt := range tests {
		for way, probe := range ways {
			t.Run(tt.name+", by "+way, func(t *testing.T) {
				noLeftovers(t)
				target := httpTarget(serve(t, tt.serve), timeout)
				target.Config.Type = tt.typ
				got, took := probe(target)
				if got != tt.want {
					t.Errorf("%+v, want %+v", got, tt.want)
				}
				if most := timeout + 2*time.Second; took > most { // the machine may stall
					t.Errorf("took %s of a timeout of %s", took, timeout)
				}
			})
		}
	}
}

// Servers that never stop talking: the check reads what it needs, and neither it nor the kernel stores the rest.
func TestEndlessResponses(t *testing.T) {
	tests := []struct {
		name        string
		first, more string
		want        result
	}{
		{"body of 10 GB", "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", "x", pass("status 200")},
		{"body of 10 GB with an error", "HTTP/1.1 500 No\r\nContent-Length: 10000000000\r\n\r\n", "x",
			fail("status 500, want 200-299")},
		{"header without end", "HTTP/1.1 200 OK\r\n", "a: b\r\n",
			fail("malformed response: header longer than 64 KiB")},
		{"header line without end", "HTTP/1.1 200 OK\r\nA: ", "x", fail("malformed response: header longer than 64 KiB")},
	}
	for i := range 2 * len(tests) {
		tt, way := tests[i/2], []string{"goroutine", "engine"}[i%2]
		t.Run(tt.name+", by "+way, func(t *testing.T) {
			noLeftovers(t)
			chunk := []byte(strings.Repeat(tt.more, 16<<10/len(tt.more)))
			var sent atomic.Int64
			done := make(chan struct{})
			addr := serve(t, func(c *net.TCPConn) {
				defer close(done)
				hear(tt.first)(c)
				for sent.Load() < 10e9 {
					n, err := c.Write(chunk)
					sent.Add(int64(n))
					if err != nil {
						return
					}
				}
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, _ := ways[way](httpTarget(addr, 10*time.Second))
			runtime.ReadMemStats(&after)
			<-done
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<10 {
				t.Errorf("the probe allocated %d bytes", allocated)
			}
			// What fits into socket buffers; the reset stops the rest.
			if sent.Load() > 64<<20 {
				t.Errorf("the server could send %d bytes", sent.Load())
			}
		})
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	for _, typ := range []Type{TCP, HTTP} {
		target := httpTarget(addr, time.Second)
		target.Config.Type = typ
		for way, probe := range ways {
			if got, _ := probe(target); got != fail("connection refused") {
				t.Errorf("%s, by %s: %+v", typ, way, got)
			}
		}
	}
}

func TestUnreachable(t *testing.T) {
	director, silent := nstest.New(t), nstest.New(t)
	nstest.Veth(t, director, "d0", silent, "s0")
	director.Do(func() {
		link, err := netlink.LinkByName("d0")
		if err != nil {
			t.Error(err)
			return
		}
		addr, err := netlink.ParseAddr("192.0.2.1/24")
		if err == nil {
			err = netlink.AddrAdd(link, addr)
		}
		if err == nil {
			_, dst, _ := net.ParseCIDR("198.51.100.0/24")
			err = netlink.RouteAdd(&netlink.Route{Dst: dst, Type: syscall.RTN_UNREACHABLE})
		}
		if err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct{ name, addr, want string }{
		{"a host that is off", "192.0.2.2:80", "timeout after 200ms while connecting"},
		{"a route that says so", "198.51.100.1:80", "no route to host"},
		{"no route", "203.0.113.1:80", "network is unreachable"},
		{"no route for IPv6", "[2001:db8::1]:80", "network is unreachable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			director.Do(func() {
				target := httpTarget(netip.MustParseAddrPort(tt.addr), 200*time.Millisecond)
				want := fail(tt.want)
				want.silent = true
				for way, probe := range ways {
					if got, _ := probe(target); got != want {
						t.Errorf("by %s: %+v, want %+v", way, got, want)
					}
				}
			})
		})
	}
}

// The director's own want is not the server's failure; all else is, in words without ports.
func TestExplain(t *testing.T) {
	errnoOf := func(call string, e syscall.Errno) error {
		local := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}
		return &net.OpError{Op: "dial", Net: "tcp", Source: local, Err: os.NewSyscallError(call, e)}
	}
	tests := []struct {
		err  error
		want result
	}{
		{errnoOf("socket", syscall.EMFILE), result{outcome: notRun, reason: "too many open files"}},
		{errnoOf("socket", syscall.ENFILE), result{outcome: notRun, reason: "too many open files in system"}},
		{errnoOf("connect", syscall.EADDRNOTAVAIL), result{outcome: notRun, reason: "cannot assign requested address"}},
		{errnoOf("connect", syscall.ETIMEDOUT), fail("connection timed out")},
		{errnoOf("connect", syscall.EPERM), fail("operation not permitted")},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, fail("timeout after 1s while connecting")},
		{&net.OpError{Op: "dial", Source: &net.TCPAddr{Port: 40000}, Err: errors.New("odd")}, fail("odd")},
		{fmt.Errorf("odd: %w", context.DeadlineExceeded), fail("timeout after 1s while connecting")},
	}
	for _, tt := range tests {
		if got := explain(t.Context(), tt.err, time.Second, "connecting"); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.err, got, tt.want)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if got := explain(cancelled, os.ErrDeadlineExceeded, time.Second, "connecting"); got.outcome != abandoned {
		t.Errorf("cancelled: %+v", got)
	}
}
