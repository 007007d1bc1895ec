// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A Claim says that another machine claims one of this director's virtual addresses.
type Claim struct {
	Interface string // on which it was heard
	Address   netip.Addr
	Hardware  string
	// Neighbours are other addresses that the kernel's neighbour table has for the hardware address.
	Neighbours []netip.Addr
	How        string // "ARP reply"; empty: not known
}

// Claimed returns the finding for a claim. The most frequent cause is a real server that answers ARP for the VIP. Claimed
// recognises such a server by the server's own address.
func Claimed(c Claim, services []configs.Service) Finding {
	f := Finding{ID: "two-owners", Severity: Error, Why: "clients reach one of the two machines by chance",
		Mend: "check that VRRP passes between the directors (IP protocol 112); if that machine is not a director, remove the address from it"}
	who := c.Hardware
	var names []string
	for _, addr := range c.Neighbours {
		name := addr.String()
		if served := ServicesOf(addr, services); len(served) > 0 {
			name += ", real server of " + strings.Join(served, ", ")
			f.ID, f.Why = "server-answers", "clients that believe it reach this real server only, and bypass the director"
			f.Mend = "run `tandem realserver apply --vip " + c.Address.String() + modeOf(addr, services) + "` on it"
		}
		names = append(names, name)
	}
	if len(names) > 0 {
		who += " (" + strings.Join(names, "; ") + ")"
	}
	f.What = fmt.Sprintf("%s: another machine claims %s: %s", c.Interface, c.Address, who)
	if c.How != "" {
		f.What += ", by " + c.How
	}
	return f
}

// modeOf returns the flag of `tandem realserver` that a real server with this address needs.
func modeOf(addr netip.Addr, services []configs.Service) string {
	for _, svc := range services {
		if slices.ContainsFunc(svc.Servers, func(s configs.Server) bool { return s.Addr == addr && s.Method == lvs.Tunnel }) {
			return " --mode tunnel"
		}
	}
	return ""
}

// ServicesOf returns the names of the services that have a real server with this address.
func ServicesOf(addr netip.Addr, services []configs.Service) (names []string) {
	for _, svc := range services {
		if slices.ContainsFunc(svc.Servers, func(s configs.Server) bool { return s.Addr == addr }) {
			names = append(names, svc.Name)
		}
	}
	return names
}
