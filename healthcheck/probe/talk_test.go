// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/via"
)

func TestSendAndExpect(t *testing.T) {
	const timeout = 300 * time.Millisecond
	redis := func(c *healthcheck.Config) { c.Send, c.Expect = "PING\r\n", "+PONG" }
	for _, tt := range []struct {
		name   string
		change func(*healthcheck.Config)
		serve  func(*net.TCPConn)
		want   healthcheck.Result
	}{
		{"answers", redis, probetest.Hear("+PONG\r\n"), healthcheck.Pass(asExpected)},
		{"answers in pieces", redis, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 100))
			for _, b := range []byte("-LOADING +PONG") {
				_, _ = c.Write([]byte{b})
			}
		}, healthcheck.Pass(asExpected)},
		{"greets by itself", func(c *healthcheck.Config) { c.Expect = "SSH-2.0" }, func(c *net.TCPConn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n") }, healthcheck.Pass(asExpected)},
		{"takes what is sent", func(c *healthcheck.Config) { c.Send = "hello" }, probetest.UntilGone[*net.TCPConn], healthcheck.Pass("connected")},
		{"answers otherwise and hangs up", redis, probetest.Hear("-ERR\r\n"), probetest.Fail("connection closed before the expected answer")},
		{"hangs up", redis, probetest.Hear(""), probetest.Fail(socket.HungUpEarly)},
		{"answers otherwise", redis, func(c *net.TCPConn) { probetest.Hear("-ERR\r\n")(c); probetest.UntilGone(c) },
			probetest.Fail("timeout after 300ms while waiting for the expected answer")},
		{"never stops", redis, func(c *net.TCPConn) {
			for {
				if _, err := c.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, probetest.Fail(`no "+PONG" in the first 64 KiB of the answer`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			if got, _ := probeOnce(probetest.Target(healthcheck.TCP, probetest.Serve(t, tt.serve), timeout, tt.change)); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// serveUDP answers each datagram; an empty answer is none.
func serveUDP(t *testing.T, answer func([]byte) []byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if out := answer(buf[:n]); len(out) > 0 {
				_, _ = conn.WriteToUDPAddrPort(out, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestDatagrams(t *testing.T) {
	echo := serveUDP(t, func(b []byte) []byte { return b })
	mute := serveUDP(t, func([]byte) []byte { return nil })
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	gone := free.LocalAddr().(*net.UDPAddr).AddrPort()
	_ = free.Close()
	silent := probetest.Fail("timeout after 100ms while waiting for the expected answer")
	silent.Silent = true
	for _, tt := range []struct {
		name         string
		addr         netip.AddrPort
		send, expect string
		want         healthcheck.Result
	}{
		{"answers as expected", echo, "hello", "ell", healthcheck.Pass(asExpected)},
		{"answers, whatever it is", echo, "hello", "", healthcheck.Pass(asExpected)},
		{"says nothing and need not", mute, "hello", "", healthcheck.Pass("no refusal within 100ms")},
		{"says nothing", mute, "hello", "ell", silent},
		{"answers otherwise", echo, "hello", "HELLO", probetest.Fail("timeout after 100ms while waiting for the expected answer")},
		{"refuses", gone, "hello", "", probetest.Fail("connection refused")},
		{"refuses an empty one", gone, "", "x", probetest.Fail("connection refused")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			target := probetest.Target(healthcheck.UDP, tt.addr, 100*time.Millisecond, func(c *healthcheck.Config) { c.Send, c.Expect = tt.send, tt.expect })
			if got, _ := probeOnce(target); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// A UDP check of a machine that is off fails, although nobody refuses the datagram in time.
func TestDatagramToNobody(t *testing.T) {
	ns, other := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, ns, "d0", other, "o0")
	other.Do(func() { probetest.Give(t, "o0", "192.0.2.11/24") })
	ns.Do(func() {
		probetest.Give(t, "d0", "192.0.2.2/24")
		want := healthcheck.Result{Outcome: healthcheck.Failed, Reason: via.NoNeighbour, Silent: true}
		at := func(addr string) healthcheck.Target {
			return probetest.Target(healthcheck.UDP, netip.AddrPortFrom(netip.MustParseAddr(addr), 53), 300*time.Millisecond, func(c *healthcheck.Config) { c.Send = "hello" })
		}
		if got, _ := probeOnce(at("192.0.2.12")); got != want {
			t.Errorf("nobody: %+v, want %+v", got, want)
		}
		if got, _ := probeOnce(at("192.0.2.11")); got != probetest.Fail("connection refused") {
			t.Errorf("a machine that refuses: %+v", got)
		}
		there := at("192.0.2.11")
		if via.Unresolved(&there) {
			t.Error("a machine that refuses is there")
		}
	})
}

func TestMailServers(t *testing.T) {
	// script answers line by line; the first line is the greeting.
	script := func(lines ...string) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			in := bufio.NewReader(c)
			for _, line := range lines {
				_, _ = io.WriteString(c, line)
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
			}
		}
	}
	for _, tt := range []struct {
		name  string
		serve func(*net.TCPConn)
		want  healthcheck.Result
	}{
		{"works", script("220 mx ESMTP\r\n", "250-mx\r\n250 SIZE\r\n", "221 bye\r\n"), healthcheck.Pass("greeted")},
		{"greets at length", script("220-mx\r\n220 ESMTP\r\n", "250 mx\r\n", "221 bye\r\n"), healthcheck.Pass("greeted")},
		{"never says goodbye", func(c *net.TCPConn) {
			script("220 mx\r\n", "250 mx\r\n")(c)
			probetest.UntilGone(c)
		}, healthcheck.Pass("greeted")},
		{"is rude at the end", script("220 mx\r\n", "250 mx\r\n"), healthcheck.Pass("greeted")},
		{"is full", script("421 mx too busy\r\n"), probetest.Fail("greeting 421, want 220")},
		{"does not like us", script("220 mx\r\n", "550 go away\r\n"), probetest.Fail("reply to EHLO 550, want 250")},
		{"hangs up", func(*net.TCPConn) {}, probetest.Fail("connection closed before the greeting")},
		{"hangs up when greeted", script("220 mx\r\n"), probetest.Fail("connection closed before the reply to EHLO")},
		{"is something else", script("SSH-2.0-x\r\n"), probetest.Fail("malformed greeting")},
		{"says nothing", probetest.UntilGone[*net.TCPConn], probetest.Fail("timeout after 300ms while waiting for the greeting")},
		{"never comes to the point", func(c *net.TCPConn) {
			for {
				if _, err := io.WriteString(c, "220-and\r\n"); err != nil {
					return
				}
			}
		}, probetest.Fail("malformed greeting")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			if got, _ := probeOnce(probetest.Target(healthcheck.SMTP, probetest.Serve(t, tt.serve), 300*time.Millisecond, func(*healthcheck.Config) {})); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// The answer to QUIT has a short time of its own: the probe does not wait for it until its timeout.
func TestQuitIsShort(t *testing.T) {
	addr := probetest.Serve(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		_, _ = io.WriteString(c, "220 mx\r\n")
		_, _ = in.ReadString('\n')
		_, _ = io.WriteString(c, "250 mx\r\n")
		probetest.UntilGone(c)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	target := probetest.Target(healthcheck.SMTP, addr, time.Minute, func(*healthcheck.Config) {})
	if got := New().Probe(ctx, &target); got != healthcheck.Pass("greeted") || ctx.Err() != nil {
		t.Errorf("%+v, %v", got, ctx.Err())
	}
}

func FuzzMailServer(f *testing.F) {
	for _, seed := range []string{"220 mx\r\n250 mx\r\n221 bye\r\n", "220-mx\r\n220 x\r\n", "421 no\r\n", "SSH-2.0\r\n", "", "220 mx\r\n250-"} {
		f.Add(seed)
	}
	target := probetest.Target(healthcheck.SMTP, probetest.Addr, 10*time.Second, func(*healthcheck.Config) {})
	f.Fuzz(func(t *testing.T, said string) {
		got := pipe(func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, said)
		}).Probe(t.Context(), &target)
		// The last one is the error of a pipe in memory where a connection would be reset.
		words := []string{"malformed ", "greeting ", "reply to EHLO ", "connection closed before the ", "io: read/write on closed pipe"}
		known := slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(got.Reason, w) })
		if got != healthcheck.Pass("greeted") && (got.Outcome != healthcheck.Failed || !known) {
			t.Errorf("%+v", got)
		}
	})
}

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	states := health.NewServer()
	states.SetServingStatus("shop.Orders", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	with, without := grpc.NewServer(), grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(with, states)
	go func() { _ = with.Serve(l) }()
	t.Cleanup(with.Stop)
	bare, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = without.Serve(bare) }()
	t.Cleanup(without.Stop)
	for _, tt := range []struct {
		listener net.Listener
		service  string
		want     healthcheck.Result
	}{
		{l, "", healthcheck.Pass("SERVING")},
		{l, "shop.Orders", probetest.Fail("NOT_SERVING, want SERVING")},
		{l, "shop.Refunds", probetest.Fail("the health service does not know the service asked about")},
		{bare, "", probetest.Fail("the server has no health service")},
	} {
		addr := tt.listener.Addr().(*net.TCPAddr).AddrPort()
		if got, _ := probeOnce(probetest.Target(healthcheck.GRPC, addr, 10*time.Second, func(c *healthcheck.Config) { c.Service = tt.service })); got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.service, got, tt.want)
		}
	}
}

func TestPing(t *testing.T) {
	probetest.NoLeftovers(t)
	ns := probetest.NewNS(t)
	silent := probetest.Fail("network is unreachable")
	silent.Silent = true
	for addr, want := range map[string]healthcheck.Result{"127.0.0.1": healthcheck.Pass("echo reply"), "::1": healthcheck.Pass("echo reply"), "192.0.2.1": silent} {
		ns.Do(func() {
			target := probetest.Target(healthcheck.Ping, netip.AddrPortFrom(netip.MustParseAddr(addr), 0), 500*time.Millisecond, func(*healthcheck.Config) {})
			if err := target.Validate(); err != nil {
				t.Error(err)
			}
			if got, _ := probeOnce(target); got != want {
				t.Errorf("%s: %+v, want %+v", addr, got, want)
			}
		})
	}
}

// Probes come from the configured source. A source that the director does not have is not the server's failure.
func TestSource(t *testing.T) {
	from := make(chan netip.Addr, 1)
	addr := probetest.Serve(t, func(c *net.TCPConn) { from <- c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr() })
	want := netip.MustParseAddr("127.0.0.7")
	target := probetest.Target(healthcheck.TCP, addr, 5*time.Second, func(c *healthcheck.Config) { c.Source = want })
	stranger := target
	stranger.Config.Source = netip.MustParseAddr("192.0.2.250")
	for way, probe := range ways {
		if got, _ := probe(target); got.Outcome != healthcheck.Passed {
			t.Errorf("by %s: %+v", way, got)
		}
		if got := <-from; got != want {
			t.Errorf("by %s: came from %s", way, got)
		}
		if got, _ := probe(stranger); got != (healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "cannot assign requested address"}) {
			t.Errorf("by %s, from an address that is not ours: %+v", way, got)
		}
	}
}
