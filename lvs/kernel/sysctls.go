// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// vsPath is the directory of the settings of IPVS, below /proc/sys.
const vsPath = "net/ipv4/vs"

// A SysctlKeeper maintains the settings of IPVS, net.ipv4.vs, as Settings do. It uses their names.
type SysctlKeeper struct{ settings *Settings }

// FormerSysctls is the value of the changed settings of IPVS in a Store, by name.
type FormerSysctls struct {
	Former map[string]string `json:"former"`
	Ours   map[string]string `json:"ours,omitempty"`
}

// Validate returns what is wrong with a value from a Store.
func (f FormerSysctls) Validate() error {
	for name, value := range f.Former {
		if err := lvs.CheckSysctl(name, value); err != nil {
			return err
		}
	}
	return nil
}

// A sysctlStore stores the changes of Settings in a Store of FormerSysctls.
type sysctlStore struct{ store Store[FormerSysctls] }

func (s sysctlStore) Load() (map[string]lvs.ChangedSetting, error) {
	f, err := s.store.Load()
	changed := make(map[string]lvs.ChangedSetting, len(f.Former))
	for name, former := range f.Former {
		changed[path.Join(vsPath, name)] = lvs.ChangedSetting{Former: former, Ours: f.Ours[name]}
	}
	return changed, err
}

func (s sysctlStore) Store(changed map[string]lvs.ChangedSetting) error {
	f := FormerSysctls{Former: make(map[string]string), Ours: make(map[string]string)}
	for p, c := range changed {
		f.Former[path.Base(p)], f.Ours[path.Base(p)] = c.Former, c.Ours
	}
	return s.store.Store(f)
}

// OpenSysctls returns the keeper. An error is the store's. The keeper is usable then too: it starts with the values that the
// store could read.
func OpenSysctls(store Store[FormerSysctls], log hclog.Logger) (*SysctlKeeper, error) {
	settings, err := OpenSettings(sysctlStore{store}, log)
	return &SysctlKeeper{settings}, err
}

// Read returns the settings of lvs.Sysctls that the kernel has. If there is no IPVS, the error wraps ErrAbsent.
func (k *SysctlKeeper) Read() (map[string]string, error) {
	if _, err := os.Stat(filepath.Join(k.settings.root, vsPath)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("failed to read IPVS settings: %w", ErrAbsent)
	}
	have := make(map[string]string)
	for _, s := range lvs.Sysctls() {
		value, err := k.settings.Read(path.Join(vsPath, s.Name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // this kernel lacks it
		}
		if err != nil {
			return nil, err
		}
		have[s.Name] = value
	}
	return have, nil
}

// Apply makes the settings what want says, by name without net.ipv4.vs. See Settings.Keep. The errors are lvs.ErrInvalid,
// ErrAbsent, or those of Keep.
func (k *SysctlKeeper) Apply(want map[string]string) ([]lvs.SettingChange, error) {
	paths, err := k.paths(want)
	if err != nil {
		return nil, err
	}
	return k.settings.Keep(paths)
}

// Plan returns what Apply would write. It writes nothing. The errors are lvs.ErrInvalid, ErrAbsent, or those of
// Settings.Plan.
func (k *SysctlKeeper) Plan(want map[string]string) (lvs.SettingsPlan, error) {
	paths, err := k.paths(want)
	if err != nil {
		return lvs.SettingsPlan{}, err
	}
	return k.settings.Plan(paths)
}

// paths returns settings by their paths. The errors are lvs.ErrInvalid and ErrAbsent.
func (k *SysctlKeeper) paths(want map[string]string) (map[string]string, error) {
	var errs []error
	paths := make(map[string]string, len(want))
	for _, name := range slices.Sorted(maps.Keys(want)) {
		errs = append(errs, lvs.CheckSysctl(name, want[name]))
		paths[path.Join(vsPath, name)] = want[name]
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(want) > 0 || len(k.settings.Changed()) > 0 {
		if _, err := os.Stat(filepath.Join(k.settings.root, vsPath)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("failed to set IPVS settings: %w", ErrAbsent)
		}
	}
	return paths, nil
}

// Restore gives every setting that tandem has changed its former value back. See Settings.Restore.
func (k *SysctlKeeper) Restore() error {
	_, err := k.Apply(nil)
	return err
}
