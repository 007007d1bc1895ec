// SPDX-License-Identifier: Apache-2.0

package healthcheck

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

	"github.com/miekg/dns"
	"github.com/tandem-lvs/tandem/integration/nstest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

var testAddr = netip.MustParseAddrPort("192.0.2.1:80")

// typed is a target of another type than http.
func typed(typ Type, addr netip.AddrPort, timeout time.Duration, change func(*Config)) Target {
	c := DefaultConfig(typ)
	c.Interval, c.Timeout = max(c.Interval, timeout), timeout
	change(&c)
	return Target{ID: "s", Addr: addr, Config: c}
}

func TestSendAndExpect(t *testing.T) {
	const timeout = 300 * time.Millisecond
	redis := func(c *Config) { c.Send, c.Expect = "PING\r\n", "+PONG" }
	for _, tt := range []struct {
		name   string
		change func(*Config)
		serve  func(*net.TCPConn)
		want   result
	}{
		{"answers", redis, hear("+PONG\r\n"), pass(asExpected)},
		{"answers in pieces", redis, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 100))
			for _, b := range []byte("-LOADING +PONG") {
				_, _ = c.Write([]byte{b})
			}
		}, pass(asExpected)},
		{"greets by itself", func(c *Config) { c.Expect = "SSH-2.0" }, func(c *net.TCPConn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n") }, pass(asExpected)},
		{"takes what is sent", func(c *Config) { c.Send = "hello" }, untilGone[*net.TCPConn], pass("connected")},
		{"answers otherwise and hangs up", redis, hear("-ERR\r\n"), fail("connection closed before the expected answer")},
		{"hangs up", redis, hear(""), fail(hungUpEarly)},
		{"answers otherwise", redis, func(c *net.TCPConn) { hear("-ERR\r\n")(c); untilGone(c) },
			fail("timeout after 300ms while waiting for the expected answer")},
		{"never stops", redis, func(c *net.TCPConn) {
			for {
				if _, err := c.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, fail(`no "+PONG" in the first 64 KiB of the answer`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeftovers(t)
			if got, _ := probeOnce(typed(TCP, serve(t, tt.serve), timeout, tt.change)); got != tt.want {
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
	silent := fail("timeout after 100ms while waiting for the expected answer")
	silent.silent = true
	for _, tt := range []struct {
		name         string
		addr         netip.AddrPort
		send, expect string
		want         result
	}{
		{"answers as expected", echo, "hello", "ell", pass(asExpected)},
		{"answers, whatever it is", echo, "hello", "", pass(asExpected)},
		{"says nothing and need not", mute, "hello", "", pass("no refusal within 100ms")},
		{"says nothing", mute, "hello", "ell", silent},
		{"answers otherwise", echo, "hello", "HELLO", fail("timeout after 100ms while waiting for the expected answer")},
		{"refuses", gone, "hello", "", fail("connection refused")},
		{"refuses an empty one", gone, "", "x", fail("connection refused")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeftovers(t)
			target := typed(UDP, tt.addr, 100*time.Millisecond, func(c *Config) { c.Send, c.Expect = tt.send, tt.expect })
			if got, _ := probeOnce(target); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// A datagram to a machine that is not there is not refused in time, and is no success.
func TestDatagramToNobody(t *testing.T) {
	ns, other := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "d0", other, "o0")
	other.Do(func() { give(t, "o0", "192.0.2.11/24") })
	ns.Do(func() {
		give(t, "d0", "192.0.2.2/24")
		want := result{outcome: failed, reason: noNeighbour, silent: true}
		at := func(addr string) Target {
			return typed(UDP, netip.AddrPortFrom(netip.MustParseAddr(addr), 53), 300*time.Millisecond, func(c *Config) { c.Send = "hello" })
		}
		if got, _ := probeOnce(at("192.0.2.12")); got != want {
			t.Errorf("nobody: %+v, want %+v", got, want)
		}
		if got, _ := probeOnce(at("192.0.2.11")); got != fail("connection refused") {
			t.Errorf("a machine that refuses: %+v", got)
		}
		if at("192.0.2.11").unresolved() {
			t.Error("a machine that refuses is there")
		}
	})
}

func TestNameServers(t *testing.T) {
	zone := []string{
		"www.example.org. 60 IN A 192.0.2.1", "www.example.org. 60 IN A 192.0.2.2", "six.example.org. 60 IN AAAA 2001:db8::1",
		"alias.example.org. 60 IN CNAME www.example.org.", "text.example.org. 60 IN TXT \"hello\"",
		"mail.example.org. 60 IN MX 10 mx.example.org.",
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		for _, text := range zone {
			if name, _, _ := strings.Cut(text, " "); !strings.EqualFold(name, q.Question[0].Name) {
				continue
			}
			record, err := dns.NewRR(text)
			if err != nil {
				t.Error(err)
			}
			m.Answer = append(m.Answer, record)
		}
		switch strings.ToLower(q.Question[0].Name) {
		case "refused.example.org.":
			m.Rcode = dns.RcodeRefused
		case "other.example.org.":
			m.Question[0].Name = "another.example.org."
		case "long.example.org.":
			m.Truncated = true
		case "huge.example.org.":
			for range 1300 {
				record, _ := dns.NewRR("huge.example.org. 60 IN TXT " + strings.Repeat("x", 20))
				m.Answer = append(m.Answer, record)
			}
		}
		_ = w.WriteMsg(m)
	})
	servers := make(map[bool]netip.AddrPort)
	started := make(chan struct{}, 2)
	for _, overTCP := range []bool{false, true} {
		s := &dns.Server{Addr: "127.0.0.1:0", Net: "udp", Handler: handler, NotifyStartedFunc: func() { started <- struct{}{} }}
		if overTCP {
			s.Net = "tcp"
		}
		go func() { _ = s.ListenAndServe() }()
		t.Cleanup(func() { _ = s.Shutdown() })
		<-started
		if overTCP {
			servers[true] = s.Listener.Addr().(*net.TCPAddr).AddrPort()
		} else {
			servers[false] = s.PacketConn.LocalAddr().(*net.UDPAddr).AddrPort()
		}
	}
	const ok = "NOERROR with the expected record"
	for _, tt := range []struct {
		query Query
		want  result
	}{
		{Query{Name: "www.example.org", Type: "A"}, pass(ok)},
		{Query{Name: "WWW.example.ORG.", Type: "A", Answer: "192.0.2.2"}, pass(ok)},
		{Query{Name: "www.example.org", Type: "A", Answer: "192.0.2.3"}, fail(`no A record "192.0.2.3" in the answer`)},
		{Query{Name: "six.example.org", Type: "AAAA", Answer: "2001:0DB8::0:1"}, pass(ok)},
		{Query{Name: "alias.example.org", Type: "CNAME", Answer: "WWW.example.org"}, pass(ok)},
		{Query{Name: "text.example.org", Type: "TXT", Answer: "hello"}, pass(ok)},
		{Query{Name: "mail.example.org", Type: "MX", Answer: "10  mx.example.org."}, pass(ok)},
		{Query{Name: "mail.example.org", Type: "MX", Answer: "20 mx.example.org."}, fail(`no MX record "20 mx.example.org." in the answer`)},
		{Query{Name: "www.example.org", Type: "AAAA"}, fail("no AAAA record in the answer")},
		{Query{Name: "refused.example.org", Type: "A"}, fail("REFUSED, want NOERROR")},
		{Query{Name: "other.example.org", Type: "A"}, fail("the answer is to another question")},
		{Query{Name: "long.example.org", Type: "A"}, fail("the answer is truncated: ask over TCP")},
	} {
		for overTCP, addr := range servers {
			tt.query.TCP = overTCP
			if got, _ := probeOnce(typed(DNS, addr, 10*time.Second, func(c *Config) { c.Query = tt.query })); got != tt.want {
				t.Errorf("%+v: %+v, want %+v", tt.query, got, tt.want)
			}
		}
	}
	huge := typed(DNS, servers[true], 10*time.Second, func(c *Config) { c.Query = Query{Name: "huge.example.org", Type: "TXT", TCP: true} })
	if got, _ := probeOnce(huge); got != pass(ok) {
		t.Errorf("an answer of 64 KiB: %+v", got)
	}
}

func FuzzNameServer(f *testing.F) {
	good := new(dns.Msg)
	good.SetQuestion("example.org.", dns.TypeA)
	good.Response = true
	record, err := dns.NewRR("example.org. 60 IN A 192.0.2.1")
	if err != nil {
		f.Fatal(err)
	}
	good.Answer = []dns.RR{record}
	packed, err := good.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte{})
	f.Add(packed[:len(packed)-3])
	target := typed(DNS, testAddr, 10*time.Second, func(c *Config) { c.Query = Query{Name: "example.org", Type: "A", TCP: true} })
	known := `malformed answer
no A record in the answer
connection closed before a response
the answer is to another question
the answer is truncated: ask over TCP`
	f.Fuzz(func(t *testing.T, message []byte) {
		got := pipe(func(c net.Conn) {
			asked := make([]byte, 512)
			n, _ := c.Read(asked)
			for n < 4 { // the length, then the message, which begins with its number
				more, _ := c.Read(asked[n:])
				n += more
			}
			if len(message) >= 2 {
				copy(message, asked[2:4])
			}
			_, _ = c.Write(append([]byte{byte(len(message) >> 8), byte(len(message))}, message[:min(len(message), 65535)]...))
		}).probe(t.Context(), target)
		passes := got == pass("NOERROR with the expected record")
		if !passes && (got.outcome != failed || !strings.Contains(known, got.reason) && !strings.HasSuffix(got.reason, ", want NOERROR")) {
			t.Errorf("%+v", got)
		}
	})
}

func TestNameServersThatLie(t *testing.T) {
	garbage := serveUDP(t, func([]byte) []byte { return []byte("garbage") })
	strangers := serveUDP(t, func(b []byte) []byte { b[0]++; b[2] |= 0x80; return b })
	query := func(c *Config) { c.Query = Query{Name: "example.org", Type: "A"} }
	for name, tt := range map[string]struct {
		addr netip.AddrPort
		want string
	}{
		"garbage":          {garbage, "malformed answer"},
		"another's answer": {strangers, "timeout after 200ms while waiting for the answer"},
	} {
		if got, _ := probeOnce(typed(DNS, tt.addr, 200*time.Millisecond, query)); got.outcome != failed || got.reason != tt.want {
			t.Errorf("%s: %+v, want %q", name, got, tt.want)
		}
	}
	short := serve(t, hear("\xff\xffonly a little"))
	over := typed(DNS, short, time.Second, func(c *Config) { c.Query = Query{Name: "example.org", Type: "A", TCP: true} })
	if got, _ := probeOnce(over); got != fail(hungUpEarly) {
		t.Errorf("cut short over TCP: %+v", got)
	}
}

func TestMailServers(t *testing.T) {
	// script answers line by line; the first is the greeting.
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
		want  result
	}{
		{"works", script("220 mx ESMTP\r\n", "250-mx\r\n250 SIZE\r\n", "221 bye\r\n"), pass("greeted")},
		{"greets at length", script("220-mx\r\n220 ESMTP\r\n", "250 mx\r\n", "221 bye\r\n"), pass("greeted")},
		{"never says goodbye", func(c *net.TCPConn) {
			script("220 mx\r\n", "250 mx\r\n")(c)
			untilGone(c)
		}, pass("greeted")},
		{"is rude at the end", script("220 mx\r\n", "250 mx\r\n"), pass("greeted")},
		{"is full", script("421 mx too busy\r\n"), fail("greeting 421, want 220")},
		{"does not like us", script("220 mx\r\n", "550 go away\r\n"), fail("reply to EHLO 550, want 250")},
		{"hangs up", func(*net.TCPConn) {}, fail("connection closed before the greeting")},
		{"hangs up when greeted", script("220 mx\r\n"), fail("connection closed before the reply to EHLO")},
		{"is something else", script("SSH-2.0-x\r\n"), fail("malformed greeting")},
		{"says nothing", untilGone[*net.TCPConn], fail("timeout after 300ms while waiting for the greeting")},
		{"never comes to the point", func(c *net.TCPConn) {
			for {
				if _, err := io.WriteString(c, "220-and\r\n"); err != nil {
					return
				}
			}
		}, fail("malformed greeting")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeftovers(t)
			if got, _ := probeOnce(typed(SMTP, serve(t, tt.serve), 300*time.Millisecond, func(*Config) {})); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// What a server says to a farewell has its own time: it is no part of how fast the server answers.
func TestFarewellIsShort(t *testing.T) {
	addr := serve(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		_, _ = io.WriteString(c, "220 mx\r\n")
		_, _ = in.ReadString('\n')
		_, _ = io.WriteString(c, "250 mx\r\n")
		untilGone(c)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got := newProber().probe(ctx, typed(SMTP, addr, time.Minute, func(*Config) {})); got != pass("greeted") || ctx.Err() != nil {
		t.Errorf("%+v, %v", got, ctx.Err())
	}
}

func FuzzMailServer(f *testing.F) {
	for _, seed := range []string{"220 mx\r\n250 mx\r\n221 bye\r\n", "220-mx\r\n220 x\r\n", "421 no\r\n", "SSH-2.0\r\n", "", "220 mx\r\n250-"} {
		f.Add(seed)
	}
	target := typed(SMTP, testAddr, 10*time.Second, func(*Config) {})
	f.Fuzz(func(t *testing.T, said string) {
		got := pipe(func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, said)
		}).probe(t.Context(), target)
		// The last is what a pipe in memory says where a connection would be reset.
		words := []string{"malformed ", "greeting ", "reply to EHLO ", "connection closed before the ", "io: read/write on closed pipe"}
		known := slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(got.reason, w) })
		if got != pass("greeted") && (got.outcome != failed || !known) {
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
		want     result
	}{
		{l, "", pass("SERVING")},
		{l, "shop.Orders", fail("NOT_SERVING, want SERVING")},
		{l, "shop.Refunds", fail("the health service does not know the service asked about")},
		{bare, "", fail("the server has no health service")},
	} {
		addr := tt.listener.Addr().(*net.TCPAddr).AddrPort()
		if got, _ := probeOnce(typed(GRPC, addr, 10*time.Second, func(c *Config) { c.Service = tt.service })); got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.service, got, tt.want)
		}
	}
}

func TestPing(t *testing.T) {
	noLeftovers(t)
	ns := nstest.New(t)
	silent := fail("network is unreachable")
	silent.silent = true
	for addr, want := range map[string]result{"127.0.0.1": pass("echo reply"), "::1": pass("echo reply"), "192.0.2.1": silent} {
		ns.Do(func() {
			target := typed(Ping, netip.AddrPortFrom(netip.MustParseAddr(addr), 0), 500*time.Millisecond, func(*Config) {})
			if err := target.validate(); err != nil {
				t.Error(err)
			}
			if got, _ := probeOnce(target); got != want {
				t.Errorf("%s: %+v, want %+v", addr, got, want)
			}
		})
	}
}

// Probes come from the source that is wanted, and what the director has not is not the server's failure.
func TestSource(t *testing.T) {
	from := make(chan netip.Addr, 1)
	addr := serve(t, func(c *net.TCPConn) { from <- c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr() })
	want := netip.MustParseAddr("127.0.0.7")
	target := typed(TCP, addr, 5*time.Second, func(c *Config) { c.Source = want })
	stranger := target
	stranger.Config.Source = netip.MustParseAddr("192.0.2.250")
	for way, probe := range ways {
		if got, _ := probe(target); got.outcome != passed {
			t.Errorf("by %s: %+v", way, got)
		}
		if got := <-from; got != want {
			t.Errorf("by %s: came from %s", way, got)
		}
		if got, _ := probe(stranger); got != (result{outcome: notRun, reason: "cannot assign requested address"}) {
			t.Errorf("by %s, from an address that is not ours: %+v", way, got)
		}
	}
}
