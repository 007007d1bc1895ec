// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A TunnelFit is what is known about packets of full size on the way to a server of method tunnel. The zero value: nothing.
type TunnelFit struct {
	Size    int  // of the largest packets that the director sends there, with the tunnel's header
	Arrives int  // the largest size that arrives, of those tried; if it is less than Size, larger packets are lost silently
	Split   bool // the director sends them in fragments
}

// lost reports whether large packets do not arrive, and nobody says so.
func (f TunnelFit) lost() bool { return f.Arrives < f.Size }

// Sizes that are tried if the full one is lost: the smallest that every way must carry, and those that are usual.
var tunnelSizes = []int{576, 1000, 1200, 1280, 1300, 1340, 1360, 1380, 1400, 1412, 1420, 1430, 1440, 1450, 1460, 1472, 1476, 1480,
	1492, 1500}

// fitTunnel finds out whether the largest packets arrive that the director sends, and if not, which do. mtu is what the kernel knows
// about the way. It becomes smaller when a router says that a packet is too large; ask then returns TooLarge.
func fitTunnel(need int, split bool, mtu func() int, ask func(size int) Answer) TunnelFit {
	const routers = 4 // at most, that say so one after another
	for range routers {
		size := need
		if !split {
			size = min(need, mtu())
		}
		switch ask(size) {
		case Accepts:
			return TunnelFit{size, size, split}
		case TooLarge:
			continue
		case Silent:
			smaller := tunnelSizes[:sort.SearchInts(tunnelSizes, size)]
			if len(smaller) == 0 || ask(smaller[0]) != Accepts {
				return TunnelFit{} // it is not the size
			}
			lost := sort.Search(len(smaller)-1, func(i int) bool { return ask(smaller[i+1]) != Accepts })
			return TunnelFit{size, smaller[lost], split}
		default:
			return TunnelFit{}
		}
	}
	return TunnelFit{}
}

// tunnelNeed is the size of a client's full packet on Ethernet with the tunnel's header.
func tunnelNeed(server netip.Addr) int {
	const ethernet = 1500
	if server.Is6() {
		return ethernet + ipv6HeaderLen
	}
	return ethernet + ipv4HeaderLen
}

const pmtuDiscovery = "net/ipv4/vs/pmtu_disc"

// tunnels judges whether clients' packets of full size arrive at the servers of method tunnel. It is an error if they are lost. If
// they could not be tried, a small MTU is a note.
func (e *examination) tunnels() {
	for _, svc := range e.config.Services {
		var lost []lvs.Server
		for _, srv := range svc.Servers {
			if srv.Method != lvs.Tunnel {
				continue
			}
			switch fit := e.fitOf(svc.Name, srv.Addr); {
			case fit.lost():
				lost = append(lost, srv.Server)
			case fit.Size == 0:
				e.smallMTU(svc, srv.Addr)
			}
		}
		if len(lost) > 0 {
			e.lostInTunnel(svc, lost)
		}
	}
}

// fitOf returns what the server of a service was found to receive.
func (e *examination) fitOf(service string, server netip.Addr) TunnelFit {
	i := slices.IndexFunc(e.snapshot.Servers, func(s ServerAnswers) bool { return s.Service == service && s.Server.Addr() == server })
	if i < 0 {
		return TunnelFit{}
	}
	return e.snapshot.Servers[i].Large
}

// lostInTunnel reports servers of a service that do not receive large packets.
func (e *examination) lostInTunnel(svc configs.Service, servers []lvs.Server) {
	service := svc.Name
	var names, commands []string
	fit := e.fitOf(service, servers[0].Addr)
	for _, srv := range servers {
		if f := e.fitOf(service, srv.Addr); f.Arrives < fit.Arrives {
			fit = f
		}
		names = append(names, srv.Addr.String())
	}
	for _, srv := range servers {
		commands = append(commands, e.snapshot.Routes[srv.Addr].withMTU(srv.Addr, fit.Arrives))
	}
	f := diagnosis.Finding{ID: "tunnel-mtu", Severity: diagnosis.Error,
		What: fmt.Sprintf("%s of %s: packets of %d bytes in a tunnel are lost on the way, and packets of %d arrive",
			listServers(names), service, fit.Size, fit.Arrives),
		Why: "small requests work, and large ones hang: nobody tells the director that its packets are too large",
		Mend: fmt.Sprintf("run `%s` on both directors, so that they ask clients by ICMP for smaller packets; %s; better, let ICMP type 3 "+
			"code 4 (IPv6: type 2) pass on the way back to the directors, or raise the MTU there to %d",
			strings.Join(commands, " && "), withoutICMP(svc, servers[0].Addr, fit.Arrives), tunnelNeed(servers[0].Addr))}
	if fit.Split {
		f.What = fmt.Sprintf("%s of %s: packets of %d bytes in a tunnel, sent in fragments, are lost on the way",
			listServers(names), service, fit.Size)
		f.Why = "small requests work, and large ones hang: net.ipv4.vs.pmtu_disc is 0, and something on the way drops fragments"
		f.Mend = "run `sysctl -w net.ipv4.vs.pmtu_disc=1` on both directors, so that they ask clients by ICMP for smaller packets, and " +
			"keep pmtu_disc out of [lvs.sysctl]; " + withoutICMP(svc, servers[0].Addr, fit.Arrives)
	}
	e.add(f)
}

// withMTU is the command that gives the route to a server an MTU.
func (r Route) withMTU(server netip.Addr, mtu int) string {
	program, via := "ip", ""
	if server.Is6() {
		program = "ip -6"
	}
	if r.Gateway.IsValid() {
		via = " via " + r.Gateway.String()
	}
	return fmt.Sprintf("%s route replace %s%s dev %s mtu %d", program, netip.PrefixFrom(server, server.BitLen()), via, r.Interface, mtu)
}

// withoutICMP says what helps TCP clients that do not get the ICMP of the directors: the real servers answer them directly, and
// say in the answer (its MSS) how large a segment may be. mtu is that of the way through the tunnel.
func withoutICMP(svc configs.Service, server netip.Addr, mtu int) string {
	return "for TCP clients that do not get this ICMP, run `" + segmentCommand(svc, server, mtu) + "` on the real servers"
}

// segmentCommand is the command for real servers with which TCP clients send packets that fit into the tunnel.
func segmentCommand(svc configs.Service, server netip.Addr, mtu int) string {
	const tcpHeaderLen = 20
	program, inside := "ip", ipv4HeaderLen
	if svc.Virtuals[0].AddrFamily() == lvs.IPv6 {
		program, inside = "ip -6", ipv6HeaderLen
	}
	const ethernet = 1500
	segment := mtu - (tunnelNeed(server) - ethernet) - inside - tcpHeaderLen
	return fmt.Sprintf("%s route replace default via ROUTER advmss %d", program, segment)
}

// smallMTU notes that the way to a server may be too narrow.
func (e *examination) smallMTU(svc configs.Service, server netip.Addr) {
	const ethernet = 1500
	r, need := e.snapshot.Routes[server], tunnelNeed(server)
	// On Ethernet as it usually is, the director asks clients for smaller packets, and that works.
	usual := r.MTU >= ethernet && !e.snapshot.splits(server)
	what := fmt.Sprintf("by %s is %d", r.Interface, r.MTU)
	said := slices.ContainsFunc(e.findings, func(f Finding) bool { return strings.HasSuffix(f.What, what) })
	if r.MTU == 0 || r.MTU >= need || usual || said {
		return
	}
	e.add(diagnosis.Finding{ID: "tunnel-mtu", Severity: diagnosis.Note,
		What: fmt.Sprintf("the MTU of the route to %s %s", server, what),
		Why:  fmt.Sprintf("a client's full packet with the tunnel's header needs %d; %s", need, e.shrinks(server)),
		Mend: fmt.Sprintf("run `%s` on the real servers, so that TCP clients send packets that fit; or `ip link set %s mtu %d` here, and the "+
			"same on the whole path", segmentCommand(svc, server, r.MTU), r.Interface, need)})
}

// splits reports whether the director sends packets that do not fit into the tunnel to a server in fragments. It never does so with
// IPv6, whatever pmtu_disc is.
func (s *Snapshot) splits(server netip.Addr) bool {
	return server.Is4() && s.Sysctls[pmtuDiscovery] == "0"
}

// shrinks returns in words what happens to packets that do not fit into the tunnel to a server.
func (e *examination) shrinks(server netip.Addr) string {
	if e.snapshot.splits(server) {
		return "net.ipv4.vs.pmtu_disc is 0, so that the director sends it in fragments, which a firewall on the way may drop"
	}
	return "the director asks clients by ICMP to send smaller ones, and large requests of clients that do not get this ICMP hang"
}
