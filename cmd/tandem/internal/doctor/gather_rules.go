// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// rules are those of nftables, which has those of iptables-nft too, and of iptables-legacy.
type rules struct {
	nft    *ruleset
	legacy []xtable
}

// droppedBy returns the chains of a hook that drop a packet for certain.
func (r rules) droppedBy(at hook, p ipPacket) []Chain {
	all := r.nft.droppedBy(at, p)
	for _, t := range r.legacy {
		all = append(all, t.droppedBy(at, p)...)
	}
	return all
}

// readFirewall finds out which chains drop the filtered flows, and the packets of the services.
func (s *Snapshot) readFirewall(c *configs.Config) {
	rules := rules{readRules(), readXtables()}
	for i, f := range s.Filtered {
		at, p := hookInput, ipPacket{protocol: vrrp.Protocol, in: f.Interface, to: f.Group, six: f.Group.Is6(), state: ctNew}
		if f.Port != 0 {
			p.protocol, p.dport = unix.IPPROTO_UDP, f.Port
		}
		if f.Out {
			at, p.in, p.out = hookOutput, "", f.Interface
		}
		s.Filtered[i].Chains = rules.droppedBy(at, p)
	}
	for _, svc := range c.Services {
		for _, v := range svc.Virtuals {
			if v.Protocol == lvs.TCP && v.Addr.IsValid() && v.Port != 0 {
				s.Dropped = append(s.Dropped, rules.droppedOf(s, c, svc, v)...)
			}
		}
	}
}

// droppedOf returns the packets of a service of TCP that are dropped.
func (r rules) droppedOf(s *Snapshot, c *configs.Config, svc configs.Service, v lvs.Service) (all []DroppedPacket) {
	for _, router := range c.Routers {
		if !slices.ContainsFunc(router.VIPs, func(p netip.Prefix) bool { return p.Addr() == v.Addr }) {
			continue
		}
		p := ipPacket{protocol: unix.IPPROTO_TCP, dport: v.Port, in: router.InterfaceOf(v.Addr), to: v.Addr, six: v.Addr.Is6(), state: ctNew}
		for _, chain := range r.droppedBy(hookInput, p) {
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
		for _, chain := range r.droppedBy(hookForward, p) {
			all = append(all, DroppedPacket{Service: svc.Name, Chain: chain, Forward: true, From: from, Port: v.Port})
		}
	}
	return all
}

const ipvsConntrack = "net/ipv4/vs/conntrack"
