// SPDX-License-Identifier: Apache-2.0

package via_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe/via"
)

// lead makes the present namespace send marked packets for the VIP to the server. It replaces IPVS, which would do so
// before the kernel sees that the VIP is its own.
func lead(t *testing.T, mark uint32, vip, server netip.Addr) {
	t.Helper()
	const marked = 100
	link, err := netlink.LinkByName("d0")
	if err != nil {
		t.Error(err)
		return
	}
	family := netlink.FAMILY_V4
	if vip.Is6() {
		family = netlink.FAMILY_V6
	}
	rule := func(priority, table int, mark uint32) *netlink.Rule {
		r := netlink.NewRule()
		r.Family, r.Priority, r.Table, r.Mark = family, priority, table, mark
		return r
	}
	bits := vip.BitLen()
	errs := []error{
		netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Table: marked, Gw: server.AsSlice(),
			Dst: &net.IPNet{IP: vip.AsSlice(), Mask: net.CIDRMask(bits, bits)}}),
		netlink.RuleAdd(rule(2, unix.RT_TABLE_LOCAL, 0)),
		netlink.RuleAdd(rule(1, marked, mark)),
		netlink.RuleDel(rule(0, unix.RT_TABLE_LOCAL, 0)),
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("lead mark %d to %s: %v", mark, server, err)
	}
}

// serveWeb answers HTTP requests, until the test ends, with the address that they come from.
func serveWeb(t *testing.T, ns *probetest.NS, addr string) {
	t.Helper()
	var listener net.Listener
	ns.Do(func() {
		var err error
		if listener, err = net.Listen("tcp", addr); err != nil {
			t.Error(err)
		}
	})
	if listener == nil {
		return
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s for %s", r.RemoteAddr, r.Host)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// A check that sends something goes through the VIP on a backup and on a master: from the director's own address, and
// with the mark. It fails on a server without the VIP, and on one that listens on its own address only.
func TestWordsThroughTheVIP(t *testing.T) {
	probetest.NoLeftovers(t)
	const mark = 0x74000003
	for _, tt := range []struct{ family, director, vip, bits, prefix, server string }{
		{"IPv4", "192.0.2.2", "192.0.2.100", "32", "24", "192.0.2.11"},
		{"IPv6", "2001:db8::2", "2001:db8::100", "128", "64", "2001:db8::11"},
	} {
		for _, c := range []struct {
			name   string
			vip    bool
			listen string
			want   healthcheck.Result
		}{
			{"as it should be", true, "", healthcheck.Pass("status 200 with the expected body")},
			{"without the VIP", false, "", probetest.Fail("timeout after 700ms while connecting through the VIP")},
			{"listens on its own address only", true, tt.server, probetest.Fail("connection refused")},
		} {
			t.Run(tt.family+", "+c.name, func(t *testing.T) {
				t.Parallel() // mostly waits
				director, web := probetest.NewNS(t), probetest.NewNS(t)
				for _, ns := range []*probetest.NS{director, web} {
					ns.Do(func() { noDetection(t) })
				}
				probetest.Veth(t, director, "d0", web, "w0")
				vip, server := netip.MustParseAddr(tt.vip), netip.MustParseAddr(tt.server)
				web.Do(func() {
					probetest.HideLoopback(t)
					probetest.Give(t, "w0", tt.server+"/"+tt.prefix)
					if c.vip {
						probetest.Give(t, "lo", tt.vip+"/"+tt.bits)
					}
				})
				serveWeb(t, web, net.JoinHostPort(c.listen, "80"))
				director.Do(func() {
					probetest.Give(t, "d0", tt.director+"/"+tt.prefix)
					lead(t, mark, vip, server)
					probetest.Write(t, "/proc/sys/net/ipv4/conf/d0/accept_local", "1")
				})
				timeout := 5 * time.Second
				if strings.HasPrefix(c.want.Reason, "timeout") {
					timeout = 700 * time.Millisecond
				}
				target := probetest.Target(healthcheck.HTTP, netip.AddrPortFrom(server, 80), timeout, func(c *healthcheck.Config) {
					c.Via, c.Mark = vip, mark
					own, host := net.JoinHostPort(tt.director, ""), tt.vip
					if vip.Is6() {
						host = "[" + host + "]"
					}
					c.Content.Matches = "^" + regexp.QuoteMeta(own) + "[0-9]+ for " + regexp.QuoteMeta(host) + "$"
				})
				if err := target.Validate(); err != nil {
					t.Error(err)
				}
				plain := target
				plain.Config.Via, plain.Config.Mark, plain.Config.Content = netip.Addr{}, 0, healthcheck.Content{}
				plain.Config.Source = netip.MustParseAddr(tt.director)
				plain.Config.Timeout = 5 * time.Second
				director.Do(func() { awaitNeighbour(t, plain) })
				inBothRoles(t, director, tt.vip+"/"+tt.bits, target, c.want, plain, true)
			})
		}
	}
}

func TestReturnInterfaces(t *testing.T) {
	ns, other := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, ns, "d0", other, "o0")
	probetest.Veth(t, ns, "d1", other, "o1")
	ns.Do(func() {
		probetest.Give(t, "d0", "192.0.2.2/24")
		probetest.Give(t, "d1", "198.51.100.2/24")
		for _, c := range []struct {
			server, source string
			want           []string
		}{
			{"192.0.2.11", "", []string{"d0"}},
			{"192.0.2.11", "198.51.100.2", []string{"d0", "d1"}},
			{"127.0.0.1", "", nil},
			{"203.0.113.1", "", nil},
		} {
			target := probetest.Target(healthcheck.HTTP, netip.AddrPortFrom(netip.MustParseAddr(c.server), 80), time.Second, func(to *healthcheck.Config) {
				to.Via, to.Mark = netip.MustParseAddr("192.0.2.100"), 7
				to.Source, _ = netip.ParseAddr(c.source)
			})
			if got, err := via.ReturnInterfaces(&target); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s from %q: %v %v, want %v", c.server, c.source, got, err, c.want)
			}
		}
	})
}

// Checks that prove nothing through the VIP are refused before they run.
func TestWhatCannotGoThroughTheVIP(t *testing.T) {
	for _, c := range []struct {
		typ    healthcheck.Type
		mark   uint32
		expect string
		server string
		want   string
	}{
		{healthcheck.TCP, 0, "", "192.0.2.11", ""},
		{healthcheck.TCP, 0, "hello", "192.0.2.11", "checks through the VIP that do more than connect need a firewall mark"},
		{healthcheck.HTTP, 0, "", "192.0.2.11", "checks through the VIP that do more than connect need a firewall mark"},
		{healthcheck.HTTP, 7, "", "192.0.2.11", ""},
		{healthcheck.UDP, 7, "", "192.0.2.11", `udp checks with via = "vip" need something to expect`},
		{healthcheck.UDP, 7, "pong", "192.0.2.11", ""},
		{healthcheck.Ping, 7, "", "192.0.2.11", `ping checks cannot use via = "vip"`},
		{healthcheck.HTTP, 7, "", "2001:db8::11", "VIP 192.0.2.100: of another family than 2001:db8::11"},
	} {
		target := probetest.Target(c.typ, netip.AddrPortFrom(netip.MustParseAddr(c.server), 80), time.Second, func(to *healthcheck.Config) {
			to.Via, to.Mark, to.Expect = netip.MustParseAddr("192.0.2.100"), c.mark, c.expect
		})
		got := ""
		if err := target.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s with mark %d, expecting %q: %q, want %q", c.typ, c.mark, c.expect, got, c.want)
		}
	}
}

// A UDP server that has the VIP, but answers from its own address, fails: no client accepts such an answer. Many servers
// that listen on all addresses do this.
func TestAnswerFromTheWrongAddress(t *testing.T) {
	const mark = 0x74000003
	director, server := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, director, "d0", server, "w0")
	vip, own := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.11")
	director.Do(func() {
		probetest.Give(t, "d0", "192.0.2.2/24")
		lead(t, mark, vip, own)
	})
	server.Do(func() {
		probetest.HideLoopback(t)
		probetest.Give(t, "w0", "192.0.2.11/24")
		probetest.Give(t, "lo", "192.0.2.100/32")
	})
	for listen, want := range map[string]healthcheck.Result{
		"192.0.2.100:53": healthcheck.Pass("answered as expected"),
		":53":            {Outcome: healthcheck.Failed, Reason: "timeout after 500ms while waiting for the expected answer", Silent: true},
	} {
		stop := echo(t, server, listen)
		timeout := 5 * time.Second
		if want.Silent {
			timeout = 500 * time.Millisecond
		}
		target := probetest.Target(healthcheck.UDP, netip.AddrPortFrom(own, 53), timeout, func(c *healthcheck.Config) {
			c.Send, c.Expect, c.Via, c.Mark = "hello", "hello", vip, mark
		})
		director.Do(func() {
			if got, _ := probeOnce(target); got != want {
				t.Errorf("listening on %q: %+v, want %+v", listen, got, want)
			}
			target.Config.Via, target.Config.Timeout = netip.Addr{}, 5*time.Second
			if got, _ := probeOnce(target); listen == ":53" && got != healthcheck.Pass("answered as expected") {
				t.Errorf("a plain check: %+v", got)
			}
		})
		stop()
	}
}

// What the director lacks is not the server's failure.
func TestNoSourceForTheVIP(t *testing.T) {
	ns, other := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, ns, "d0", other, "o0")
	ns.Do(func() {
		probetest.Give(t, "d0", "192.0.2.100/24")
		for server, want := range map[string]healthcheck.Result{
			"192.0.2.11":   {Outcome: healthcheck.NotRun, Reason: "d0 has no address of this director's own in the network of 192.0.2.11"},
			"198.51.100.1": {Outcome: healthcheck.Failed, Reason: "network is unreachable", Silent: true},
		} {
			target := probetest.Target(healthcheck.HTTP, netip.AddrPortFrom(netip.MustParseAddr(server), 80), time.Second, func(c *healthcheck.Config) {
				c.Via, c.Mark = netip.MustParseAddr("192.0.2.100"), 7
			})
			if got, _ := probeOnce(target); got != want {
				t.Errorf("%s: %+v, want %+v", server, got, want)
			}
		}
	})
}

// echo sends every datagram back, until stop.
func echo(t *testing.T, ns *probetest.NS, listen string) (stop func()) {
	t.Helper()
	var conn net.PacketConn
	ns.Do(func() {
		var err error
		if conn, err = net.ListenPacket("udp4", listen); err != nil {
			t.Error(err)
		}
	})
	if conn == nil {
		t.FailNow()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	return func() {
		_ = conn.Close()
		<-done
	}
}

// inBothRoles checks what a probe through the VIP finds on a backup, and then on a master, which has the VIP itself on d0. If the
// server answers, a plain probe passes in both roles.
func inBothRoles(
	t *testing.T, director *probetest.NS, vip string, through healthcheck.Target, want healthcheck.Result, plain healthcheck.Target, answers bool,
) {
	t.Helper()
	for _, role := range []string{"backup", "master"} {
		director.Do(func() {
			if role == "master" {
				probetest.Give(t, "d0", vip)
			}
			if got, _ := probeOnce(through); got != want {
				t.Errorf("%s: %+v, want %+v", role, got, want)
			}
			if got, _ := probeOnce(plain); answers && got.Outcome != healthcheck.Passed {
				t.Errorf("%s, a plain check: %+v", role, got)
			}
		})
	}
}
