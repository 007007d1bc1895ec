// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
)

// A Link describes an interface at one moment. Index 0 means that the interface is missing.
type Link struct {
	// Name is the name of the interface.
	Name string `json:"name"`
	// Index is the kernel's number of the interface. If an interface is deleted and made again, it has another number.
	Index int `json:"index"`
	// Up says that the interface is administratively up.
	Up bool `json:"up"`
	// Carrier says that the interface is up and its medium is connected.
	Carrier bool `json:"carrier"`
	// Hardware is the link-layer address.
	Hardware []byte `json:"hardware"`
	// MTU is the largest packet in bytes.
	MTU int `json:"mtu"`
	// Addrs are the usable addresses, without tentative and duplicate ones. They are in the kernel's order, but for IPv4 the
	// global ones come before the link-local ones.
	Addrs []netip.Prefix `json:"addrs"`
}

// Fault returns in words why the link cannot carry a virtual router. If it can, Fault returns an empty text.
func (l Link) Fault() string { return l.FaultCause().String() }

// FaultCause returns why the link cannot carry a virtual router. If it can, it returns the zero Cause.
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

// Equal reports whether two descriptions of a link are the same.
func (l Link) Equal(m Link) bool {
	return l.Name == m.Name && l.Index == m.Index && l.Up == m.Up && l.Carrier == m.Carrier && l.MTU == m.MTU &&
		slices.Equal(l.Hardware, m.Hardware) && slices.Equal(l.Addrs, m.Addrs)
}
