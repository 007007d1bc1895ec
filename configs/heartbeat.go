// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

const heartbeatDoc = "" +
	"More paths for the advertisements: another interface (multicast), or { peer = ADDRESS } (unicast, on the interface that the " +
	"routes say). The master sends each advertisement by all paths at once. The other director takes over only when all paths " +
	"are silent. So one cut cable or one broken switch makes no second master. keepalived has no such thing: an " +
	"instance has one interface, or unicast peers.\n" +
	"The price: while the master is heard on any path, nobody takes over, even if the clients do not reach it. Track what the " +
	"clients depend on. If the master's own interface fails, it says so by the other paths, and the other director takes over at once.\n" +
	"A path whose interface is missing or down is no fault: `tandem status -v` and a warning name a path that is silent or down. The " +
	"checks are those of the interface: TTL 255, the hmac keys, and at least one common VIP. From a peer, only its address counts, and " +
	"ttl_min. Set the same paths on both directors. With more than two directors, use interfaces, not peers."

// heartbeatField is the paths of the advertisements besides the interface.
func heartbeatField() toml.Field[virtualRouter] {
	plain, table := interfaceName(), peerTable()
	one := toml.SchemaType[vrrp.Path]{
		Name: "string or table",
		Keys: table.Keys,
		Read: func(at toml.Node) vrrp.Path {
			if _, is := at.Value.(map[string]any); is {
				return table.Read(at)
			}
			return vrrp.Path{Interface: plain.Read(at)}
		},
		Show: vrrp.Path.String,
	}
	all := toml.List(one, 0, vrrp.MaxHeartbeat)
	all.Name = "array of strings or tables"
	all = all.Valued(`0 to %d interfaces or peers, "eth1" or { peer = "10.0.0.2" }`, vrrp.MaxHeartbeat)
	return toml.Derived("heartbeat", all, heartbeatDoc, func(r *virtualRouter, v []vrrp.Path) { r.Heartbeat = v }).
		Unset("the interface only").Example(`["eth1"]`)
}

func peerTable() toml.SchemaType[vrrp.Path] {
	return toml.Table(nil,
		toml.Required("peer", neighbour(), `"10.0.0.2"`, "The address of the other director.",
			func(p *vrrp.Path, v netip.Addr) { p.Peer = v }),
		toml.Derived("source", neighbour(), "The address that this director sends from to the peer. It must be the peer's peer.",
			func(p *vrrp.Path, v netip.Addr) { p.Source = v }).Unset("the kernel's choice").Example(`"10.0.0.1"`),
		toml.Optional("ttl_min", toml.Integer[uint8](1, 255), 255,
			"The lowest TTL or hop limit that is accepted from the peer: 255 minus the number of routers in between.",
			func(p *vrrp.Path, v uint8) { p.TTLMin = v }),
	)
}

// checkHeartbeat refuses paths that add nothing, and paths that cannot work.
func checkHeartbeat(at toml.Node, r *virtualRouter) {
	if len(r.Heartbeat) == 0 || !at.Sound("interface", "vips", "unicast_peers") {
		return
	}
	names, peers := firstUse[string]{}, make(map[lvs.Family]bool)
	for i, p := range r.Heartbeat {
		here := at.Key("heartbeat").Index(i)
		if !here.Sound() || p.Name() == "" {
			continue
		}
		if earlier, ok := names.add(p.Name(), here); !ok {
			here.Mistake("", "%s is already %s", p.Name(), earlier.Describe())
			continue
		}
		if p.Interface == r.Interface {
			here.Mistake("name another interface", "%s is the interface of the virtual router, which is a path anyway", p.Interface)
		}
		if p.Peer.IsValid() {
			peers[lvs.FamilyOf(p.Peer)] = true
			checkHeartbeatPeer(here, r, p)
		}
	}
	if len(peers) == 1 && len(r.families()) == 2 {
		missing := lvs.IPv6
		if peers[lvs.IPv6] {
			missing = lvs.IPv4
		}
		at.Key("heartbeat").Warn("add a peer of that family", "has no %s peer, but some VIPs are: their advertisements have one path less",
			familyName(missing))
	}
}

func checkHeartbeatPeer(at toml.Node, r *virtualRouter, p vrrp.Path) {
	f := lvs.FamilyOf(p.Peer)
	switch {
	case !r.has(f):
		at.Mistake("", "%s is an %s address, but no VIP is", p.Peer, familyName(f))
	case p.Peer.IsLinkLocalUnicast():
		at.Mistake("name the interface instead", "%s is a link-local address: no route says where it is", p.Peer)
	case slices.Contains(r.UnicastPeers, p.Peer):
		at.Mistake("remove it", "%s is in unicast_peers, so it is a path anyway", p.Peer)
	case r.isVIP(p.Peer):
		at.Mistake("give an address that the other director always has", "%s is a VIP", p.Peer)
	case p.Source.IsValid() && lvs.FamilyOf(p.Source) != f:
		at.Key("source").Mistake("", "%s is an %s address, but the peer is not", p.Source, familyName(lvs.FamilyOf(p.Source)))
	case p.Source == p.Peer:
		at.Key("source").Mistake("give an address of this director", "%s is the peer", p.Source)
	case r.isVIP(p.Source):
		at.Key("source").Mistake("give an address that this director always has", "%s is a VIP: only the master has it", p.Source)
	}
}

// checkHeartbeats refuses a VRID that a heartbeat shares with another virtual router on the same interface: each would get the
// other's advertisements. Unicast may arrive on any interface.
func checkHeartbeats(at toml.Node, routers []virtualRouter) {
	for i := range routers {
		r, here := &routers[i], at.Index(i)
		if len(r.Heartbeat) == 0 || !here.Sound("interface", "vrid", "vips", "heartbeat") {
			continue
		}
		for j := range routers {
			o := &routers[j]
			if i == j || o.VRID != r.VRID || !slices.ContainsFunc(r.families(), o.has) || !at.Index(j).Sound("interface", "vrid", "vips") {
				continue
			}
			for k, p := range r.Heartbeat {
				shared := p.Peer.IsValid() || p.Interface == o.Interface ||
					j < i && slices.ContainsFunc(o.Heartbeat, func(q vrrp.Path) bool { return q.Interface == p.Interface })
				if shared {
					where := "on " + p.Interface
					if p.Peer.IsValid() {
						where = "of another interface"
					}
					here.Key("heartbeat").Index(k).Mistake("give one of them another vrid, on both directors",
						"has VRID %d, which is also used by %s %s: each would get the other's advertisements", r.VRID, at.Index(j).Describe(), where)
					return
				}
			}
		}
	}
}
