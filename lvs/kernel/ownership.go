// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tandem-lvs/tandem/lvs"
)

// Owned is the value of an Ownership in a Store.
type Owned struct {
	Services []string `json:"services"` // in the form of lvs.ServiceID
	// Boot is the boot of the machine in which they were made. The kernel's table does not outlive it.
	Boot string `json:"boot,omitempty"`
}

// Validate returns what is wrong with a value from a Store.
func (o Owned) Validate() error {
	for _, s := range o.Services {
		if _, err := lvs.ParseServiceID(s); err != nil {
			return err
		}
	}
	return nil
}

// An Ownership is the set of services that are ours. It survives the process: if a service is removed from the configuration
// while no director runs, the next director knows that it may delete the service. Its methods may be called from any
// goroutine.
//
// A Store that hangs delays the table by rememberTime, once. One case is lost: the director dies before the write ends, and
// the service is removed from the configuration before the next start. Then the next director does not know that the service
// is ours, and leaves it in the table. If the machine dies, nothing is lost: the kernel's table dies with it.
type Ownership struct {
	memory memory[Owned]
	boot   string // the present one; empty: not known

	mu  sync.Mutex
	set map[lvs.ServiceID]bool
}

// OpenOwnership loads the set of our services from a store. If the store fails, the Ownership is usable all the same: it starts
// with the value that the store could read.
func OpenOwnership(store Store[Owned]) (*Ownership, error) {
	return openOwnership(store, bootID())
}

func openOwnership(store Store[Owned], boot string) (*Ownership, error) {
	o := &Ownership{memory: newMemory(store), set: make(map[lvs.ServiceID]bool), boot: boot}
	owned, err := store.Load()
	if anotherBoot(owned.Boot, boot) {
		return o, err // a service of the same name now belongs to another program
	}
	for _, s := range owned.Services {
		id, e := lvs.ParseServiceID(s)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		o.set[id.Canonical()] = true
	}
	return o, err
}

// Set returns a copy of the set.
func (o *Ownership) Set() map[lvs.ServiceID]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.set)
}

// Has reports whether a service is ours.
func (o *Ownership) Has(id lvs.ServiceID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.set[id.Canonical()]
}

// Len returns how many services are ours.
func (o *Ownership) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.set)
}

// Add makes services ours. If it returns an error, which wraps ErrNotRemembered, they are ours nevertheless, and the next Add
// or Remove stores them. If nothing is new, it stores nothing.
func (o *Ownership) Add(ids ...lvs.ServiceID) error { return o.update(ids, true) }

// Remove makes services no longer ours, with the same errors as Add.
func (o *Ownership) Remove(ids ...lvs.ServiceID) error { return o.update(ids, false) }

func (o *Ownership) update(ids []lvs.ServiceID, ours bool) error {
	o.change(ids, ours)
	if err := o.memory.flush(); err != nil {
		return fmt.Errorf("the list of our IPVS services: %w", err)
	}
	return nil
}

func (o *Ownership) change(ids []lvs.ServiceID, ours bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	news := false
	for _, id := range ids {
		if id = id.Canonical(); o.set[id] == ours {
			continue
		}
		if news = true; ours {
			o.set[id] = true
		} else {
			delete(o.set, id)
		}
	}
	if !news {
		return
	}
	owned := Owned{Services: make([]string, 0, len(o.set)), Boot: o.boot}
	for _, id := range slices.SortedFunc(maps.Keys(o.set), lvs.ServiceID.Compare) {
		owned.Services = append(owned.Services, id.String())
	}
	o.memory.keep(owned)
}
