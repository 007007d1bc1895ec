// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// sysctlVersion is the version of the state file's format.
const sysctlVersion = 1

// A SysctlKeeper sets the kernel's settings of IPVS and remembers in a file what they were before. Its methods may be
// called from any goroutine; they work in the network namespace of the calling thread.
type SysctlKeeper struct {
	dir  string // of the settings
	path string
	log  hclog.Logger

	mu     sync.Mutex
	former map[string]string // of what is set otherwise because of us
	dirty  bool              // the file does not say what former says
}

type sysctlFile struct {
	Version int               `json:"version"`
	Former  map[string]string `json:"former"`
}

// OpenSysctls reads the state file; a missing one is an empty state. With a file that cannot be understood, the error
// wraps ErrDamaged, comes with an empty state, and is only a warning: what the settings were before is forgotten. With
// any other error the keeper is nil.
func OpenSysctls(path string, log hclog.Logger) (*SysctlKeeper, error) {
	k := &SysctlKeeper{dir: "/proc/sys/net/ipv4/vs", path: path, log: log, former: make(map[string]string)}
	err := readState(path, func(data []byte) error {
		former, err := parseSysctlFile(data)
		if err == nil {
			maps.Copy(k.former, former)
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	return k, err
}

func parseSysctlFile(data []byte) (map[string]string, error) {
	var f sysctlFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Version != sysctlVersion {
		return nil, fmt.Errorf("version %d, want %d", f.Version, sysctlVersion)
	}
	for name, value := range f.Former {
		if err := lvs.CheckSysctl(name, value); err != nil {
			return nil, err
		}
	}
	return f.Former, nil
}

// Read returns the settings that the kernel has, of those in Sysctls. The error wraps ErrAbsent if there is no IPVS.
func (k *SysctlKeeper) Read() (map[string]string, error) {
	if _, err := os.Stat(k.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read IPVS settings: %w", ErrAbsent)
	}
	have := make(map[string]string)
	for _, s := range lvs.Sysctls() {
		value, err := os.ReadFile(filepath.Join(k.dir, s.Name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // this kernel lacks it
		}
		if err != nil {
			return nil, fmt.Errorf("read IPVS settings: %w", err)
		}
		have[s.Name] = normal(string(value))
	}
	return have, nil
}

// Apply makes the settings what want says, by name without net.ipv4.vs, writes only those that differ, and returns
// them. What they were before is remembered first. A setting that want had and has no more gets its former value back.
// The errors of several are joined; they are ErrInvalid, ErrAbsent, or those of the files.
func (k *SysctlKeeper) Apply(want map[string]string) ([]SysctlChange, error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(want)) {
		errs = append(errs, lvs.CheckSysctl(name, want[name]))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(want) == 0 && len(k.former) == 0 {
		return nil, nil
	}
	have, err := k.Read()
	if err != nil {
		return nil, err
	}
	changes := planSysctls(have, want, k.former)
	remembered := maps.Clone(k.former)
	for _, c := range changes {
		if _, before := remembered[c.Name]; !before && c.Old != "" {
			remembered[c.Name] = c.Old
		}
	}
	// A state directory that cannot be written is no reason to serve worse.
	errs = []error{k.remember(remembered)}
	var done []SysctlChange
	for _, c := range changes {
		if err := k.write(c); err != nil {
			errs = append(errs, err)
			continue
		}
		k.log.Info("set net.ipv4.vs", "change", c.String())
		done = append(done, c)
		if _, wanted := want[c.Name]; !wanted {
			delete(remembered, c.Name)
		}
	}
	for name, value := range k.former {
		if _, wanted := want[name]; !wanted && have[name] == value {
			delete(remembered, name) // somebody has restored it
		}
	}
	return done, errors.Join(append(errs, k.remember(remembered))...)
}

// Restore gives every setting that we have changed its former value back.
func (k *SysctlKeeper) Restore() error {
	_, err := k.Apply(nil)
	return err
}

// remember writes the state file if it says something else.
func (k *SysctlKeeper) remember(former map[string]string) error {
	if maps.Equal(former, k.former) && !k.dirty {
		return nil
	}
	k.former = maps.Clone(former)
	err := writeState(k.path, sysctlFile{Version: sysctlVersion, Former: former})
	k.dirty = err != nil
	return err
}

func (k *SysctlKeeper) write(c SysctlChange) error {
	f, err := os.OpenFile(filepath.Join(k.dir, c.Name), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set net.ipv4.vs.%s: this kernel does not have it: %w", c.Name, err)
	}
	if err == nil {
		_, err = f.WriteString(strings.ReplaceAll(c.New, " ", "\t") + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("set net.ipv4.vs.%s to %s: %w", c.Name, c.New, err)
	}
	return nil
}

// A SysctlChange is one write.
type SysctlChange struct{ Name, Old, New string }

// String is "expire_nodest_conn: 0 → 1".
func (c SysctlChange) String() string { return fmt.Sprintf("%s: %s → %s", c.Name, c.Old, c.New) }

// planSysctls returns the writes that make have what want says, and make former again what former has and want has not.
// They are in the order of the names. Values are the same if their numbers are.
func planSysctls(have, want, former map[string]string) []SysctlChange {
	var changes []SysctlChange
	for _, s := range lvs.Sysctls() {
		value, wanted := want[s.Name]
		if !wanted {
			value, wanted = former[s.Name]
		}
		old, known := have[s.Name]
		if wanted && (!known || normal(old) != normal(value)) {
			changes = append(changes, SysctlChange{s.Name, normal(old), normal(value)})
		}
	}
	return changes
}

// normal separates the numbers of a value by one space: the kernel writes tabs.
func normal(value string) string { return strings.Join(strings.Fields(value), " ") }
