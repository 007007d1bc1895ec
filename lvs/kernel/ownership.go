// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tandem-lvs/tandem/lvs"
)

// ownershipVersion is the version of the file's format.
const ownershipVersion = 1

// An Ownership is the set of services that are ours, remembered in a file across restarts, so that a service that left
// the configuration while the daemon was down is still known to be ours to delete. Its methods may be called from any
// goroutine.
type Ownership struct {
	path string

	mu    sync.Mutex
	set   map[lvs.ServiceID]bool
	dirty bool // the file does not say what set says
}

type ownershipFile struct {
	Version  int      `json:"version"`
	Services []string `json:"services"`
}

// OpenOwnership reads the file; a missing one is an empty set. A file that cannot be understood is renamed to
// PATH.damaged-TIME, and the error, which wraps ErrDamaged, comes with an empty set and is only a warning: the wanted
// services become ours again, and others are left alone. With any other error the Ownership is nil.
func OpenOwnership(path string) (*Ownership, error) {
	o := &Ownership{path: path, set: make(map[lvs.ServiceID]bool)}
	err := readState(path, func(data []byte) error {
		set, err := parseOwnership(data)
		if err == nil {
			o.set = set
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	return o, err
}

func parseOwnership(data []byte) (map[lvs.ServiceID]bool, error) {
	var f ownershipFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Version != ownershipVersion {
		return nil, fmt.Errorf("version %d, want %d", f.Version, ownershipVersion)
	}
	set := make(map[lvs.ServiceID]bool, len(f.Services))
	for _, s := range f.Services {
		id, err := lvs.ParseServiceID(s)
		if err != nil {
			return nil, err
		}
		set[id] = true
	}
	return set, nil
}

// Set returns a copy of the set.
func (o *Ownership) Set() map[lvs.ServiceID]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.set)
}

// Add makes services ours. After an error they are ours until the process ends, and the next Add or Remove tries
// again to write the file. Without a difference nothing is written.
func (o *Ownership) Add(ids ...lvs.ServiceID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		if id = id.Canonical(); !o.set[id] {
			o.set[id], o.dirty = true, true
		}
	}
	return o.store()
}

// Remove makes services no longer ours, with the same errors as Add.
func (o *Ownership) Remove(ids ...lvs.ServiceID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		if id = id.Canonical(); o.set[id] {
			delete(o.set, id)
			o.dirty = true
		}
	}
	return o.store()
}

// store writes the file if it is behind the set.
func (o *Ownership) store() error {
	if !o.dirty {
		return nil
	}
	f := ownershipFile{Version: ownershipVersion, Services: make([]string, 0, len(o.set))}
	for _, id := range slices.SortedFunc(maps.Keys(o.set), lvs.ServiceID.Compare) {
		f.Services = append(f.Services, id.String())
	}
	if err := writeState(o.path, f); err != nil {
		return err
	}
	o.dirty = false
	return nil
}
