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
)

// owners judges which machines answer for the VIPs. The peer may answer if this machine does not.
func (e *examination) owners() {
	for _, r := range e.config.Routers {
		for _, vip := range r.VIPs {
			e.ownersOf(r.AddressInterface(), vip.Addr())
		}
	}
}

func (e *examination) ownersOf(iface string, vip netip.Addr) {
	held := e.snapshot.holds(vip)
	var directors []garp.Owner // or strangers
	for _, o := range e.snapshot.Owners[iface] {
		if o.Address != vip {
			continue
		}
		server := e.isServer(o)
		if !server {
			directors = append(directors, o)
		}
		if server || held {
			e.add(diagnosis.Claimed(diagnosis.Claim{Interface: iface, Address: vip, Hardware: o.Hardware, Neighbours: o.Neighbours}, e.config.Services))
		}
	}
	switch {
	case held:
	case len(directors) > 1:
		e.add(diagnosis.Finding{ID: "two-owners", Severity: diagnosis.Error,
			What: fmt.Sprintf("%s is on %d machines: %s", vip, len(directors), describe(directors)), Why: "clients reach one of them by chance",
			Mend: "check that VRRP passes between the directors (IP protocol 112), and remove the address from machines that are not directors"})
	case len(directors) == 0 && e.snapshot.Status != nil && e.snapshot.working(iface):
		e.add(diagnosis.Finding{ID: "nobody-owns", Severity: diagnosis.Error, What: fmt.Sprintf("no machine answers for %s on %s", vip, iface),
			Why: "clients cannot reach the VIP", Mend: "tandem status on both directors"})
	}
}

// adverts judges the advertisements of other machines for each virtual router. There must be one master: if two masters hear
// each other, the one with the lower priority gives up.
func (e *examination) adverts() {
	for _, r := range e.config.Routers {
		var masters []Advert
		heard := e.advertsFor(r)
		for _, a := range heard {
			switch {
			case a.Leaving: // this master gives up: there will be another one soon
			case shares(r, a):
				masters = append(masters, a)
				e.mismatch(r, a)
			default:
				e.add(diagnosis.Finding{ID: "duplicate-vrid", Severity: diagnosis.Error,
					What: fmt.Sprintf("%s also advertises virtual router %d on %s, for %s", a.Source, a.VRID, a.Interface, joinAddrs(a.VIPs)),
					Why:  "two pairs with the same vrid take each other for their peer, so that one of the pairs serves nobody",
					Mend: "choose another vrid on both directors of one pair; if that machine is the peer, make the vips of both directors the same"})
			}
		}
		switch {
		case e.isMaster(r) && len(masters) > 0:
			e.add(diagnosis.Finding{ID: "two-masters", Severity: diagnosis.Error,
				What: fmt.Sprintf("%s advertises virtual router %d on %s, of which this machine is master", joinSources(masters), r.VRID, r.Interface),
				Why:  "both hold the VIPs: a firewall on one of the two drops VRRP, or multicast passes in one direction only",
				Mend: "let IP protocol 112 pass on both (nft insert rule inet filter input meta l4proto vrrp accept)"})
		case len(masters) > 1:
			e.add(diagnosis.Finding{ID: "two-masters", Severity: diagnosis.Error,
				What: fmt.Sprintf("%s advertise virtual router %d on %s", joinSources(masters), r.VRID, r.Interface),
				Why:  "one of them does not hear the other, and clients reach one of them by chance",
				Mend: "run tandem doctor on both"})
		case len(heard) == 0:
			e.silentMaster(r)
		}
	}
}

// mismatch judges whether a peer's configuration fits this director's, by the rules of the election itself. A warning that
// the running director gives already is not repeated.
func (e *examination) mismatch(r configs.Router, a Advert) {
	own := vrrp.NewRouter(r.Config)
	f := diagnosis.Finding{ID: "peer-differs", Severity: diagnosis.Warning, Why: "the election works, and the two directors serve different addresses",
		Mend: "make the two configurations agree, and run tandem reload"}
	now := time.Unix(0, 0) // any time: each advertisement has a Router of its own
	var p vrrp.Packet
	if drop := own.Examine(a.Header, a.Message, &p); drop != 0 {
		own.DiagnoseDrop(now, a.Header, a.Message, &p, drop)
		f.Severity, f.Why = diagnosis.Error, "this director drops the peer's advertisements, so that both become master"
	} else {
		own.DiagnoseAdvert(now, a.Header, &p, false)
	}
	for _, warning := range own.Warnings() {
		f.What = r.Name + ": " + warning
		known := e.snapshot.Status != nil && slices.Contains(e.snapshot.Status.Warnings, f.What)
		if !known && !slices.ContainsFunc(e.findings, func(g Finding) bool { return g.What == f.What }) {
			e.add(f)
		}
	}
}

// advertsFor returns the advertisements of other machines for a virtual router.
func (e *examination) advertsFor(r configs.Router) []Advert {
	return slices.DeleteFunc(slices.Clone(e.snapshot.Adverts), func(a Advert) bool {
		return a.Interface != r.Interface || a.VRID != r.VRID || a.Source.Is4() != r.VIPs[0].Addr().Is4() || e.snapshot.holds(a.Source)
	})
}

// shares reports whether an advertisement is for an address of the virtual router.
func shares(r configs.Router, a Advert) bool {
	return slices.ContainsFunc(r.VIPs, func(p netip.Prefix) bool { return slices.Contains(a.VIPs, p.Addr()) })
}

// silentMaster looks for a machine that answers ARP for a VIP while none of its advertisements arrives here.
func (e *examination) silentMaster(r configs.Router) {
	if e.snapshot.Listened[r.Interface] < 2*r.AdvertInterval {
		return // too short to be sure
	}
	for _, o := range e.snapshot.Owners[r.AddressInterface()] {
		if e.isServer(o) || !slices.ContainsFunc(r.VIPs, func(p netip.Prefix) bool { return p.Addr() == o.Address }) {
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
		e.add(f)
		return
	}
}

// firewall judges which of the directors' messages this machine's firewall drops.
func (e *examination) firewall() {
	for _, flow := range e.snapshot.Filtered {
		f := diagnosis.Finding{ID: "vrrp-filtered", Severity: diagnosis.Warning, Why: "a backup that does not hear the master becomes a second master"}
		rule := "meta l4proto vrrp accept"
		if flow.Port != 0 {
			f.ID, f.Why = "sync-filtered", "the backup does not learn the connections, and a failover breaks them"
			rule = fmt.Sprintf("udp dport %d accept", flow.Port)
		}
		if flow.Out {
			f.Severity = diagnosis.Error
			f.What = fmt.Sprintf("this machine's firewall drops outgoing %s", flow.Flow)
			f.Mend = "nft insert rule inet filter output " + rule
		} else {
			f.What = fmt.Sprintf("this machine's firewall drops incoming %s, at least from this machine itself", flow.Flow)
			f.Mend = "nft insert rule inet filter input " + rule + "; no fault if a rule accepts it from the other director's address"
		}
		e.add(f)
	}
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
