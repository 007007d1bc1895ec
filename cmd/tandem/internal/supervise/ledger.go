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

// An addressLedger lists what elections may have put on the interfaces: every configuration that was sent to one, until
// its addresses are known to be gone. The key is the same for configurations that put the same in the same place.
type addressLedger map[string]vrrp.Config

// ledgerOf lists what an order may put on the interfaces.
func ledgerOf(o message.Order) addressLedger {
	l := make(addressLedger, len(o.Routers))
	for _, r := range o.Routers {
		c := r.Config
		l[fmt.Sprint(message.IDOf(c), c.AddressInterface(), c.MAC(), address.ResourcesOf(c))] = c
	}
	return l
}

// add adds all that is in more.
func (l addressLedger) add(more addressLedger) { maps.Copy(l, more) }

// prune drops what the present order has no more and the report of that order no longer shows as held.
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

// without is the ledger without the entries of the kept routers.
func (l addressLedger) without(kept []message.Resume) addressLedger {
	rest := maps.Clone(l)
	maps.DeleteFunc(rest, func(_ string, c vrrp.Config) bool {
		return slices.ContainsFunc(kept, func(r message.Resume) bool {
			return message.RouterID{Interface: r.Interface, Name: r.Name} == message.IDOf(c)
		})
	})
	return rest
}
