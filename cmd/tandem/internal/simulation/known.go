// SPDX-License-Identifier: Apache-2.0

package simulation

// knownFinding tells why a broken invariant is known, and not mended yet; "" if it is not known. An entry goes when its
// mend comes.
func knownFinding(w *world, kind string) string {
	if kind == string(stale) && w.watch.unclaimed {
		return "a master that gave up its addresses while it was cut off does not announce the master that it hears later"
	}
	return ""
}
