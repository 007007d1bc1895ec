// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// An addressLedger elections is what they may have on the interfaces: every configuration that one was sent, by what it puts
// there, until it is known to be gone.
type addressLedger map[string]vrrp.Config

// ledgerKey is the same for configurations that have the same in the same place.
func ledgerKey(c vrrp.Config) string {
	return fmt.Sprint(message.IDOf(c), c.AddressInterface(), c.MAC(), c.Assets())
}

// add takes in what an order brings.
func (e addressLedger) add(o message.Order) {
	for _, r := range o.Routers {
		e[ledgerKey(r.Config)] = r.Config
	}
}

// prune drops what is in no order any more, once a report that follows the present one says that it is held no more.
func (e addressLedger) prune(o message.Order, r message.Report) {
	if r.Sequence != o.Sequence || len(e) <= len(o.Routers) {
		return
	}
	ordered := make(map[string]bool, len(o.Routers))
	for _, router := range o.Routers {
		ordered[ledgerKey(router.Config)] = true
	}
	for key, c := range e {
		held := slices.ContainsFunc(r.Routers, func(s vrrp.Status) bool { return s.Holding && message.IDOfStatus(s) == message.IDOf(c) })
		if !ordered[key] && !held {
			delete(e, key)
		}
	}
}

// without is the ledger less that of the kept routers.
func (e addressLedger) without(kept []message.Resume) addressLedger {
	rest := maps.Clone(e)
	for key, c := range e {
		if slices.ContainsFunc(kept, func(r message.Resume) bool {
			return message.RouterID{Interface: r.Interface, Name: r.Name} == message.IDOf(c)
		}) {
			delete(rest, key)
		}
	}
	return rest
}
