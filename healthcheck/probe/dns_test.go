// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

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
		query healthcheck.Query
		want  healthcheck.Result
	}{
		{healthcheck.Query{Name: "www.example.org", Type: "A"}, healthcheck.Pass(ok)},
		{healthcheck.Query{Name: "WWW.example.ORG.", Type: "A", Answer: "192.0.2.2"}, healthcheck.Pass(ok)},
		{healthcheck.Query{Name: "www.example.org", Type: "A", Answer: "192.0.2.3"}, probetest.Fail(`no A record "192.0.2.3" in the answer`)},
		{healthcheck.Query{Name: "six.example.org", Type: "AAAA", Answer: "2001:0DB8::0:1"}, healthcheck.Pass(ok)},
		{healthcheck.Query{Name: "alias.example.org", Type: "CNAME", Answer: "WWW.example.org"}, healthcheck.Pass(ok)},
		{healthcheck.Query{Name: "text.example.org", Type: "TXT", Answer: "hello"}, healthcheck.Pass(ok)},
		{healthcheck.Query{Name: "mail.example.org", Type: "MX", Answer: "10  mx.example.org."}, healthcheck.Pass(ok)},
		{healthcheck.Query{Name: "mail.example.org", Type: "MX", Answer: "20 mx.example.org."}, probetest.Fail(`no MX record "20 mx.example.org." in the answer`)},
		{healthcheck.Query{Name: "www.example.org", Type: "AAAA"}, probetest.Fail("no AAAA record in the answer")},
		{healthcheck.Query{Name: "refused.example.org", Type: "A"}, probetest.Fail("REFUSED, want NOERROR")},
		{healthcheck.Query{Name: "other.example.org", Type: "A"}, probetest.Fail("the answer is to another question")},
		{healthcheck.Query{Name: "long.example.org", Type: "A"}, probetest.Fail("the answer is truncated: ask over TCP")},
	} {
		for overTCP, addr := range servers {
			tt.query.TCP = overTCP
			if got, _ := probeOnce(probetest.Target(healthcheck.DNS, addr, 10*time.Second, func(c *healthcheck.Config) { c.Query = tt.query })); got != tt.want {
				t.Errorf("%+v: %+v, want %+v", tt.query, got, tt.want)
			}
		}
	}
	huge := probetest.Target(healthcheck.DNS, servers[true], 10*time.Second, func(c *healthcheck.Config) {
		c.Query = healthcheck.Query{Name: "huge.example.org", Type: "TXT", TCP: true}
	})
	if got, _ := probeOnce(huge); got != healthcheck.Pass(ok) {
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
	target := probetest.Target(healthcheck.DNS, probetest.Addr, 10*time.Second, func(c *healthcheck.Config) { c.Query = healthcheck.Query{Name: "example.org", Type: "A", TCP: true} })
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
		}).Probe(t.Context(), &target)
		passes := got == healthcheck.Pass("NOERROR with the expected record")
		if !passes && (got.Outcome != healthcheck.Failed || !strings.Contains(known, got.Reason) && !strings.HasSuffix(got.Reason, ", want NOERROR")) {
			t.Errorf("%+v", got)
		}
	})
}

func TestNameServersThatLie(t *testing.T) {
	garbage := serveUDP(t, func([]byte) []byte { return []byte("garbage") })
	strangers := serveUDP(t, func(b []byte) []byte { b[0]++; b[2] |= 0x80; return b })
	query := func(c *healthcheck.Config) { c.Query = healthcheck.Query{Name: "example.org", Type: "A"} }
	for name, tt := range map[string]struct {
		addr netip.AddrPort
		want string
	}{
		"garbage":          {garbage, "malformed answer"},
		"another's answer": {strangers, "timeout after 200ms while waiting for the answer"},
	} {
		timeout := probetest.Timeout(tt.want, 200*time.Millisecond)
		if got, _ := probeOnce(probetest.Target(healthcheck.DNS, tt.addr, timeout, query)); got.Outcome != healthcheck.Failed || got.Reason != tt.want {
			t.Errorf("%s: %+v, want %q", name, got, tt.want)
		}
	}
	short := probetest.Serve(t, probetest.Hear("\xff\xffonly a little"))
	over := probetest.Target(healthcheck.DNS, short, 30*time.Second, func(c *healthcheck.Config) { c.Query = healthcheck.Query{Name: "example.org", Type: "A", TCP: true} })
	if got, _ := probeOnce(over); got != probetest.Fail("connection closed before a response") {
		t.Errorf("cut short over TCP: %+v", got)
	}
}
