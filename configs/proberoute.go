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

// ProbeMarks is the number of firewall marks, starting at LVS.ProbeMark, for probes through the VIP.
const ProbeMarks = 1 << 16

// defaultProbeMark is the first mark unless the file names another. It is far from small numbers, which people use, and from
// the masks that other programs use.
const defaultProbeMark uint32 = 0x7400_0000

// A ProbeRoute is how IPVS sends probes for a VIP to one real server. It is comparable.
type ProbeRoute struct {
	Family lvs.Family // of the VIP
	Addr   netip.Addr // of the real server
	Method lvs.Method
	Tunnel lvs.Encapsulation
}

// Compare orders routes by all their fields.
func (d ProbeRoute) Compare(other ProbeRoute) int {
	return cmp.Or(
		d.Addr.Compare(other.Addr), cmp.Compare(d.Family, other.Family), cmp.Compare(d.Method, other.Method),
		cmp.Compare(d.Tunnel.Type, other.Tunnel.Type), cmp.Compare(d.Tunnel.Port, other.Tunnel.Port),
		cmp.Compare(d.Tunnel.Checksum, other.Tunnel.Checksum),
	)
}

// ProbeRoute returns the route that a check of the server needs. It reports false if the check needs none: because it does
// not go through the VIP, or because a single SYN to the server's hardware address is enough.
func (s Server) ProbeRoute(check healthcheck.Config) (d ProbeRoute, ok bool) {
	if !check.Via.IsValid() || s.Method == lvs.DR && check.OnlyConnects() {
		return d, false
	}
	return ProbeRoute{lvs.FamilyOf(check.Via), s.Addr, s.Method, s.Tunnel}, true
}

// ProbeRoutes returns the routes that the checks of services need, each once, in the order of Compare.
func ProbeRoutes(services []Service) []ProbeRoute {
	seen := make(map[ProbeRoute]bool)
	var all []ProbeRoute
	for _, svc := range services {
		servers := svc.Servers
		if svc.Sorry != nil {
			servers = append(slices.Clip(servers), *svc.Sorry)
		}
		for _, server := range servers {
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

// probeMark returns the schema type of the first mark of the range.
func probeMark() toml.SchemaType[uint32] {
	k := toml.Integer[uint32](1, math.MaxUint32-ProbeMarks+1)
	k.Show = func(v uint32) string { return fmt.Sprintf("%#x", v) }
	return k
}

// checkProbeMarks refuses other uses of the marks of probes through the VIP.
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
				here.Key("virtual").Mistake(hint,
					"firewall mark %d is reserved for checks through the VIP: they have marks %d to %d", v.FWMark, first, last)
			}
		}
		if slices.ContainsFunc(svc.Servers, func(s Server) bool {
			return slices.ContainsFunc(s.Checks, func(c healthcheck.Config) bool { return ours(c.Mark) })
		}) {
			here.Mistake(hint,
				"a check has a firewall mark that is reserved for checks through the VIP: they have marks %d to %d", first, last)
		}
	}
}
