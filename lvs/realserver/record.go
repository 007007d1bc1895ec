// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"maps"
	"slices"

	"github.com/tandem-lvs/tandem/lvs"
)

// A Record is what we changed, and what there was before.
type Record struct {
	// Boot is the boot id of the kernel that this is true of.
	Boot string `json:"boot"`
	// Sysctls are the former values, to the byte.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// Added are the addresses that we added, Displaced those that we took away.
	Added     []Address `json:"added,omitempty"`
	Displaced []Address `json:"displaced,omitempty"`
	// Up are the interfaces that we brought up.
	Up []string `json:"up,omitempty"`
	// Modules are those that we loaded.
	Modules []string `json:"modules,omitempty"`
	// Filter: the ARP filter is ours. DropIn is the path of the file that is ours.
	Filter bool   `json:"filter,omitempty"`
	DropIn string `json:"drop_in,omitempty"`
}

// Saved is what a Store holds of a Machine. It is zero where nothing is to be undone.
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
	return len(r.Sysctls) == 0 && len(r.Added) == 0 && len(r.Displaced) == 0 && len(r.Up) == 0 && len(r.Modules) == 0 &&
		!r.Filter && r.DropIn == ""
}

func (r Record) clone() Record {
	r.Sysctls = maps.Clone(r.Sysctls)
	if r.Sysctls == nil {
		r.Sysctls = make(map[string]string)
	}
	r.Added, r.Displaced = slices.Clone(r.Added), slices.Clone(r.Displaced)
	r.Up, r.Modules = slices.Clone(r.Up), slices.Clone(r.Modules)
	return r
}

// since returns the record as it is true for the kernel with this boot id. After a reboot the settings are those that the
// machine starts with, so these are the former values, except where our own file has made them.
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
	r.Added = slices.DeleteFunc(r.Added, func(a Address) bool { return !s.holds(a) })
	r.Up = slices.DeleteFunc(r.Up, func(name string) bool { l, _ := s.link(name); return !l.Up })
	r.Modules = nil // somebody else has loaded them since
	r.Filter = r.Filter && s.Filter != nil
	return r
}

// holds tells whether an address is on its interface.
func (s State) holds(a Address) bool {
	l, _ := s.link(a.Interface)
	return l.has(a.Prefix)
}

// changed returns the settings that we have changed.
func (r Record) changed() map[string]lvs.ChangedSetting {
	changed := make(map[string]lvs.ChangedSetting, len(r.Sysctls))
	for path, former := range r.Sysctls {
		changed[path] = lvs.ChangedSetting{Former: former, Ours: wantedValue(path)}
	}
	return changed
}

// formers are the former values of settings.
func formers(changed map[string]lvs.ChangedSetting) map[string]string {
	values := make(map[string]string, len(changed))
	for path, c := range changed {
		values[path] = c.Former
	}
	return values
}
