// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// maxPeers is the maximum number of unicast peers. It is far above the size of a group of directors, and limits the
// advertisements of an interval.
const maxPeers = 64

// checkUnicast refuses peers of other families than the VIPs, and peers that are this director.
func checkUnicast(at toml.Node, r *virtualRouter) {
	if len(r.UnicastPeers) == 0 {
		r.UnicastTTLMin = 0
		for _, name := range []string{"unicast_source", "unicast_ttl_min"} {
			if at.Has(name) && at.Sound(name, "unicast_peers") {
				at.Key(name).Mistake("add them, or remove it", "has no meaning without unicast_peers")
			}
		}
		return
	}
	checkPeers(at, r)
	if !at.Sound("vips") {
		return
	}
	if a := r.Source; at.Has("unicast_source") && a.IsValid() && !r.has(lvs.FamilyOf(a)) {
		at.Key("unicast_source").Mistake("", "%s is an %s address, but no VIP is", a, familyName(lvs.FamilyOf(a)))
	}
	if !at.Sound("unicast_peers") {
		return
	}
	peers := make(map[lvs.Family]bool)
	for i, a := range r.UnicastPeers {
		peers[lvs.FamilyOf(a)] = true
		if !r.has(lvs.FamilyOf(a)) {
			at.Key("unicast_peers").Index(i).Mistake("", "%s is an %s address, but no VIP is", a, familyName(lvs.FamilyOf(a)))
		}
	}
	for _, f := range r.families() {
		if !peers[f] {
			at.Key("unicast_peers").Mistake("add one, or split it into two [[vrrp]]",
				"has no %s address, but some VIPs are", familyName(f))
		}
	}
}

// checkPeers refuses peers that are given twice, or that are this director.
func checkPeers(at toml.Node, r *virtualRouter) {
	peers, own := firstUse[netip.Addr]{}, make(map[netip.Addr]string)
	for _, vip := range r.VIPs {
		own[vip.Addr()] = "a VIP"
	}
	for _, vip := range r.ExcludedVIPs {
		own[vip.Addr()] = "a VIP"
	}
	own[r.Source] = "source, an address of this director"
	if at.Has("unicast_source") {
		own[r.Source] = "unicast_source, an address of this director"
	}
	for i, a := range r.UnicastPeers {
		here := at.Key("unicast_peers").Index(i)
		if !a.IsValid() {
			continue
		}
		if earlier, ok := peers.add(a, here); !ok {
			here.Mistake("", "%s is already %s", a, earlier.Describe())
		}
		if whose := own[a]; whose != "" {
			here.Mistake("give the addresses of the other directors", "%s is %s", a, whose)
		}
	}
}
