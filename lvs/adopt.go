// SPDX-License-Identifier: Apache-2.0

package lvs

import "slices"

// Replaced returns the changes of Diff that replace what another program has set up: those of services that are wanted, and
// are in the table already without being owned. Weights are left out: they follow the health of the servers anyway.
func Replaced(have, want []Entry, owned map[ServiceID]bool) []Change {
	foreign := make(map[ServiceID]bool)
	for _, e := range have {
		foreign[e.ServiceID.Canonical()] = !owned[e.ServiceID.Canonical()]
	}
	return slices.DeleteFunc(Diff(have, want, owned), func(c Change) bool {
		weightless := c.OldServer
		weightless.Weight = c.Server.Weight
		return !foreign[c.Service.ServiceID.Canonical()] || c.Op == AddServer || c.Op == SetServer && weightless == c.Server
	})
}
