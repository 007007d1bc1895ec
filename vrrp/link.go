// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
)

// A Link is an interface as the kernel has it; the zero Index means that it is missing.
type Link struct {
	// Name is the name that was asked for.
	Name string `json:"name"`
	// Index is the kernel's number of the interface; one that was deleted and made again has another.
	Index int `json:"index"`
	// Up tells whether the interface is administratively up.
	Up bool `json:"up"`
	// Carrier tells whether the interface is up and its medium is connected.
	Carrier bool `json:"carrier"`
	// Hardware is the link-layer address.
	Hardware []byte `json:"hardware"`
	// MTU is the largest packet in bytes.
	MTU int `json:"mtu"`
	// Addrs are the usable addresses in the kernel's order, tentative and duplicate ones left out.
	Addrs []netip.Prefix `json:"addrs"`
}

// Fault says in words why the link cannot carry a virtual router; empty when it can.
func (l Link) Fault() string {
	switch {
	case l.Index == 0:
		return "interface " + l.Name + " is missing"
	case !l.Up:
		return "interface " + l.Name + " is down"
	case !l.Carrier:
		return "interface " + l.Name + " has no carrier"
	}
	return ""
}

// Equal reports whether nothing has changed.
func (l Link) Equal(m Link) bool {
	return l.Name == m.Name && l.Index == m.Index && l.Up == m.Up && l.Carrier == m.Carrier && l.MTU == m.MTU &&
		slices.Equal(l.Hardware, m.Hardware) && slices.Equal(l.Addrs, m.Addrs)
}
