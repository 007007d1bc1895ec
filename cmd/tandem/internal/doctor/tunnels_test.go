// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestFitTunnel: ways on which packets above a size are lost, with and without a router that says so.
func TestFitTunnel(t *testing.T) {
	const need = 1520
	for _, tt := range []struct {
		name   string
		known  int  // MTU of the route
		path   int  // larger packets do not pass
		says   bool // and a router says so
		split  bool
		answer Answer // to packets that arrive
		want   TunnelFit
	}{
		{"jumbo frames", 9000, 9000, false, false, Accepts, TunnelFit{need, need, false}},
		{"Ethernet", 1500, 1500, false, false, Accepts, TunnelFit{1500, 1500, false}},
		{"a narrow way, which is known", 1400, 1400, false, false, Accepts, TunnelFit{1400, 1400, false}},
		{"a narrow way, and a router says so", 1500, 1400, true, false, Accepts, TunnelFit{1400, 1400, false}},
		{"a narrow way, and nobody says so", 1500, 1400, false, false, Accepts, TunnelFit{1500, 1400, false}},
		{"a way that is less than a usual size", 1500, 1399, false, false, Accepts, TunnelFit{1500, 1380, false}},
		{"the smallest MTU of IPv6", 1500, 1280, false, false, Accepts, TunnelFit{1500, 1280, false}},
		{"just too narrow", 1500, 1499, false, false, Accepts, TunnelFit{1500, 1492, false}},
		{"only the smallest pass", 1500, 576, false, false, Accepts, TunnelFit{1500, 576, false}},
		{"a SYN with data never passes", 1500, 0, false, false, Accepts, TunnelFit{}},
		{"fragments pass", 1500, need, false, true, Accepts, TunnelFit{need, need, true}},
		{"no fragments pass", 1500, 1500, false, true, Accepts, TunnelFit{need, 1500, true}},
		{"the server refuses now", 1500, 1500, false, false, Refuses, TunnelFit{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known, asked := tt.known, 0
			got := fitTunnel(need, tt.split, func() int { return known }, func(size int) Answer {
				asked++
				switch {
				case size <= tt.path:
					return tt.answer
				case tt.says:
					known = tt.path
					return TooLarge
				}
				return Silent
			})
			if got != tt.want || asked > 8 {
				t.Errorf("%+v after %d questions, want %+v after 8 at most", got, asked, tt.want)
			}
		})
	}
	asked := 0
	if got := fitTunnel(need, false, func() int { return 1500 }, func(int) Answer { asked++; return TooLarge }); got != (TunnelFit{}) || asked > 4 {
		t.Errorf("a way that never becomes known: %+v after %d questions", got, asked)
	}
}

const pairFile6 = `
name = "lb1"
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
vips = ["2001:db8::100/64"]
[[service]]
name = "www"
virtual = "[2001:db8::100]:80"
scheduler = "wrr"
method = "tunnel"
  [[service.server]]
  address = "2001:db8:f::11"
`

// TestTunnelsOverIPv6: what the doctor says of tunnels of IPv6 in IPv6. Their header is 40 bytes, routers on the way never split
// packets, and the kernel's pmtu_disc does not concern them.
func TestTunnelsOverIPv6(t *testing.T) {
	c := parsed(t, pairFile6)
	asks := "a client's full packet with the tunnel's header needs 1540; the director asks clients by ICMP to send smaller ones"
	for _, tt := range []struct {
		name   string
		route  Route // to the server
		pmtu   string
		answer ServerAnswers
		want   string // the only finding; empty: none
		says   string
	}{
		{"no route", Route{}, "1", ServerAnswers{}, "", ""},
		{"room for the header", Route{Interface: "eth0", MTU: 1540}, "1", ServerAnswers{}, "", ""},
		{"Ethernet as it usually is", Route{Interface: "eth0", MTU: 1500}, "1", ServerAnswers{}, "", ""},
		{"and pmtu_disc, which is for IPv4", Route{Interface: "eth0", MTU: 1500}, "0", ServerAnswers{}, "", ""},
		{"a narrow route", Route{Interface: "eth0", MTU: 1400}, "1", ServerAnswers{}, "tunnel-mtu", asks},
		{"and pmtu_disc, which does not split it", Route{Interface: "eth0", MTU: 1400}, "0", ServerAnswers{}, "tunnel-mtu", asks},
		{"how to widen it", Route{Interface: "eth0", MTU: 1400}, "1", ServerAnswers{}, "tunnel-mtu", "or `ip link set eth0 mtu 1540` here, and the same on the whole path"},
		{"how TCP clients send packets that fit: 40 bytes each for the tunnel and for IPv6, 20 for TCP", Route{Interface: "eth0", MTU: 1400}, "1", ServerAnswers{},
			"tunnel-mtu", "fix: run `ip -6 route replace default via ROUTER advmss 1300` on the real servers, so that TCP clients send packets that fit; or"},
		{"a narrow route, by which the largest packets arrive", Route{Interface: "eth0", MTU: 1400}, "1",
			ServerAnswers{Through: Accepts, Large: TunnelFit{Size: 1400, Arrives: 1400}}, "", ""},
		{"large packets are lost", Route{Interface: "eth0", MTU: 1500, Gateway: netip.MustParseAddr("fe80::1")}, "1",
			ServerAnswers{Through: Accepts, Large: TunnelFit{Size: 1500, Arrives: 1280}}, "tunnel-mtu",
			"`ip -6 route replace 2001:db8:f::11/128 via fe80::1 dev eth0 mtu 1280` on both directors, so that they ask clients by ICMP for smaller packets; " +
				"for TCP clients that do not get this ICMP, run `ip -6 route replace default via ROUTER advmss 1180` on the real servers; better, let ICMP"},
		{"IPv6 in IPv6 is dropped", Route{Interface: "eth0", MTU: 1500}, "1", ServerAnswers{Through: Silent, Wrapped: Silent}, "tunnel-dropped", "IP protocol 41"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := netip.MustParseAddr("2001:db8:f::11")
			s := master().snapshot
			s.Links = map[string]vrrp.Link{"eth0": {Name: "eth0", Index: 2, Up: true, Carrier: true, MTU: 1500,
				Addrs: []netip.Prefix{netip.MustParsePrefix("2001:db8::2/64"), netip.MustParsePrefix("2001:db8::100/64")}}}
			s.Owners = map[string][]garp.Owner{}
			s.Status = &control.Status{VRRP: []control.Router{{Name: "web", State: "master", Since: asked.Add(-time.Minute)}}}
			s.Routes = map[netip.Addr]Route{server: tt.route}
			s.Sysctls[pmtuDiscovery] = tt.pmtu
			tt.answer.Service, tt.answer.Own = "www", Accepts
			tt.answer.Server, tt.answer.VIP = netip.AddrPortFrom(server, 80), netip.MustParseAddrPort("[2001:db8::100]:80")
			s.Servers = []ServerAnswers{tt.answer}
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			got := Director(c, s)
			if !slices.Equal(ids(got), want) {
				t.Fatalf("%+v, want %v", got, want)
			}
			if len(got) > 0 && !strings.Contains(got[0].String(), tt.says) {
				t.Errorf("%q does not say %q", got[0], tt.says)
			}
		})
	}
}
