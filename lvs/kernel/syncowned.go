// SPDX-License-Identifier: Apache-2.0

package kernel

import "github.com/tandem-lvs/tandem/lvs"

// A syncOwned remembers which roles of connection sync tandem started. If a role left the configuration while no director
// ran, the next director knows that it may stop it.
type syncOwned struct {
	memory memory[OwnedSync]
	roles  map[lvs.Roles]SyncTrait
	dirty  bool   // roles differ from the value in the memory
	boot   string // of the machine; empty: not known
}

// A SyncTrait identifies a daemon. Whether it is ours does not depend on its other settings.
type SyncTrait struct {
	Interface string `json:"interface"`
	ID        int    `json:"id"`
	// Index is the index of the interface on which the daemon was started, or found. If that interface was deleted, the
	// daemon sends nothing, even if a new interface has the same name.
	Index int `json:"index,omitempty"`
}

// names reports whether the trait belongs to a daemon with these settings.
func (t SyncTrait) names(s lvs.Sync) bool { return t.Interface == s.Interface && t.ID == int(s.ID) }

// OwnedSync is the value of our sync daemons in a Store.
type OwnedSync struct {
	Master *SyncTrait `json:"master,omitempty"`
	Backup *SyncTrait `json:"backup,omitempty"`
	// Boot is as in Owned.
	Boot string `json:"boot,omitempty"`
}

func openSyncOwned(store Store[OwnedSync]) (*syncOwned, error) {
	o := &syncOwned{memory: newMemory(store), roles: make(map[lvs.Roles]SyncTrait), boot: bootID()}
	owned, err := store.Load()
	if anotherBoot(owned.Boot, o.boot) {
		return o, err
	}
	for role, trait := range map[lvs.Roles]*SyncTrait{lvs.SyncMaster: owned.Master, lvs.SyncBackup: owned.Backup} {
		if trait != nil {
			o.roles[role] = *trait
		}
	}
	return o, err
}

// among returns the roles in which one of our daemons runs. A daemon with another interface or id belongs to another program.
func (o *syncOwned) among(have []lvs.SyncDaemon) (ours lvs.Roles) {
	for _, d := range have {
		if trait, ok := o.roles[d.Roles]; ok && !d.Foreign && trait.names(d.Sync) {
			ours |= d.Roles
		}
	}
	return ours
}

// bound returns the index of the interface of each of our daemons, as far as it is known.
func (o *syncOwned) bound() map[lvs.Roles]int {
	indices := make(map[lvs.Roles]int)
	for role, trait := range o.roles {
		if trait.Index != 0 {
			indices[role] = trait.Index
		}
	}
	return indices
}

func (o *syncOwned) add(role lvs.Roles, s lvs.Sync, index int) {
	if trait := (SyncTrait{s.Interface, int(s.ID), index}); o.roles[role] != trait {
		o.roles[role], o.dirty = trait, true
	}
}

func (o *syncOwned) remove(role lvs.Roles) {
	if _, ok := o.roles[role]; ok {
		delete(o.roles, role)
		o.dirty = true
	}
}

// store passes the roles to the memory if they are new.
func (o *syncOwned) store() error {
	if !o.dirty {
		return o.memory.flush()
	}
	owned := OwnedSync{Boot: o.boot}
	if trait, ok := o.roles[lvs.SyncMaster]; ok {
		owned.Master = &trait
	}
	if trait, ok := o.roles[lvs.SyncBackup]; ok {
		owned.Backup = &trait
	}
	o.memory.keep(owned)
	o.dirty = false
	return o.memory.flush()
}
