// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A ChangedSetting is a kernel setting that tandem has changed.
type ChangedSetting struct {
	Former string `json:"former"` // the value before tandem changed it
	Ours   string `json:"ours"`   // the value that tandem wrote; empty if an earlier version did not record it
}

// A SettingChange is one write. Path is the file's, below /proc/sys.
type SettingChange struct{ Path, Old, New string }

// Name returns the setting as sysctl(8) names it.
func (c SettingChange) Name() string { return SettingName(c.Path) }

// String returns "net.ipv4.vs.expire_nodest_conn: 0 → 1".
func (c SettingChange) String() string {
	return fmt.Sprintf("%s: %s → %s", c.Name(), spaced(c.Old), spaced(c.New))
}

// SettingName returns the name of the setting at a path below /proc/sys, as sysctl(8) takes it. A path with a dot, such as
// that of a VLAN interface, keeps its slashes.
func SettingName(path string) string {
	if strings.Contains(path, ".") {
		return path
	}
	return strings.ReplaceAll(path, "/", ".")
}

// A SettingsPlan has the writes that make settings as they should be.
type SettingsPlan struct {
	Set     []SettingChange // writes the wanted values, in the order of the paths
	Restore []SettingChange // writes the former values, in the opposite order
	// Before is the record to store before the first write, After the record to store after the last one.
	Before, After map[string]ChangedSetting
}

// PlanSettings returns the writes that lead from have to want, by path. A setting in changed that is no longer wanted gets
// its former value back, unless another program has changed it since. A setting that have does not contain does not exist.
// Values are the same if their fields are the same.
func PlanSettings(have, want map[string]string, changed map[string]ChangedSetting) SettingsPlan {
	p := SettingsPlan{Before: make(map[string]ChangedSetting), After: make(map[string]ChangedSetting)}
	maps.Copy(p.Before, changed)
	for _, path := range slices.Sorted(maps.Keys(want)) {
		is, exists := have[path]
		c, ours := changed[path]
		if exists && !SameSetting(is, want[path]) {
			p.Set = append(p.Set, SettingChange{path, is, want[path]})
			if !ours {
				c.Former, ours = is, true
			}
		}
		if ours {
			c.Ours = want[path]
			p.Before[path], p.After[path] = c, c
		}
	}
	for _, path := range slices.Backward(slices.Sorted(maps.Keys(changed))) {
		c := changed[path]
		if _, wanted := want[path]; wanted {
			continue
		}
		is, exists := have[path]
		if exists && !SameSetting(is, c.Former) && (c.Ours == "" || SameSetting(is, c.Ours)) {
			p.Restore = append(p.Restore, SettingChange{path, is, c.Former})
		}
	}
	return p
}

// SameSetting reports whether two values are the same to the kernel, which separates fields by tabs.
func SameSetting(a, b string) bool { return spaced(a) == spaced(b) }

// spaced returns a value with one space between its fields.
func spaced(value string) string { return strings.Join(strings.Fields(value), " ") }
