// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// probeOnce probes as the runner does.
func probeOnce(t healthcheck.Target) (healthcheck.Result, time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), t.Config.Timeout)
	defer cancel()
	start := time.Now()
	p := New()
	defer p.Close()
	res := p.Probe(ctx, &t)
	return probetest.Words(res), time.Since(start)
}

// carry probes once with an engine, as the runner does.
func carry(t healthcheck.Target) (healthcheck.Result, time.Duration) {
	g, err := epoll.New()
	if err != nil {
		return healthcheck.Result{Reason: err.Error()}, 0
	}
	defer g.Close()
	start := time.Now()
	if _, ok := g.Launch(nil, &t, start); !ok {
		return healthcheck.Result{Reason: "not carried"}, 0
	}
	for {
		if ended, _ := g.Wait(time.Hour, 0); len(ended) > 0 {
			return probetest.Words(ended[0].Result), time.Since(start)
		}
	}
}

// ways are the two ways in which a plain probe is made. Their results must be equal.
var ways = map[string]func(healthcheck.Target) (healthcheck.Result, time.Duration){"goroutine": probeOnce, "engine": carry}

// ended returns a reason without how the connection ended: a server that hangs up without reading what was sent closes or
// resets the connection, depending on what has arrived.
func ended(reason string) string {
	return strings.Replace(reason, "connection reset", "connection closed", 1)
}

func TestServersOfEveryKind(t *testing.T) {
	tests := []struct {
		name  string
		typ   healthcheck.Type
		serve func(*net.TCPConn)
		want  healthcheck.Result
	}{
		{"tcp: accepts", healthcheck.TCP, probetest.UntilGone[*net.TCPConn], healthcheck.Pass("connected")},
		{"tcp: accepts and hangs up", healthcheck.TCP, func(*net.TCPConn) {}, healthcheck.Pass("connected")},
		{"http: works", healthcheck.HTTP, probetest.Hear("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), healthcheck.Pass("status 200")},
		{"http: works, version 1.0", healthcheck.HTTP, probetest.Hear("HTTP/1.0 204 Empty\r\n\r\n"), healthcheck.Pass("status 204")},
		{"http: has a bad day", healthcheck.HTTP, probetest.Hear("HTTP/1.1 503 Down\r\n\r\n"), probetest.Fail("status 503, want 200-299")},
		{"http: redirects", healthcheck.HTTP, probetest.Hear("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), probetest.Fail("status 302, want 200-299")},
		{"http: answers before it was asked, and hangs up", healthcheck.HTTP, func(c *net.TCPConn) {
			_, _ = c.Write([]byte("HTTP/1.1 503 Busy\r\n\r\n"))
			_ = c.CloseWrite()
			probetest.UntilGone(c)
		}, probetest.Fail("status 503, want 200-299")},
		{"http: hangs up at once", healthcheck.HTTP, func(c *net.TCPConn) { _ = c.CloseWrite(); _, _ = c.Read(make([]byte, 1024)) }, probetest.Fail("connection closed before a response")},
		{"http: resets at once", healthcheck.HTTP, func(c *net.TCPConn) { _ = c.SetLinger(0) },
			probetest.Fail("connection reset before a response")},
		{"http: hangs up when asked", healthcheck.HTTP, probetest.Hear(""), probetest.Fail("connection closed before a response")},
		{"http: closes its half only", healthcheck.HTTP, func(c *net.TCPConn) { _ = c.CloseWrite(); probetest.UntilGone(c) },
			probetest.Fail("connection closed before a response")},
		{"http: hangs up half-way", healthcheck.HTTP, probetest.Hear("HTTP/1.1 200 OK\r\nA: b\r\n"),
			probetest.Fail("connection closed in the middle of the response header")},
		{"http: says nothing", healthcheck.HTTP, probetest.UntilGone[*net.TCPConn], probetest.Fail("timeout after 300ms while waiting for the response")},
		{"http: stops half-way", healthcheck.HTTP, func(c *net.TCPConn) { probetest.Hear("HTTP/1.1 200 OK\r\n")(c); probetest.UntilGone(c) },
			probetest.Fail("timeout after 1s while reading the response header")},
		{"http: is something else", healthcheck.HTTP, probetest.Hear("220 mail.example.com ESMTP\r\n"),
			probetest.Fail("malformed response: not HTTP/1.0 or 1.1: the server speaks SMTP or FTP")},
		{"http: speaks TLS", healthcheck.HTTP, probetest.Hear("\x16\x03\x01\x00\xff"), probetest.Fail("malformed response: not HTTP/1.0 or 1.1: the server speaks TLS")},
		{"http: is garbage", healthcheck.HTTP, probetest.Hear("\x17\x03\x01\x00\xff"), probetest.Fail("malformed response: not HTTP/1.0 or 1.1")},
	}
	for _, tt := range tests {
		for way, probe := range ways {
			t.Run(tt.name+", by "+way, func(t *testing.T) {
				probetest.NoLeftovers(t)
				timeout := probetest.Timeout(tt.want.Reason, 300*time.Millisecond, time.Second)
				target := probetest.HTTPTarget(probetest.Serve(t, tt.serve), timeout)
				target.Config.Type = tt.typ
				got, took := probe(target)
				if got != tt.want {
					t.Errorf("%+v, want %+v", got, tt.want)
				}
				if took > 2300*time.Millisecond { // the machine may stall
					t.Errorf("took %s", took)
				}
			})
		}
	}
}

// Servers that never stop sending: the check reads only what it needs, and neither it nor the kernel stores the rest.
func TestEndlessResponses(t *testing.T) {
	tests := []struct {
		name        string
		first, more string
		want        healthcheck.Result
	}{
		{"body of 10 GB", "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", "x", healthcheck.Pass("status 200")},
		{"body of 10 GB with an error", "HTTP/1.1 500 No\r\nContent-Length: 10000000000\r\n\r\n", "x",
			probetest.Fail("status 500, want 200-299")},
		{"header without end", "HTTP/1.1 200 OK\r\n", "a: b\r\n",
			probetest.Fail("malformed response: header longer than 64 KiB")},
		{"header line without end", "HTTP/1.1 200 OK\r\nA: ", "x", probetest.Fail("malformed response: header longer than 64 KiB")},
	}
	for i := range 2 * len(tests) {
		tt, way := tests[i/2], []string{"goroutine", "engine"}[i%2]
		t.Run(tt.name+", by "+way, func(t *testing.T) {
			probetest.NoLeftovers(t)
			chunk := []byte(strings.Repeat(tt.more, 16<<10/len(tt.more)))
			var sent atomic.Int64
			done := make(chan struct{})
			addr := probetest.Serve(t, func(c *net.TCPConn) {
				defer close(done)
				probetest.Hear(tt.first)(c)
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
			got, _ := ways[way](probetest.HTTPTarget(addr, 10*time.Second))
			runtime.ReadMemStats(&after)
			<-done
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<10 {
				t.Errorf("the probe allocated %d bytes", allocated)
			}
			// Socket buffers hold this much; the reset stops the rest.
			if sent.Load() > 64<<20 {
				t.Errorf("the server could send %d bytes", sent.Load())
			}
		})
	}
}

func TestRefused(t *testing.T) {
	addr := probetest.Closed(t)
	for _, typ := range []healthcheck.Type{healthcheck.TCP, healthcheck.HTTP} {
		target := probetest.HTTPTarget(addr, 30*time.Second)
		target.Config.Type = typ
		for way, probe := range ways {
			if got, _ := probe(target); got != probetest.Fail("connection refused") {
				t.Errorf("%s, by %s: %+v", typ, way, got)
			}
		}
	}
}

func TestUnreachable(t *testing.T) {
	director, silent := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, director, "d0", silent, "s0")
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
				target := probetest.HTTPTarget(netip.MustParseAddrPort(tt.addr), 200*time.Millisecond)
				want := probetest.Fail(tt.want)
				want.Silent = true
				for way, probe := range ways {
					if got, _ := probe(target); got != want {
						t.Errorf("by %s: %+v, want %+v", way, got, want)
					}
				}
			})
		})
	}
}
