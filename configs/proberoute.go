// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// ProbeMarks is how many firewall marks, from LVS.ProbeMark on, are for probes through the VIP.
const ProbeMarks = 1 << 16

// defaultProbeMark is far from what people count from, and from the masks that other programs use.
const defaultProbeMark uint32 = 0x7400_0000

// A ProbeRoute is how IPVS leads probes for a VIP to one real server and no other. It is comparable.
type ProbeRoute struct {
	Family lvs.Family // of the VIP
	Addr   netip.Addr // of the real server
	Method lvs.Method
	Tunnel lvs.Encapsulation
}

// Compare orders routes by all that they have.
func (d ProbeRoute) Compare(other ProbeRoute) int {
	return cmp.Or(
		d.Addr.Compare(other.Addr), cmp.Compare(d.Family, other.Family), cmp.Compare(d.Method, other.Method),
		cmp.Compare(d.Tunnel.Type, other.Tunnel.Type), cmp.Compare(d.Tunnel.Port, other.Tunnel.Port),
		cmp.Compare(d.Tunnel.Checksum, other.Tunnel.Checksum),
	)
}

// ProbeRoute is the one that a check of the server needs; none if ok is false: the check does not go through the VIP, or
// can do so by a single SYN to the server's hardware address.
func (s Server) ProbeRoute(check healthcheck.Config) (d ProbeRoute, ok bool) {
	if !check.Via.IsValid() || s.Method == lvs.DR && check.OnlyConnects() {
		return d, false
	}
	return ProbeRoute{familyOf(check.Via), s.Addr, s.Method, s.Tunnel}, true
}

// ProbeRoutes are those that the checks of services need, each once, in the order of Compare.
func ProbeRoutes(services []Service) []ProbeRoute {
	seen := make(map[ProbeRoute]bool)
	var all []ProbeRoute
	for _, svc := range services {
		for _, server := range svc.Servers {
			for _, check := range server.Checks {
				if d, ok := server.ProbeRoute(check); ok && !seen[d] {
					seen[d] = true
					all = append(all, d)
				}
			}
		}
	}
	slices.SortFunc(all, ProbeRoute.Compare)
	return all
}

// probeMark is the first of a range of marks.
func probeMark() toml.SchemaType[uint32] {
	k := toml.Integer[uint32](1, math.MaxUint32-ProbeMarks+1)
	k.Show = func(v uint32) string { return fmt.Sprintf("%#x", v) }
	return k
}

// checkProbeMarks keeps the marks of probes through the VIP clear of those that mean something else.
func checkProbeMarks(at toml.Node, c *Config) {
	routes := ProbeRoutes(c.Services)
	if len(routes) == 0 || !at.Key("lvs").Sound("probe_fwmark") {
		return
	}
	first := c.LVS.ProbeMark
	last := first + ProbeMarks - 1
	ours := func(mark uint32) bool { return first <= mark && mark <= last }
	const hint = "use another mark, or change [lvs] probe_fwmark"
	if n := len(routes); n > ProbeMarks {
		at.Key("service").Mistake("", "%d real servers are checked through the VIP: want at most %d", n, ProbeMarks)
	}
	for i, svc := range c.Services {
		here := at.Key("service").Index(i)
		for _, v := range svc.Virtuals {
			if ours(v.FWMark) && here.Sound("virtual") {
				here.Key("virtual").Mistake(hint, "firewall mark %d is reserved for checks through the VIP: they have marks %d to %d", v.FWMark, first, last)
			}
		}
		if slices.ContainsFunc(svc.Servers, func(s Server) bool {
			return slices.ContainsFunc(s.Checks, func(c healthcheck.Config) bool { return ours(c.Mark) })
		}) {
			here.Mistake(hint, "a check has a firewall mark that is reserved for checks through the VIP: they have marks %d to %d", first, last)
		}
	}
}
