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
func (l Link) Fault() string { return l.FaultCause().String() }

// FaultCause returns why the link cannot carry a virtual router, the zero Cause when it can.
func (l Link) FaultCause() Cause {
	switch {
	case l.Index == 0:
		return Cause{Kind: FaultLinkMissing, Text: l.Name}
	case !l.Up:
		return Cause{Kind: FaultLinkDown, Text: l.Name}
	case !l.Carrier:
		return Cause{Kind: FaultLinkCarrier, Text: l.Name}
	}
	return Cause{}
}

// Equal reports whether nothing has changed.
func (l Link) Equal(m Link) bool {
	return l.Name == m.Name && l.Index == m.Index && l.Up == m.Up && l.Carrier == m.Carrier && l.MTU == m.MTU &&
		slices.Equal(l.Hardware, m.Hardware) && slices.Equal(l.Addrs, m.Addrs)
}
