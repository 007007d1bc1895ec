// SPDX-License-Identifier: Apache-2.0

package lvs

import "slices"

// Replaced returns the changes of Diff that replace what another program has set up: those of services that are wanted, and
// are in the table already without being owned. Weights are left out: they follow the health of the servers anyway.
func Replaced(have, want []Entry, owned map[ServiceID]bool) []Change {
	foreign := make(map[ServiceID]bool)
	others := slices.DeleteFunc(slices.Clone(have), func(e Entry) bool {
		id := e.ServiceID.Canonical()
		foreign[id] = !owned[id]
		return owned[id]
	})
	wanted := slices.DeleteFunc(slices.Clone(want), func(e Entry) bool { return !foreign[e.ServiceID.Canonical()] })
	if len(wanted) == 0 {
		return nil // as nearly always: this saves the comparison of the tables
	}
	return slices.DeleteFunc(Diff(others, wanted, nil), func(c Change) bool {
		weightless := c.OldServer
		weightless.Weight = c.Server.Weight
		return c.Op == AddServer || c.Op == SetServer && weightless == c.Server
	})
}
