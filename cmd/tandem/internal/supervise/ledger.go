// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

// An addressLedger lists the resources that elections may have put on the interfaces: it has every configuration that was
// sent to an election, until its addresses are known to be gone. Configurations with the same resources on the same interfaces
// have the same key.
type addressLedger map[string]vrrp.Config

// ledgerOf lists what an order may put on the interfaces.
func ledgerOf(o message.Order) addressLedger {
	l := make(addressLedger, len(o.Routers))
	for _, r := range o.Routers {
		c := r.Config
		l[fmt.Sprint(message.IDOf(c), address.PlacementsOf(c))] = c
	}
	return l
}

// add adds all entries of more.
func (l addressLedger) add(more addressLedger) { maps.Copy(l, more) }

// prune removes the entries that the present order does not have and that the report of that order no longer shows as held.
func (l addressLedger) prune(ordered addressLedger, r message.Report) {
	if len(l) <= len(ordered) {
		return
	}
	maps.DeleteFunc(l, func(key string, c vrrp.Config) bool {
		_, still := ordered[key]
		held := func(s vrrp.Status) bool { return s.Holding && message.IDOfStatus(s) == message.IDOf(c) }
		return !still && !slices.ContainsFunc(r.Routers, held)
	})
}

// without returns the ledger without the kept routers.
func (l addressLedger) without(kept []message.Resume) addressLedger {
	rest := maps.Clone(l)
	maps.DeleteFunc(rest, func(_ string, c vrrp.Config) bool {
		return slices.ContainsFunc(kept, func(r message.Resume) bool {
			return message.RouterID{Interface: r.Interface, Name: r.Name} == message.IDOf(c)
		})
	})
	return rest
}
