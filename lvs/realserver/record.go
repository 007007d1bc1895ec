// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A Record is what we changed, and what was there before.
type Record struct {
	// Boot tells the life of the kernel that this is true of.
	Boot string `json:"boot"`
	// Sysctls are the former values, to the byte.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// Added are the addresses that we added, Displaced those that we took away.
	Added     []Address `json:"added,omitempty"`
	Displaced []Address `json:"displaced,omitempty"`
	// Up are the interfaces that we brought up.
	Up []string `json:"up,omitempty"`
	// Modules are those that we had loaded.
	Modules []string `json:"modules,omitempty"`
	// Filter tells that the ARP filter is ours, DropIn which file is.
	Filter bool   `json:"filter,omitempty"`
	DropIn string `json:"drop_in,omitempty"`
}

const (
	recordFile    = "realserver.json"
	recordVersion = 1
)

type envelope struct {
	Version int    `json:"version"`
	Record  Record `json:"record"`
}

// ErrDamaged is in the error of a record that cannot be understood. Nothing is changed then, because what was there
// before would be lost.
var ErrDamaged = errors.New("the record of what was there before is damaged")

// loadRecord reads the record of the directory; a missing one is empty.
func loadRecord(dir string) (Record, error) {
	path := filepath.Join(dir, recordFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, fmt.Errorf("read the record: %w", err)
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return Record{}, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	if e.Version != recordVersion {
		return Record{}, fmt.Errorf("%w: %s has version %d, want %d", ErrDamaged, path, e.Version, recordVersion)
	}
	return e.Record, nil
}

// store writes the record so that a reader finds the old one or the new; an empty one has no file.
func (r Record) store(dir string) error {
	path := filepath.Join(dir, recordFile)
	if r.empty() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the record: %w", err)
		}
		return nil
	}
	text, err := json.MarshalIndent(envelope{recordVersion, r}, "", "  ")
	if err == nil {
		err = writeWhole(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	return nil
}

// writeWhole replaces a file, so that it has the old text or the new whatever happens.
func writeWhole(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (r Record) empty() bool {
	return len(r.Sysctls) == 0 && len(r.Added) == 0 && len(r.Displaced) == 0 && len(r.Up) == 0 && len(r.Modules) == 0 && !r.Filter && r.DropIn == ""
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

// since returns the record as it holds for the kernel of a boot. After a new start the settings are what the machine
// starts with, and those are what was there before. Only what our own file has set then is not.
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
	r.Modules = nil // whoever loads them then is another
	r.Filter = r.Filter && s.Filter != nil
	return r
}

// holds tells whether an address is on its interface.
func (s State) holds(a Address) bool {
	l, _ := s.link(a.Interface)
	return l.has(a.Prefix)
}
