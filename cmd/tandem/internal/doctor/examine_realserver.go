// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// RealServer returns the findings about a real server. It uses only the services of the server's VIPs.
func RealServer(c realserver.Config, services []configs.Service, s Snapshot) []Finding {
	e := examination{snapshot: s}
	e.prepared(c)
	e.defaultRoute(c)
	e.listening(c, services)
	return sorted(e.findings)
}

const (
	answersWhy   = "the machine answers ARP for the VIP, or uses it as the source of ARP requests, so that clients bypass the director"
	noTunnelWhy  = "the kernel does not unwrap the packets that the director sends through the tunnel"
	noAddressWhy = "the machine drops the packets that the director sends to the VIP"
	noRouteWhy   = "the answers to clients do not pass through the director, which has to translate their addresses"
)

// lacking maps each missing step of `tandem realserver apply` to its finding.
var lacking = map[realserver.Action]diagnosis.Finding{
	realserver.SetSysctl:     {ID: "not-silent", Why: answersWhy},
	realserver.InstallFilter: {ID: "not-silent", Why: answersWhy},
	realserver.LoadModule:    {ID: "no-tunnel", Why: noTunnelWhy},
	realserver.LinkUp:        {ID: "no-tunnel", Why: noTunnelWhy},
	realserver.AddAddress:    {ID: "vip-missing", Why: noAddressWhy},
	realserver.AddLocalRoute: {ID: "vip-missing", Why: noAddressWhy},
	realserver.SetRoute:      {ID: "no-route", Why: noRouteWhy},
	realserver.DeleteAddress: {ID: "vip-misplaced", Why: "on a network interface the machine answers ARP for the VIP, and a prefix length makes neighbours of the VIP seem local"},
}

// prepared judges the steps that `tandem realserver apply` would run. Missing steps of one kind are one finding.
func (e *examination) prepared(c realserver.Config) {
	if e.snapshot.Refused != "" {
		e.add(diagnosis.Finding{ID: "refused", Severity: diagnosis.Error, What: e.snapshot.Refused,
			Why: "tandem realserver apply does not change this machine in its present state", Mend: "remove the cause, then run `" + e.apply() + "`"})
	}
	steps := make(map[string][]string)
	var found []diagnosis.Finding
	for _, step := range e.snapshot.Steps {
		f, ok := lacking[step.Action]
		if !ok {
			continue
		}
		if steps[f.ID] == nil {
			found = append(found, f)
		}
		steps[f.ID] = append(steps[f.ID], step.String())
	}
	for _, f := range found {
		f.Severity, f.What, f.Mend = diagnosis.Error, "these commands were not run: "+strings.Join(steps[f.ID], ", "), e.apply()
		if f.ID == "not-silent" && e.snapshot.Unclear != "" {
			f.Severity = diagnosis.Warning
			f.Why = "unless rules of another program about ARP hide the VIP, " + answersWhy + "; it is not known, because " + e.snapshot.Unclear
		}
		e.addFixable(f, fix{realServer: &c})
	}
}

// apply returns the command that prepares the machine.
func (e *examination) apply() string {
	if e.snapshot.Apply == "" {
		return "tandem realserver apply"
	}
	return e.snapshot.Apply
}

// defaultRoute judges whether a director is the default gateway. A director for direct routing drops the servers'
// answers, because their source is its own address.
func (e *examination) defaultRoute(c realserver.Config) {
	if c.Mode == realserver.NAT {
		return // whose answers go through the director
	}
	e.unrouted(c.VIPs)
	for _, g := range e.snapshot.Gateways {
		for _, owners := range e.snapshot.Owners {
			for _, o := range owners {
				if o.Hardware == g.Hardware && slices.Contains(c.VIPs, o.Address) {
					e.add(diagnosis.Finding{ID: "default-route", Severity: diagnosis.Error,
						What: fmt.Sprintf("the default route goes to %s, the director that holds %s", g.Addr, o.Address),
						Why:  "the director drops the answers to clients, because their source is its own address",
						Mend: "set the default route to the clients' router, never to a director: `ip route replace default via ROUTER`"})
				}
			}
		}
	}
}

func (e *examination) listening(c realserver.Config, services []configs.Service) {
	for _, svc := range services {
		for _, virtual := range svc.Virtuals {
			want := Socket{virtual.Protocol, netip.AddrPortFrom(virtual.Addr, virtual.Port)}
			if !slices.Contains(c.VIPs, virtual.Addr) || virtual.Port == 0 || virtual.Protocol == lvs.SCTP || e.snapshot.listensOn(want) {
				continue
			}
			what := fmt.Sprintf("no program listens on %s/%s", want.At, want.Protocol)
			if others := e.snapshot.listenersAt(want); len(others) > 0 {
				what += ", but on " + strings.Join(others, " and ") + " only"
			}
			e.add(diagnosis.Finding{ID: "not-listening", Severity: diagnosis.Error, What: what,
				Why:  "clients of " + svc.Name + " are refused, even if a check of the machine's own address passes",
				Mend: "configure the server program to listen on the VIP or on all addresses"})
		}
	}
}

// unrouted judges the default route of a real server that answers clients directly. Where the VIP is in a network of the machine,
// all clients may be there too: then a missing default route is a fault only if packets had no route.
func (e *examination) unrouted(vips []netip.Addr) {
	i := slices.IndexFunc(vips, netip.Addr.Is4)
	if !e.snapshot.Routeless || i < 0 {
		return
	}
	f := diagnosis.Finding{ID: "no-default-route", Severity: diagnosis.Error, What: "this machine has no default route",
		Why:  "its answers to clients of other networks have nowhere to go",
		Mend: "set the default route to the clients' router, never to a director: `ip route add default via ROUTER`"}
	if e.snapshot.onLink(vips[i]) {
		if e.snapshot.Unroutable == 0 {
			return
		}
		f.Severity = diagnosis.Warning
		f.What += fmt.Sprintf(", and %d packets had no route since it started", e.snapshot.Unroutable)
	}
	e.add(f)
}
