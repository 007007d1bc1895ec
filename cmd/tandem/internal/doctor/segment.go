// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// owners judges who answers for the VIPs. The peer may, if this machine does not.
func (j *judge) owners() {
	for _, r := range j.config.Routers {
		iface := r.AddressInterface()
		for _, vip := range r.VIPs {
			addr := vip.Addr()
			var others []garp.Owner
			for _, o := range j.snapshot.Owners[iface] {
				if o.Address != addr {
					continue
				}
				if pool := j.pool(o); pool != "" {
					j.find(Finding{ID: "server-answers", Severity: Error,
						What: fmt.Sprintf("%s answers for %s: %s", o.Hardware, addr, pool),
						Why:  "clients that believe it reach this server only, and past the director",
						Mend: "tandem realserver apply --vip " + addr.String() + " on that machine"})
					continue
				}
				others = append(others, o)
			}
			held := 0
			if j.snapshot.holds(addr) {
				held = 1
			}
			switch n := len(others) + held; {
			case n > 1:
				j.find(Finding{ID: "two-owners", Severity: Error, What: fmt.Sprintf("%s is on %d machines: %s", addr, n, j.describe(others, held)),
					Why:  "clients reach one or the other by chance",
					Mend: "see that VRRP passes between the directors (IP protocol 112, 224.0.0.18 or ff02::12), and take the address off others"})
			case n == 0 && j.snapshot.Status != nil && j.snapshot.carries(iface):
				j.find(Finding{ID: "nobody-owns", Severity: Error, What: fmt.Sprintf("nobody answers for %s on %s", addr, iface),
					Why: "clients reach nothing", Mend: "tandem status on both directors"})
			}
		}
	}
}

// adverts judges what was heard from others about each virtual router. A master that hears a higher priority gives way,
// and a lower one would give way to it; a backup hears one master.
func (j *judge) adverts() {
	for _, r := range j.config.Routers {
		heard := j.heard(r)
		rivals := slices.DeleteFunc(slices.Clone(heard), func(a Advert) bool { return !shares(r, a) })
		for _, a := range heard {
			if !shares(r, a) {
				j.find(Finding{ID: "duplicate-vrid", Severity: Error,
					What: fmt.Sprintf("%s advertises virtual router %d on %s too, for %s", a.Source, a.VRID, a.Interface, joinAddrs(a.VIPs)),
					Why:  "two pairs with one id take each other for their own peer, and one of them serves nothing",
					Mend: "choose another vrid on both directors of one pair, or make the vips of both directors the same"})
			}
		}
		switch master := j.master(r); {
		case master && len(rivals) > 0:
			j.find(Finding{ID: "two-masters", Severity: Error,
				What: fmt.Sprintf("%s advertises virtual router %d on %s, whose master this machine is", joinSources(rivals), r.VRID, r.Interface),
				Why:  "a firewall here or there drops VRRP, or multicast passes one way only",
				Mend: "let IP protocol 112 pass on both (nft insert rule inet filter input meta l4proto vrrp accept)"})
		case len(rivals) > 1:
			j.find(Finding{ID: "two-masters", Severity: Error,
				What: fmt.Sprintf("%s advertise virtual router %d on %s", joinSources(rivals), r.VRID, r.Interface),
				Why:  "one of them does not hear the other, and clients reach one or the other by chance",
				Mend: "run tandem doctor on both; there must be one master"})
		case len(heard) == 0:
			j.unheard(r)
		}
	}
}

// heard returns the advertisements of others for a virtual router, without those of a master that was giving way.
func (j *judge) heard(r configs.Router) []Advert {
	return slices.DeleteFunc(slices.Clone(j.snapshot.Adverts), func(a Advert) bool {
		return a.Interface != r.Interface || a.VRID != r.VRID || a.Leaving || a.Source.Is4() != r.VIPs[0].Addr().Is4() ||
			j.snapshot.holds(a.Source)
	})
}

// shares tells whether an advertisement is for an address of the virtual router.
func shares(r configs.Router, a Advert) bool {
	return slices.ContainsFunc(r.VIPs, func(p netip.Prefix) bool { return slices.Contains(a.VIPs, p.Addr()) })
}

// unheard judges that another machine has a VIP, as it says by ARP, and that nothing is heard of it by VRRP.
func (j *judge) unheard(r configs.Router) {
	if j.snapshot.Heard[r.Interface] < 2*r.AdvertInterval {
		return // too short to tell
	}
	for _, o := range j.snapshot.Owners[r.AddressInterface()] {
		if j.pool(o) != "" || !slices.ContainsFunc(r.VIPs, func(p netip.Prefix) bool { return p.Addr() == o.Address }) {
			continue
		}
		f := Finding{ID: "multicast-lost", Severity: Error,
			What: fmt.Sprintf("%s has %s, and none of its advertisements arrives on %s", j.describe([]garp.Owner{o}, 0), o.Address, r.Interface),
			Why:  "a director that does not hear the master becomes master beside it",
			Mend: "have the switch pass 224.0.0.18 and ff02::12 (no IGMP or MLD snooping without a querier), or set unicast_peers; if that machine is no director, take the address off it"}
		if len(r.UnicastPeers) > 0 {
			f.ID, f.Mend = "unicast-lost", "see that both directors have each other's address in unicast_peers, and that IP protocol 112 passes between; "+
				"if that machine is no director, take the address off it"
		}
		j.find(f)
		return
	}
}

// firewall judges what this machine drops of what the directors say to each other.
func (j *judge) firewall() {
	for _, h := range j.snapshot.Hindered {
		f := Finding{ID: "vrrp-filtered", Severity: Warning,
			Why:  "a backup that does not hear the master becomes master beside it",
			Mend: "nft insert rule inet filter CHAIN meta l4proto vrrp accept"}
		if h.Port != 0 {
			f = Finding{ID: "sync-filtered", Severity: Warning,
				Why:  "the backup does not know the connections, and a failover breaks them",
				Mend: fmt.Sprintf("nft insert rule inet filter CHAIN udp dport %d accept", h.Port)}
		}
		f.What = fmt.Sprintf("the firewall of this machine drops %s that comes in, as far as a packet of its own can tell", h.Flow)
		chain := "input"
		if h.Out {
			f.What, chain = fmt.Sprintf("the firewall of this machine drops %s that it sends", h.Flow), "output"
			f.Severity = Error
		}
		f.Mend = strings.ReplaceAll(f.Mend, "CHAIN", chain)
		if !h.Out {
			f.Mend += "; all is well if the rules let it in from the other director's address alone"
		}
		j.find(f)
	}
}

// master tells whether the running director is master of a virtual router.
func (j *judge) master(r configs.Router) bool {
	return j.snapshot.Status != nil && slices.ContainsFunc(j.snapshot.Status.VRRP, func(s control.Router) bool {
		return s.Name == r.Name && s.State == vrrp.Master.String()
	})
}

// pool says which real server of ours a machine is; empty if it is none.
func (j *judge) pool(o garp.Owner) string {
	for _, svc := range j.config.Services {
		for _, srv := range svc.Servers {
			if slices.Contains(o.Neighbours, srv.Addr) {
				return fmt.Sprintf("%s, real server of %s", srv.Addr, svc.Name)
			}
		}
	}
	return ""
}

func (j *judge) describe(others []garp.Owner, held int) string {
	var names []string
	if held > 0 {
		names = append(names, "this one")
	}
	for _, o := range others {
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
