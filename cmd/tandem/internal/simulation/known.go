// SPDX-License-Identifier: Apache-2.0

package simulation

import "github.com/tandem-lvs/tandem/vrrp"

// knownFinding tells why a broken invariant is known, and not mended yet; "" if it is not known. An entry goes when its
// mend comes.
func knownFinding(w *world, kind string) string {
	cutOff := false
	for _, h := range w.hosts {
		cutOff = cutOff || h.director != nil && h.director.cfg != nil && h.director.state.Snapshot(w.now).CutOff
	}
	lied := w.watch.faults[DumpsLie] > 0
	stoodStill := false
	for _, h := range w.hosts {
		stoodStill = stoodStill || h.director != nil && !h.director.halted.IsZero() && w.now.Sub(h.director.since) < detection
	}
	nobody := false
	for _, h := range w.hosts {
		if e := h.election(); e != nil && e.named("web") != nil {
			nobody = nobody || e.named("web").gaveUp == vrrp.CauseNobody
		}
	}
	switch {
	case kind == string(stale) && nobody && w.watch.scenario.Group:
		return "a member that gave way with its group while its own wire was cut does not announce the master that it hears later"
	case kind == string(deadEnd) && stoodStill:
		return "a director that stood still goes on with the verdicts from before"
	case kind == string(empty) && lied:
		return "a list of the kernel's that repeats rows deletes services"
	case kind == string(deadEnd) && cutOff:
		return "all real servers are off, and the sorry server does not answer"
	case kind == string(deadEnd) && w.watch.scenario.Master:
		return "checked by the master only, and no real server answers: the directors take turns"
	}
	return ""
}
