// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// RealServer judges a real server. Of services it looks at those of its VIPs.
func RealServer(c realserver.Config, services []configs.Service, s Snapshot) []Finding {
	j := judge{snapshot: s}
	j.prepared(c)
	j.defaultRoute(c)
	j.listening(c, services)
	return sorted(j.findings)
}

// kinds says what a missing step means.
var kinds = map[realserver.Action]Finding{
	realserver.SetSysctl:     {ID: "not-silent", Why: "the machine answers for the VIP, or asks in its name, and clients pass the director by"},
	realserver.InstallFilter: {ID: "not-silent", Why: "the machine answers for the VIP, or asks in its name, and clients pass the director by"},
	realserver.LoadModule:    {ID: "no-tunnel", Why: "what the director sends is not taken out of the tunnel"},
	realserver.LinkUp:        {ID: "no-tunnel", Why: "what the director sends is not taken out of the tunnel"},
	realserver.AddAddress:    {ID: "vip-missing", Why: "the machine drops what the director sends"},
	realserver.AddLocalRoute: {ID: "vip-missing", Why: "the machine drops what the director sends"},
	realserver.DeleteAddress: {ID: "vip-misplaced", Why: "on the network's interface it is answered for, and with a network's prefix length it takes the neighbours' place"},
}

func (j *judge) prepared(c realserver.Config) {
	if j.snapshot.Refused != "" {
		j.find(Finding{ID: "refused", Severity: Error, What: j.snapshot.Refused, Why: "the machine cannot be prepared as it is", Mend: "see there"})
	}
	lacks := make(map[string][]string)
	var order []Finding
	for _, step := range j.snapshot.Steps {
		f, ok := kinds[step.Action]
		if !ok {
			continue
		}
		if lacks[f.ID] == nil {
			order = append(order, f)
		}
		lacks[f.ID] = append(lacks[f.ID], step.String())
	}
	for _, f := range order {
		f.Severity, f.Mend, f.fix = Error, "tandem realserver apply", &fix{realServer: &c}
		f.What = "lacks " + strings.Join(lacks[f.ID], ", ")
		j.find(f)
	}
}

// defaultRoute: a director of direct routing does not pass answers on, whose source is its own address.
func (j *judge) defaultRoute(c realserver.Config) {
	for _, g := range j.snapshot.Gateways {
		for _, owners := range j.snapshot.Owners {
			for _, o := range owners {
				if o.Hardware == g.Hardware && slices.Contains(c.VIPs, o.Address) {
					j.find(Finding{ID: "default-route", Severity: Error,
						What: fmt.Sprintf("the default route is by %s, the director that has %s", g.Addr, o.Address),
						Why:  "answers carry the director's own address as their source, and it drops them",
						Mend: "ip route replace default via ROUTER, the clients' router"})
				}
			}
		}
	}
}

func (j *judge) listening(c realserver.Config, services []configs.Service) {
	for _, svc := range services {
		for _, virtual := range svc.Virtuals {
			if slices.Contains(c.VIPs, virtual.Addr) && virtual.Port != 0 && virtual.Protocol != lvs.SCTP {
				j.listens(svc.Name, Socket{virtual.Protocol, netip.AddrPortFrom(virtual.Addr, virtual.Port)})
			}
		}
	}
}

func (j *judge) listens(service string, want Socket) {
	if slices.ContainsFunc(j.snapshot.Listening, func(l Socket) bool {
		at, all := l.At.Addr(), l.At.Addr().IsUnspecified()
		open := at == want.At.Addr() || all && (at.Is6() || want.At.Addr().Is4())
		return open && l.Protocol == want.Protocol && l.At.Port() == want.At.Port()
	}) {
		return
	}
	j.find(Finding{ID: "not-listening", Severity: Error, What: fmt.Sprintf("nothing listens on %s/%s", want.At, want.Protocol),
		Why:  "clients of " + service + " are refused, though a check of the machine's own address may pass",
		Mend: "have the server listen on the VIP, or on all addresses"})
}
