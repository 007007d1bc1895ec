// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"strings"
	"time"
)

// explainSignature says why the signature of p was refused, and what to do.
func (r *Router) explainSignature(h Header, p *Packet, d Drop) string {
	c := &r.Config.HMAC
	peer, vrid := h.Source, r.Config.VRID
	switch d {
	case DropAuthTrailer:
		return fmt.Sprintf("%s signs its advertisements of VRID %d with key %d (auth_hmac in keepalived), and we have no key, so each "+
			"ignores the other: give this router the same key under hmac, or remove it there", peer, vrid, p.Trailer.KeyID)
	case DropUnsigned:
		return fmt.Sprintf("unsigned advertisements of VRID %d arrive from %s and are refused: if it is our peer, give it the same hmac "+
			"keys; if not, a machine of the network forges them", vrid, peer)
	case DropUnknownScheme:
		return fmt.Sprintf("%s signs its advertisements of VRID %d by scheme %d, and only %d (HMAC-SHA256) is supported: "+
			"use that there", peer, vrid, p.Trailer.Scheme, schemeHMACSHA256)
	case DropUnknownKey:
		return fmt.Sprintf("%s signs its advertisements of VRID %d with key %d, and we have %s: give both the same keys before "+
			"active_key changes", peer, vrid, p.Trailer.KeyID, listedIDs(c.IDs()))
	case DropStaleTime:
		return fmt.Sprintf("the time in advertisements of %s for VRID %d is %s our clock, and time_window is %s: set the clocks of both "+
			"by NTP; if they are right, somebody replays old advertisements", peer, vrid, apart(r.guard.skew), c.Window)
	case DropReplayed:
		return fmt.Sprintf("advertisements of %s for VRID %d arrive a second time: somebody replays them, or the clock of that machine "+
			"was set back", peer, vrid)
	}
	return fmt.Sprintf("the signature of advertisements of %s for VRID %d does not fit key %d: if it is our peer, put the same key on "+
		"both; if both are the same, somebody forges them", peer, vrid, p.Trailer.KeyID)
}

// diagnoseSignature learns from a good advertisement that its sender does not sign yet, or that its clock is soon too far from
// ours.
func (r *Router) diagnoseSignature(now time.Time, h Header, p *Packet) (changed bool) {
	c := &r.Config.HMAC
	if p.Trailer == (Trailer{}) {
		return c.Mode == HMACPermissive && r.warn(now, p, warnUnsigned, h.Source, 0, func() string {
			return fmt.Sprintf("%s does not sign its advertisements of VRID %d; mode permissive accepts them from everybody: give it the "+
				"same hmac keys, then set mode = \"enforce\" on both", h.Source, r.Config.VRID)
		})
	}
	if c.AntiReplay != AntiReplayTime || 2*r.guard.skew.Abs() <= c.Window {
		return len(r.diagnosis.warnings.active) > 0 &&
			r.diagnosis.warnings.remove(func(w warning) bool { return w.kind == warnClock && w.from == h.Source })
	}
	return r.warn(now, p, warnClock, h.Source, uint64(r.guard.skew), func() string {
		return fmt.Sprintf("the clock of %s is %s ours; from %s on, each refuses the other's advertisements: set both clocks by NTP",
			h.Source, apart(r.guard.skew), c.Window+time.Second)
	})
}

// apart says how two clocks differ.
func apart(skew time.Duration) string {
	if skew < 0 {
		return (-skew).String() + " behind"
	}
	return skew.String() + " ahead of"
}

// listedIDs names keys.
func listedIDs(ids []uint8) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = fmt.Sprint(id)
	}
	if len(ids) == 1 {
		return "only key " + names[0]
	}
	return "keys " + strings.Join(names, ", ")
}
