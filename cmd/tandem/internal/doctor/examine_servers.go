// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/lvs"
)

// servers judges the answers of the real servers. Servers of a service with the same fault are one finding. Servers that operators
// have taken out of use are not judged.
func (e *examination) servers() {
	type fault struct {
		service string
		diagnosis.Finding
	}
	var faults []fault
	names := make(map[fault][]string)
	for _, s := range e.snapshot.Servers {
		f := e.faultOf(s)
		if f.ID == "" || e.isOut(s) || e.isElsewhere(s) || e.isBehindSilence(s) {
			continue
		}
		key := fault{s.Service, f}
		if names[key] == nil {
			faults = append(faults, key)
		}
		names[key] = append(names[key], s.Server.Addr().String())
	}
	for _, f := range faults {
		f.What = fmt.Sprintf("%s of %s: %s", listServers(names[f]), f.service, f.What)
		e.add(f.Finding)
	}
}

// listServers names real servers.
func listServers(names []string) string {
	const most = 5
	server := "server"
	if len(names) > 1 {
		server = "servers"
	}
	list := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "real " + server + " " + list
}

// faultOf returns the finding about the answers of one server. If they are as they should be, the finding has no ID.
func (e *examination) faultOf(s ServerAnswers) diagnosis.Finding {
	const passes = "a check of the server's own address passes, and clients that are sent to it get no answer"
	const right = "if that is wrong in the file, correct it on both directors, and run `tandem reload`"
	f := diagnosis.Finding{Severity: diagnosis.Error, Why: passes}
	switch {
	case s.Own == Unreachable:
		f.ID, f.Severity, f.Why = "server-unreachable", diagnosis.Warning, "no client can be sent there"
		f.What, f.Mend = "no answer to address resolution, or no route to it", "check the machine, its cable and its address; "+right
	case s.Own == Refuses && s.Through != Accepts:
		f.ID, f.Severity, f.Why = "server-refuses", diagnosis.Warning, "clients that are sent there are refused"
		f.What = fmt.Sprintf("port %d refuses connections", s.Server.Port())
		f.Mend = "start the server program there; " + right
	case s.Own == Silent && s.Through != Accepts:
		f.ID, f.Severity, f.Why = "server-silent", diagnosis.Warning, "clients that are sent there wait in vain"
		f.What = fmt.Sprintf("no answer at port %d", s.Server.Port())
		f.Mend = fmt.Sprintf("let TCP port %d pass in its firewall and on the way, and check its server program; %s", s.Server.Port(), right)
	case s.Own != Accepts:
		return diagnosis.Finding{}
	case s.Through == NoTunnel:
		f.ID, f.What = "server-lacks-tunnel", "packets of a tunnel are not unwrapped there"
		f.Mend = fmt.Sprintf("run `tandem realserver apply --vip %s --mode tunnel` on it", s.VIP.Addr())
	case s.Wrapped == Silent:
		f.ID, f.What = "tunnel-dropped", "connections are answered, and none in a tunnel, not even to the server's own address"
		f.Mend = fmt.Sprintf("let IP protocol %d pass on the way and in the server's firewall; if it passes, run `tandem realserver apply --vip %s --mode tunnel` on the server",
			tunnelProtocol(s.Server.Addr()), s.VIP.Addr())
	case s.Wrapped == Accepts:
		f.ID, f.What = "server-lacks-vip", fmt.Sprintf("connections in a tunnel to its own address are answered, and those to %s not: it lacks the VIP, "+
			"or a router drops its answers, which have the VIP as source (rp_filter)", s.VIP)
		f.Mend = fmt.Sprintf("run `tandem realserver apply --vip %s --mode tunnel` on it, which prints what it lacked; if it prints nothing, it is the router "+
			"between the servers and the clients: sysctl -w net.ipv4.conf.all.rp_filter=2 there, and the same for its interface to the servers", s.VIP.Addr())
	case s.Through == Silent:
		f.ID, f.What = "server-lacks-vip", fmt.Sprintf("connections to its own address are answered, and those to %s not", s.VIP)
		f.Mend = fmt.Sprintf("run `tandem realserver apply --vip %s` on it, and let the VIP pass in its firewall", s.VIP.Addr())
	case s.Through == Refuses:
		f.ID, f.What = "server-refuses-vip", fmt.Sprintf("connections to its own address are accepted, and those to %s refused", s.VIP)
		f.Why = "a check of the server's own address passes, and clients that are sent to it are refused"
		f.Mend = "configure the server program there to listen on the VIP or on all addresses"
	case s.Back == Silent:
		f.ID, f.What = "answers-elsewhere", "answers to clients of other networks do not come to this director"
		f.Why = "with method nat they must pass the master; the server's default route is missing, or leads to another machine"
		f.Mend = e.natRoute(s.Server.Addr())
	default:
		return diagnosis.Finding{}
	}
	return f
}

// serversFail reports whether the doctor itself finds a fault of a real server.
func (e *examination) serversFail() bool {
	return slices.ContainsFunc(e.snapshot.Servers, func(s ServerAnswers) bool {
		return e.faultOf(s).ID != "" && !e.isOut(s) && !e.isElsewhere(s) && !e.isBehindSilence(s)
	})
}

// asked reports whether the doctor itself knows why a server does not answer clients.
func (e *examination) asked(u api.Unanswered) bool {
	return slices.ContainsFunc(e.snapshot.Servers, func(s ServerAnswers) bool {
		return s.Service+"/"+s.Server.String() == u.Server && e.faultOf(s).ID != ""
	})
}

// tunnelProtocol is the number of IP in IP of a family.
func tunnelProtocol(server netip.Addr) int {
	const ipip, ipv6 = 4, 41
	if server.Is6() {
		return ipv6
	}
	return ipip
}

// natRoute returns the command that gives a real server of method nat its default route.
func (e *examination) natRoute(server netip.Addr) string {
	for _, r := range e.config.Routers {
		for _, vip := range r.VIPs {
			if vip.Contains(server) {
				return fmt.Sprintf("run `tandem realserver apply --vip %s --mode nat` on it", vip.Addr())
			}
		}
	}
	return "give the directors a VIP in the server's network, and make it the server's default route (`tandem realserver apply --mode nat`)"
}

// isBehindSilence reports whether the way to a server is by an interface on which nobody answers, which is a finding of its own.
func (e *examination) isBehindSilence(s ServerAnswers) bool {
	return e.isIsolated(e.snapshot.Routes[s.Server.Addr()].Interface)
}

// isElsewhere reports whether a server of method dr is in none of this machine's networks, which is a finding of its own.
func (e *examination) isElsewhere(s ServerAnswers) bool {
	for _, svc := range e.config.Services {
		for _, srv := range svc.Servers {
			if svc.Name == s.Service && srv.Addr == s.Server.Addr() && srv.Method == lvs.DR {
				return !e.snapshot.onLink(srv.Addr)
			}
		}
	}
	return false
}

// isOut reports whether an operator has taken a server out of use.
func (e *examination) isOut(s ServerAnswers) bool {
	if e.snapshot.Status == nil {
		return false
	}
	for _, svc := range e.snapshot.Status.Services {
		for _, srv := range svc.Servers {
			if svc.Name == s.Service && srv.Address == s.Server.Addr() && (srv.Drained || srv.Disabled || srv.Maintenance != "") {
				return true
			}
		}
	}
	return false
}
