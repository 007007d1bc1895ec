// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"net/netip"
	"slices"
	"time"
)

// A HandOver is a hand-over of addresses. The former master, this machine, keeps them until it hears the successor announce all
// of them.
type HandOver struct {
	Router string    // names the virtual router
	Heard  time.Time // when this machine heard the successor
	Addrs  []netip.Addr
	// Announced is called once, when all of Addrs have been announced. It must not block.
	Announced func()
}

// Is reports whether both are the same hand-over.
func (h HandOver) Is(other HandOver) bool {
	return h.Router == other.Router && h.Heard.Equal(other.Heard)
}

// HandOvers finds out when the addresses of hand-overs have been announced.
type HandOvers struct {
	current []HandOver
	silent  []int // how many addresses of each have not been announced yet; the first ones of its Addrs
}

// Set sets the hand-overs under way.
func (h *HandOvers) Set(list []HandOver) {
	silent := make([]int, len(list))
	for i := range list {
		silent[i] = len(list[i].Addrs)
		if j := slices.IndexFunc(h.current, func(o HandOver) bool { return o.Is(list[i]) }); j >= 0 {
			silent[i] = h.silent[j]
		}
	}
	h.current, h.silent = slices.Clone(list), silent
}

// Others returns those of the addresses that are not handed over.
func (h *HandOvers) Others(addrs []netip.Addr) []netip.Addr {
	if len(h.current) == 0 {
		return addrs
	}
	leaving := make(map[netip.Addr]bool)
	for _, o := range h.current {
		for _, a := range o.Addrs {
			leaving[a] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return leaving[a] })
}

// Step calls Announced of each hand-over of which all addresses have been announced by now.
func (h *HandOvers) Step(r *Referrals) {
	for i := range h.current {
		o := &h.current[i]
		if h.silent[i] == 0 {
			continue
		}
		for h.silent[i] > 0 && r.announcedSince(o.Heard, o.Addrs[h.silent[i]-1]) {
			h.silent[i]--
		}
		if h.silent[i] == 0 {
			o.Announced()
		}
	}
}
