// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// readRules reads the rules of nftables. A kernel without nftables has none.
func readRules() *ruleset {
	rs := &ruleset{rules: make(map[Chain][]*nftables.Rule), sets: make(map[[2]string][][]byte)}
	conn, err := nftables.New()
	if err != nil {
		return rs
	}
	chains, err := conn.ListChains()
	if err != nil {
		return rs
	}
	for _, c := range chains {
		rules, err := conn.GetRules(c.Table, c)
		if err != nil || nameOf(c).Family == "" {
			continue // it is gone, or not about IP
		}
		rs.chains = append(rs.chains, c)
		rs.rules[nameOf(c)] = rules
		for _, r := range rules {
			rs.readSets(conn, c.Table, r)
		}
	}
	return rs
}

// readSets reads the sets that a rule asks.
func (rs *ruleset) readSets(conn *nftables.Conn, table *nftables.Table, r *nftables.Rule) {
	for _, e := range r.Exprs {
		lookup, ok := e.(*expr.Lookup)
		if !ok {
			continue
		}
		set, err := conn.GetSetByName(table, lookup.SetName)
		if err != nil || set.Interval || set.IsMap || set.Concatenation {
			continue
		}
		members, err := conn.GetSetElements(set)
		if err != nil {
			continue
		}
		keys := [][]byte{}
		for _, m := range members {
			keys = append(keys, m.Key)
		}
		rs.sets[[2]string{table.Name, lookup.SetName}] = keys
	}
}

// readFirewall finds out which chains drop the filtered flows, and the packets of the services.
func (s *Snapshot) readFirewall(c *configs.Config) {
	rs := readRules()
	for i, f := range s.Filtered {
		hook, p := nftables.ChainHookInput, ipPacket{protocol: vrrp.Protocol, in: f.Interface, to: f.Group, six: f.Group.Is6(), state: ctNew}
		if f.Port != 0 {
			p.protocol, p.dport = unix.IPPROTO_UDP, f.Port
		}
		if f.Out {
			hook, p.in, p.out = nftables.ChainHookOutput, "", f.Interface
		}
		s.Filtered[i].Chains = rs.droppedBy(hook, p)
	}
	for _, svc := range c.Services {
		for _, v := range svc.Virtuals {
			if v.Protocol == lvs.TCP && v.Addr.IsValid() && v.Port != 0 {
				s.Dropped = append(s.Dropped, rs.droppedOf(s, c, svc, v)...)
			}
		}
	}
}

// droppedOf returns the packets of a service of TCP that are dropped.
func (rs *ruleset) droppedOf(s *Snapshot, c *configs.Config, svc configs.Service, v lvs.Service) (all []DroppedPacket) {
	for _, r := range c.Routers {
		if !slices.ContainsFunc(r.VIPs, func(p netip.Prefix) bool { return p.Addr() == v.Addr }) {
			continue
		}
		p := ipPacket{protocol: unix.IPPROTO_TCP, dport: v.Port, in: r.AddressInterface(), to: v.Addr, six: v.Addr.Is6(), state: ctNew}
		for _, chain := range rs.droppedBy(nftables.ChainHookInput, p) {
			all = append(all, DroppedPacket{Service: svc.Name, Chain: chain, From: p.in, Port: v.Port})
		}
	}
	// Connection tracking does not know the connections of IPVS, unless it is told to.
	state := uint32(ctInvalid)
	if s.Sysctls[ipvsConntrack] == "1" {
		state = ctEstablished
	}
	for _, srv := range svc.Servers {
		from := s.Routes[srv.Addr].Interface
		if srv.Method != lvs.NAT || from == "" {
			continue
		}
		p := ipPacket{protocol: unix.IPPROTO_TCP, sport: srv.In(v).Port, in: from, source: srv.Addr, six: srv.Addr.Is6(), state: state}
		for _, chain := range rs.droppedBy(nftables.ChainHookForward, p) {
			all = append(all, DroppedPacket{Service: svc.Name, Chain: chain, Forward: true, From: from, Port: v.Port})
		}
	}
	return all
}

const ipvsConntrack = "net/ipv4/vs/conntrack"
