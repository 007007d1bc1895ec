// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/lvs"
)

// A Record is what tandem manages, and its state before the first apply. The recorded former state never changes after that.
type Record struct {
	// Boot is the boot id of the kernel that the record belongs to.
	Boot string `json:"boot"`
	// Config is the Config of the last Apply.
	Config Config `json:"config,omitzero"`
	// Sysctls are the former values, byte for byte.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// Added are the addresses that tandem added. Former are the addresses that were VIPs before, on any interface.
	Added  []Address `json:"added,omitempty"`
	Former []Address `json:"displaced,omitempty"`
	// Up are the interfaces that were down before, WasUp those that were up.
	Up    []string `json:"up,omitempty"`
	WasUp []string `json:"was_up,omitempty"`
	// Routed are the default routes that tandem made. FormerRoutes are the former ones of the same family.
	Routed       []Path `json:"routed,omitempty"`
	FormerRoutes []Path `json:"former_routes,omitempty"`
	// Modules are the modules that tandem loaded.
	Modules []string `json:"modules,omitempty"`
	// Filter says that the ARP filter is ours. DropIn is the path of our file, FormerDropIn the text that it had before.
	Filter       bool   `json:"filter,omitempty"`
	DropIn       string `json:"drop_in,omitempty"`
	FormerDropIn string `json:"former_drop_in,omitempty"`
	// Kept are the settings that Keep has made, KeptFile is the file that has them.
	Kept     map[string]lvs.ChangedSetting `json:"kept,omitempty"`
	KeptFile string                        `json:"kept_file,omitempty"`
}

// Saved is the value of a Machine in a Store. It is zero if there is nothing to undo.
type Saved struct {
	Record Record `json:"record"`
}

// A Store keeps the record across restarts. In production it is a file of the state directory.
type Store interface {
	Load() (Saved, error)
	Store(Saved) error
}

// saved returns the record as it is stored.
func (r Record) saved() Saved {
	if r.empty() {
		return Saved{}
	}
	return Saved{r}
}

func (r Record) empty() bool {
	return len(r.Config.VIPs) == 0 && len(r.Sysctls) == 0 && len(r.Added) == 0 && len(r.Former) == 0 && len(r.Up) == 0 &&
		len(r.WasUp) == 0 && len(r.Routed) == 0 && len(r.FormerRoutes) == 0 && len(r.Modules) == 0 && !r.Filter && r.DropIn == "" &&
		len(r.Kept) == 0 && r.KeptFile == ""
}

// knows reports whether the record has where a VIP was before.
func (r Record) knows(vip netip.Addr) bool {
	is := func(a Address) bool { return a.Prefix.Addr() == vip }
	return slices.ContainsFunc(r.Added, is) || slices.ContainsFunc(r.Former, is)
}

// vips returns the VIPs of the record.
func (r Record) vips() (all []netip.Addr) {
	for _, a := range slices.Concat(r.Added, r.Former) {
		all = append(all, a.Prefix.Addr())
	}
	return all
}

// seeLink records whether an interface was up when it was first seen.
func (r *Record) seeLink(l Link) {
	switch {
	case slices.Contains(r.Up, l.Name) || slices.Contains(r.WasUp, l.Name):
	case l.Up:
		r.WasUp = append(r.WasUp, l.Name)
	default:
		r.Up = append(r.Up, l.Name)
	}
}

// seeSysctl records the value that a setting had when it was first seen.
func (r *Record) seeSysctl(path, value string) {
	if _, known := r.Sysctls[path]; !known {
		r.Sysctls[path] = value
	}
}

func (r Record) clone() Record {
	r.Sysctls = maps.Clone(r.Sysctls)
	if r.Sysctls == nil {
		r.Sysctls = make(map[string]string)
	}
	r.Kept = maps.Clone(r.Kept)
	if r.Kept == nil {
		r.Kept = make(map[string]lvs.ChangedSetting)
	}
	r.Added, r.Former = slices.Clone(r.Added), slices.Clone(r.Former)
	r.Up, r.WasUp, r.Modules = slices.Clone(r.Up), slices.Clone(r.WasUp), slices.Clone(r.Modules)
	r.Routed, r.FormerRoutes = slices.Clone(r.Routed), slices.Clone(r.FormerRoutes)
	return r
}

// since returns the record that applies to the kernel with this boot id. After a reboot the machine has its state at start,
// and this is the former state, except for settings that our own file has made.
func (r Record) since(boot string, s State) Record {
	if r.Boot == boot || r.empty() {
		r.Boot = boot
		return r
	}
	r = r.clone()
	r.Boot = boot
	for path := range r.Sysctls {
		if r.DropIn == "" || s.value(path) != wantedValue(path) {
			delete(r.Sysctls, path)
		}
	}
	r.Added, r.Former, r.Routed, r.FormerRoutes = nil, nil, nil, nil
	r.Up, r.WasUp, r.Modules = nil, nil, nil
	r.Filter = r.Filter && s.Filter != nil
	return r
}

// holds reports whether an address is on its interface.
func (s State) holds(a Address) bool {
	l, _ := s.link(a.Interface)
	return l.has(a.Prefix)
}

// changed returns the settings that tandem has changed.
func (r Record) changed() map[string]lvs.ChangedSetting {
	changed := make(map[string]lvs.ChangedSetting, len(r.Sysctls))
	for path, former := range r.Sysctls {
		changed[path] = lvs.ChangedSetting{Former: former} // restored even if another program has changed it since
	}
	return changed
}

// formers returns the former values of settings.
func formers(changed map[string]lvs.ChangedSetting) map[string]string {
	values := make(map[string]string, len(changed))
	for path, c := range changed {
		values[path] = c.Former
	}
	return values
}
