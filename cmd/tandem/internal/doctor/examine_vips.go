// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
)

// vips judges whether the VIPs fit the interfaces and networks of this machine.
func (e *examination) vips() {
	for _, r := range e.config.Routers {
		for _, vip := range r.VIPs {
			e.misplaced(r, vip.Addr())
			e.network(r, vip)
		}
	}
}

// misplaced judges whether this machine has a VIP on an interface where the election does not put it.
func (e *examination) misplaced(r configs.Router, vip netip.Addr) {
	for _, name := range slices.Sorted(maps.Keys(e.snapshot.Links)) {
		for _, p := range e.snapshot.Links[name].Addrs {
			if p.Addr() != vip || name == r.InterfaceOf(vip) {
				continue
			}
			e.add(diagnosis.Finding{ID: "vip-misplaced", Severity: diagnosis.Error,
				What: fmt.Sprintf("%s is on %s of this machine, where tandem does not put it", p, name),
				Why:  "this machine answers for the VIP beside the master, and keeps the packets that it sends to the VIP to itself",
				Mend: fmt.Sprintf("ip address del %s dev %s", p, name)})
		}
	}
}

// network finds a wrong prefix length of a VIP, and a VIP whose network is on another interface. A VIP is no fault if this
// machine has no address in its network.
func (e *examination) network(r configs.Router, vip netip.Prefix) {
	link := r.Interface
	mend := "write interface = %q in the file, and run `tandem reload`"
	if name, placed := r.VIPInterfaces[vip.Addr()]; placed {
		link, mend = name, "write interface = %q beside the VIP in the file, and run `tandem reload`"
	}
	own, elsewhere := e.networkOf(link, vip.Addr()), e.otherNetwork(r, vip.Addr())
	switch {
	case !own.IsValid() && elsewhere != "":
		e.addSplit(r, diagnosis.Finding{ID: "wrong-interface", Severity: diagnosis.Error,
			What: fmt.Sprintf("%s: %s is for %s, and its network %s is on %s", r.Name, vip.Addr(), link, e.networkOf(elsewhere, vip.Addr()).Masked(), elsewhere),
			Why:  "clients and the other director look for the VIP in another network",
			Mend: fmt.Sprintf(mend, elsewhere)})
	case own.IsValid() && !vip.IsSingleIP() && vip.Bits() != own.Bits():
		f := diagnosis.Finding{ID: "prefix-length", Severity: diagnosis.Warning,
			What: fmt.Sprintf("%s: the prefix length of %s is not that of the network, %s on %s", r.Name, vip, own.Masked(), link),
			Why:  "the master has a route for a part of the network that the other machines do not have",
			Mend: fmt.Sprintf("write \"%s/%d\" in the files of both directors, and run `tandem reload`", vip.Addr(), own.Bits())}
		if vip.Bits() < own.Bits() {
			f.Severity, f.Why = diagnosis.Error, "the master takes machines of other networks for neighbours, and does not reach them"
		}
		e.add(f)
	}
}

// otherNetwork returns another interface than the VIP's, in whose network a VIP is; empty: there is none.
func (e *examination) otherNetwork(r configs.Router, vip netip.Addr) (iface string) {
	for _, name := range slices.Sorted(maps.Keys(e.snapshot.Links)) {
		if name != r.InterfaceOf(vip) && e.networkOf(name, vip).IsValid() && !vip.IsLinkLocalUnicast() {
			iface = name
		}
	}
	return iface
}

// isMisnamed reports whether an interface that does not exist stands for another one, which has the VIPs' network.
func (e *examination) isMisnamed(iface string) bool {
	return slices.ContainsFunc(e.config.Routers, func(r configs.Router) bool {
		return r.Interface == iface && slices.ContainsFunc(r.VIPs, func(p netip.Prefix) bool { return e.otherNetwork(r, p.Addr()) != "" })
	})
}

// networkOf returns the network of an interface that contains an address, as the prefix of the interface's own address. VIPs do
// not count as own addresses. If there is no such network, the prefix is not valid.
func (e *examination) networkOf(iface string, addr netip.Addr) (own netip.Prefix) {
	for _, p := range e.snapshot.Links[iface].Addrs {
		if !p.IsSingleIP() && p.Contains(addr) && !e.isVIP(p.Addr()) && p.Bits() > own.Bits() {
			own = p
		}
	}
	return own
}

func (e *examination) isVIP(addr netip.Addr) bool {
	return slices.ContainsFunc(e.config.Routers, func(r configs.Router) bool {
		return slices.ContainsFunc(r.VIPs, func(p netip.Prefix) bool { return p.Addr() == addr })
	})
}
