// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

// owners judges which machines answer for the VIPs. The peer may answer if this machine does not.
func (e *examination) owners() {
	for _, r := range e.config.Routers {
		for _, vip := range r.VIPs {
			e.ownersOf(r, vip.Addr())
		}
	}
}

func (e *examination) ownersOf(r configs.Router, vip netip.Addr) {
	iface := r.InterfaceOf(vip)
	held := e.snapshot.has(iface, vip)
	var directors []garp.Owner // or strangers
	for _, o := range e.snapshot.Owners[iface] {
		if o.Address != vip {
			continue
		}
		server := e.isServer(o)
		if !server {
			directors = append(directors, o)
		}
		if server || held && !e.isSplit(r) {
			e.add(diagnosis.Claimed(diagnosis.Claim{Interface: iface, Address: vip, Hardware: o.Hardware, Neighbours: o.Neighbours}, e.config.Services))
		}
	}
	switch {
	case held || e.isSplit(r):
	case len(directors) > 1:
		e.add(diagnosis.Finding{ID: "two-owners", Severity: diagnosis.Error,
			What: fmt.Sprintf("%s is on %d machines: %s", vip, len(directors), describe(directors)), Why: "clients reach one of them by chance",
			Mend: "check that VRRP passes between the directors (IP protocol 112), and remove the address from machines that are not directors"})
	case len(directors) == 0 && e.snapshot.Status != nil && e.snapshot.working(iface) && !e.isIsolated(iface) && !slices.Contains(e.differ, r.Name):
		if e.isElecting(r) {
			e.add(diagnosis.Finding{ID: "election-open", Severity: diagnosis.Note, What: fmt.Sprintf("no machine answers for %s on %s yet", vip, iface),
				Why:  fmt.Sprintf("%s has just started: without another master, it becomes master after %s", r.Name, masterDown(r)),
				Mend: "run tandem doctor again then"})
			return
		}
		e.unowned(r, iface, vip)
	}
}

// unowned reports a VIP that no machine answers for: there is no master, or nobody hears its answers.
func (e *examination) unowned(r configs.Router, iface string, vip netip.Addr) {
	f := diagnosis.Finding{ID: "nobody-owns", Severity: diagnosis.Error, Why: "clients cannot reach the VIP"}
	masters := slices.DeleteFunc(e.advertsFor(r), func(a Advert) bool { return a.Leaving || !slices.Contains(a.VIPs, vip) })
	switch is := e.stateOf(r); {
	case len(masters) > 0:
		f.What = fmt.Sprintf("%s advertises %s on %s, and does not answer address resolution for it", joinSources(masters), vip, iface)
		f.Mend = "look there for a rule that drops ARP (nft list tables arp; arptables -L; arptables-legacy -L) and for net.ipv4.conf.all.arp_ignore, and let ARP pass"
		if vip.Is6() {
			f.Mend = "let ICMPv6 types 135 and 136 pass in its firewall"
		}
	default:
		f.What = fmt.Sprintf("no machine answers for %s on %s, and no director advertises it; here, %s is in state %s", vip, iface, r.Name, is.State)
		if is.Reason != "" {
			f.What += " (" + is.Reason + ")"
		}
		f.Mend = "remove the cause of this state here or on the other director: tandem status on both says why neither is master"
	}
	e.add(f)
}

// stateOf returns the state of a virtual router of the running director.
func (e *examination) stateOf(r configs.Router) control.Router {
	for _, s := range e.snapshot.Status.VRRP {
		if s.Name == r.Name {
			return s
		}
	}
	return control.Router{State: vrrp.Initialize.String()}
}

// masterDown is how long a backup waits for a master's advertisement.
func masterDown(r configs.Router) time.Duration {
	return r.DownTime(r.Priority).Round(time.Millisecond)
}

// isElecting reports whether the router has its state for so short a time that the master may not have been there when the owners
// were asked for.
func (e *examination) isElecting(r configs.Router) bool {
	const announcing = time.Second // from the end of the election until the VIP answers
	return slices.ContainsFunc(e.snapshot.Status.VRRP, func(s control.Router) bool {
		return s.Name == r.Name && (s.State == "backup" || s.State == "master") && e.snapshot.Asked.Sub(s.Since) < masterDown(r)+announcing
	})
}

// isSplit reports whether the cause is found why several directors are master of a router, or may become so.
func (e *examination) isSplit(r configs.Router) bool { return slices.Contains(e.split, r.Name) }

// addSplit adds a cause of that.
func (e *examination) addSplit(r configs.Router, f diagnosis.Finding) {
	e.add(f)
	e.split = append(e.split, r.Name)
}

// adverts judges the advertisements of other machines for each virtual router. There must be one master: if two masters hear
// each other, the one with the lower priority gives up.
func (e *examination) adverts() {
	for _, r := range e.config.Routers {
		e.otherIDs(r)
		e.ownAddress(r)
		var masters []Advert
		heard := e.advertsFor(r)
		for _, a := range heard {
			switch {
			case a.Leaving: // this master gives up: there will be another one soon
			case shares(r, a):
				masters = append(masters, a)
				e.mismatch(r, a)
			default:
				e.addSplit(r, diagnosis.Finding{ID: "duplicate-vrid", Severity: diagnosis.Error,
					What: fmt.Sprintf("%s also advertises virtual router %d on %s, for %s", a.Source, a.VRID, a.Interface, joinAddrs(a.VIPs)),
					Why:  "two pairs with the same vrid take each other for their peer, so that one of the pairs serves nobody",
					Mend: "choose another vrid on both directors of one pair; if that machine is the peer, make the vips of both directors the same; then run `tandem reload`"})
			}
		}
		switch {
		case e.isSplit(r):
		case e.isMaster(r) && len(masters) > 0:
			e.addSplit(r, diagnosis.Finding{ID: "two-masters", Severity: diagnosis.Error,
				What: fmt.Sprintf("%s advertises virtual router %d on %s, of which this machine is master", joinSources(masters), r.VRID, r.Interface),
				Why:  "both hold the VIPs: a firewall on one of the two drops VRRP, or multicast passes in one direction only",
				Mend: "run tandem doctor on both, and let IP protocol 112 pass on both and between them"})
		case len(masters) > 1:
			e.addSplit(r, diagnosis.Finding{ID: "two-masters", Severity: diagnosis.Error,
				What: fmt.Sprintf("%s advertise virtual router %d on %s", joinSources(masters), r.VRID, r.Interface),
				Why:  "one of them does not hear the other, and clients reach one of them by chance",
				Mend: "run tandem doctor on both"})
		case len(heard) == 0:
			e.silentMaster(r)
		}
	}
}

// otherIDs looks for a peer that advertises a VIP of the router with another virtual router id.
func (e *examination) otherIDs(r configs.Router) {
	for _, a := range e.snapshot.Adverts {
		ours := slices.ContainsFunc(e.config.Routers, func(o configs.Router) bool { return o.Interface == a.Interface && o.VRID == a.VRID })
		if a.Interface != r.Interface || a.Leaving || ours || len(r.VIPs) == 0 || !shares(r, a) || e.snapshot.holds(a.Source) {
			continue
		}
		e.addSplit(r, diagnosis.Finding{ID: "vrid-differs", Severity: diagnosis.Error,
			What: fmt.Sprintf("%s advertises %s with vrid %d on %s, and the vrid of %s is %d here", a.Source, joinAddrs(a.VIPs), a.VRID, a.Interface, r.Name, r.VRID),
			Why:  "directors with different vrids do not hear each other, so that both become master",
			Mend: "write the same vrid in the files of both, and run `tandem reload`"})
	}
}

// ownAddress looks for another machine that advertises from an address of this one.
func (e *examination) ownAddress(r configs.Router) {
	const virtual = "00:00:5e:00:" // RFC 9568, section 7.3: from which this machine may send too
	for _, a := range e.snapshot.Adverts {
		foreign := a.Hardware != "" && !strings.HasPrefix(a.Hardware, virtual) && !e.snapshot.isHardware(a.Hardware)
		if a.Interface != r.Interface || a.VRID != r.VRID || !foreign || !e.snapshot.holds(a.Source) {
			continue
		}
		e.addSplit(r, diagnosis.Finding{ID: "duplicate-address", Severity: diagnosis.Error,
			What: fmt.Sprintf("the machine %s on %s advertises from %s, which is an address of this machine", a.Hardware, a.Interface, a.Source),
			Why:  "each director takes the other's advertisements for its own, so that both become master",
			Mend: "give each machine an address of its own"})
	}
}

// mismatch judges whether a peer's configuration fits this director's, by the rules of the election itself.
func (e *examination) mismatch(r configs.Router, a Advert) {
	if r.HMAC.On() && r.Problem() != "" {
		return // a key could not be read
	}
	own := vrrp.NewRouter(r.Config)
	f := diagnosis.Finding{ID: "peer-differs", Severity: diagnosis.Warning, Why: "the election works, and the two directors serve different addresses",
		Mend: "make the two configurations agree, and run `tandem reload`"}
	var p vrrp.Packet
	if drop := own.Examine(a.At, a.Header, a.Message, &p); drop != 0 {
		own.DiagnoseDrop(a.At, a.Header, a.Message, &p, drop)
		f.Severity, f.Why = diagnosis.Error, "this director drops the peer's advertisements, so that both become master"
	} else {
		own.DiagnoseAdvert(a.At, a.Header, &p, false)
	}
	for _, warning := range own.Warnings() {
		f.What = r.Name + ": " + warning
		if slices.ContainsFunc(e.findings, func(g Finding) bool { return g.What == f.What }) {
			continue
		}
		e.add(f)
		e.differ = append(e.differ, r.Name)
		if f.Severity == diagnosis.Error {
			e.split = append(e.split, r.Name)
		}
	}
}

// advertsFor returns the advertisements of other machines for a virtual router.
func (e *examination) advertsFor(r configs.Router) []Advert {
	return slices.DeleteFunc(slices.Clone(e.snapshot.Adverts), func(a Advert) bool {
		_, counts := r.PathOf(r.Interface, a.Header)
		return !counts || a.Interface != r.Interface || a.VRID != r.VRID || a.Source.Is4() != (r.Family() == 4) || e.snapshot.holds(a.Source)
	})
}

// shares reports whether an advertisement is for an address of the virtual router. Two routers without VIPs belong together.
func shares(r configs.Router, a Advert) bool {
	return len(r.VIPs)+len(a.VIPs) == 0 || slices.ContainsFunc(r.VIPs, func(p netip.Prefix) bool { return slices.Contains(a.VIPs, p.Addr()) })
}

// silentMaster looks for a machine that answers ARP for a VIP while none of its advertisements arrives here.
func (e *examination) silentMaster(r configs.Router) {
	if e.snapshot.Listened[r.Interface] < 2*r.AdvertInterval {
		return // too short to be sure
	}
	if e.snapshot.Status != nil && len(heardOver(e.stateOf(r).Paths)) > 0 {
		return // another path has them: guards says so
	}
	for _, o := range e.strangers(r) {
		if !slices.ContainsFunc(r.VIPs, func(p netip.Prefix) bool { return p.Addr() == o.Address }) {
			continue
		}
		f := diagnosis.Finding{ID: "multicast-lost", Severity: diagnosis.Error,
			What: fmt.Sprintf("%s has %s, and none of its advertisements arrives on %s", describe([]garp.Owner{o}), o.Address, r.Interface),
			Why:  "a director that does not hear the master becomes a second master",
			Mend: "configure the switch to pass 224.0.0.18 and ff02::12 (no IGMP or MLD snooping without a querier), or set unicast_peers"}
		if len(r.UnicastPeers) > 0 {
			f.ID, f.Mend = "unicast-lost", "check that each director has the other's address in unicast_peers, and that IP protocol 112 passes between them"
		}
		f.Mend += "; if that machine is not a director, remove the address from it"
		e.addSplit(r, f)
		return
	}
}

// strangers returns the machines that answer for VIPs on the interfaces of a router's VIPs, and are no real servers.
func (e *examination) strangers(r configs.Router) (all []garp.Owner) {
	for _, at := range address.PlacementsOf(r.Config) {
		for _, o := range e.snapshot.Owners[at.Interface] {
			if !e.isServer(o) {
				all = append(all, o)
			}
		}
	}
	return all
}

// isMaster reports whether the running director is master of a virtual router.
func (e *examination) isMaster(r configs.Router) bool {
	return e.snapshot.Status != nil && slices.ContainsFunc(e.snapshot.Status.VRRP, func(s control.Router) bool {
		return s.Name == r.Name && s.State == vrrp.Master.String()
	})
}

// isServer reports whether a machine is a configured real server.
func (e *examination) isServer(o garp.Owner) bool {
	return slices.ContainsFunc(o.Neighbours, func(addr netip.Addr) bool {
		return len(diagnosis.ServicesOf(addr, e.config.Services)) > 0
	})
}

// describe names machines by their hardware addresses and known addresses.
func describe(machines []garp.Owner) string {
	var names []string
	for _, o := range machines {
		name := o.Hardware
		if len(o.Neighbours) > 0 {
			name += " (" + joinAddrs(o.Neighbours) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func joinAddrs(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, " ")
}

func joinSources(adverts []Advert) string {
	var words []string
	for _, a := range adverts {
		words = append(words, a.Source.String())
	}
	return strings.Join(words, " and ")
}
