// SPDX-License-Identifier: Apache-2.0

package election

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

// An estateOf elections is what they may have on the interfaces: every configuration that one was sent, by what it puts
// there, until it is known to be gone.
type estateOf map[string]vrrp.Config

// assetKey is the same for configurations that have the same in the same place.
func assetKey(c vrrp.Config) string { return fmt.Sprint(idOf(c), placeOf(c), address.ResourcesOf(c)) }

// add takes in what an order brings.
func (e estateOf) add(o Order) {
	for _, r := range o.Routers {
		e[assetKey(r.Config)] = r.Config
	}
}

// prune drops what is in no order any more, once a report that follows the present one says that it is held no more.
func (e estateOf) prune(o Order, r Report) {
	if r.Sequence != o.Sequence || len(e) <= len(o.Routers) {
		return
	}
	ordered := make(map[string]bool, len(o.Routers))
	for _, router := range o.Routers {
		ordered[assetKey(router.Config)] = true
	}
	for key, c := range e {
		held := slices.ContainsFunc(r.Routers, func(s vrrp.Status) bool { return s.Holding && idOfState(s) == idOf(c) })
		if !ordered[key] && !held {
			delete(e, key)
		}
	}
}

// without is the estate less that of the kept routers.
func (e estateOf) without(kept []Resume) estateOf {
	rest := maps.Clone(e)
	for key, c := range e {
		if slices.ContainsFunc(kept, func(r Resume) bool { return routerID{r.Interface, r.Name} == idOf(c) }) {
			delete(rest, key)
		}
	}
	return rest
}
