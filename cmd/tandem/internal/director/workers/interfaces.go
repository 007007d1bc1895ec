// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

// An Interfaces maintains the settings of interfaces: of those where answers to probes through the VIP arrive, and of the lower
// interfaces of virtual MACs. The election needs the latter, but it cannot remember what they were before, because it writes no file.
// So the director makes them first.
type Interfaces struct {
	Settings *kernel.Settings

	mu    sync.Mutex
	lower map[string]bool // that have been below a virtual MAC since the start
}

// Apply makes the settings that a configuration needs. complete is false while an interface is missing, or a route to some server.
func (i *Interfaces) Apply(cfg *configs.Config) (complete bool, err error) {
	want, complete, err := i.want(cfg, true)
	if err != nil {
		return false, err
	}
	_, err = i.Settings.Keep(want)
	return complete && err == nil, err
}

// Plan returns the changes that Apply would make, and makes none.
func (i *Interfaces) Plan(cfg *configs.Config) (plan lvs.SettingsPlan, err error) {
	want, _, err := i.want(cfg, false)
	if err != nil {
		return lvs.SettingsPlan{}, err
	}
	return i.Settings.Plan(want)
}

// want returns the settings that a configuration needs, by their paths.
func (i *Interfaces) want(cfg *configs.Config, adopt bool) (want map[string]string, complete bool, err error) {
	interfaces, routed, err := returnInterfaces(cfg)
	if err != nil {
		return nil, false, err
	}
	want, err = wantedSettings(interfaces, i.Settings.Former)
	if err != nil {
		return nil, false, err
	}
	links := lowerInterfaces(cfg)
	lower, missing, err := lowerSettings(i.lowerSince(links, adopt), i.Settings.Read)
	if err != nil {
		return nil, false, err
	}
	maps.Copy(want, lower)
	present := !slices.ContainsFunc(missing, func(link string) bool { return slices.Contains(links, link) })
	return want, routed && present, nil
}

// lowerSince returns interfaces, and those that were below a virtual MAC before. These stay as they are until the director ends: after
// a reload, the virtual MAC is there until another master has taken over.
func (i *Interfaces) lowerSince(links []string, adopt bool) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := maps.Clone(i.lower)
	if all == nil {
		all = make(map[string]bool)
	}
	for _, link := range links {
		all[link] = true
	}
	if adopt {
		i.lower = maps.Clone(all)
	}
	return slices.Sorted(maps.Keys(all))
}

// lowerInterfaces returns the interfaces below the virtual MACs of a configuration.
func lowerInterfaces(cfg *configs.Config) (links []string) {
	for _, r := range cfg.Routers {
		if r.VirtualMAC && !slices.Contains(links, r.Interface) {
			links = append(links, r.Interface)
		}
	}
	return links
}

// lowerSettings returns the settings that interfaces below virtual MACs need, by their paths. A value that another program has set
// stays if it is good enough.
func lowerSettings(links []string, read func(path string) (string, error)) (want map[string]string, missing []string, err error) {
	want = make(map[string]string)
	for _, link := range links {
		for _, s := range address.ParentSysctls() {
			is, err := read(s.Path(link))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				missing = append(missing, link)
			case err != nil:
				return nil, nil, err
			case is == s.Value || !s.Met(is):
				want[s.Path(link)] = s.Value
			}
		}
	}
	return want, missing, nil
}
