// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// A Config describes one virtual router: one VRID of one address family on one interface.
type Config struct {
	// Name is unique among the virtual routers of a director.
	Name string `json:"name"`
	// Interface is the link that carries the advertisements and the VIPs.
	Interface string `json:"interface"`
	// VRID is 1 to 255 and unique among the virtual routers of a segment and family.
	VRID uint8 `json:"vrid"`
	// Version is the protocol version on the wire: 3.
	Version uint8 `json:"version"`
	// Priority is 1 to 254, or 255 for the owner of the addresses.
	Priority uint8 `json:"priority"`
	// AdvertInterval is a whole number of centiseconds, 10 ms to 40.95 s (RFC 9568, section 5.2.7).
	AdvertInterval time.Duration `json:"advert_interval"`
	// Preempt lets this router take over from a master of lower priority (RFC 9568, section 6.1: Preempt_Mode).
	Preempt bool `json:"preempt"`
	// VIPs are the virtual addresses with the prefix length they get on the interface, all of one family.
	VIPs []netip.Prefix `json:"vips"`
}
