// SPDX-License-Identifier: Apache-2.0

package simulation

// knownFinding tells why a broken invariant is known, and not mended yet; "" if it is not known. An entry goes when its
// mend comes.
func knownFinding(w *world, kind string) string {
	stoodStill := false
	for _, h := range w.hosts {
		stoodStill = stoodStill || h.director != nil && !h.director.halted.IsZero() && w.now.Sub(h.director.since) < detection
	}
	switch {
	case kind == string(stale) && w.watch.unclaimed:
		return "a master that gave up its addresses while it was cut off does not announce the master that it hears later"
	case kind == string(empty) && w.watch.refusal:
		return "a master none of whose servers is healthy, while some answer, does not step back for a peer that has healthy ones"
	case kind == string(deadEnd) && stoodStill:
		return "a director that stood still goes on with the verdicts from before"
	}
	return ""
}
