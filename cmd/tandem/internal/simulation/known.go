// SPDX-License-Identifier: Apache-2.0

package simulation

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
	switch {
	case kind == string(stale) && w.watch.unclaimed:
		return "a master that gave up its addresses while it was cut off does not announce the master that it hears later"
	case kind == string(empty) && w.watch.refusal:
		return "a director all of whose servers refuse or are silent preempts one that has healthy servers"
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
