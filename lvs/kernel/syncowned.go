// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tandem-lvs/tandem/lvs"
)

// syncOwnedVersion is the version of the file's format.
const syncOwnedVersion = 1

// A syncOwned remembers in a file which roles of connection sync are ours, so that sync which left the configuration
// while the daemon was down is still known to be ours to stop.
type syncOwned struct {
	path  string
	roles map[lvs.Roles]syncTrait
	dirty bool // the file does not say what roles says
}

// A syncTrait is what a daemon is known by. The other settings are left out: to be ours does not depend on them.
type syncTrait struct {
	Interface string `json:"interface"`
	ID        int    `json:"id"`
}

func traitOf(s lvs.Sync) syncTrait { return syncTrait{s.Interface, int(s.ID)} }

type syncOwnedFile struct {
	Version int        `json:"version"`
	Master  *syncTrait `json:"master,omitempty"`
	Backup  *syncTrait `json:"backup,omitempty"`
}

// openSyncOwned reads the file, as OpenOwnership does.
func openSyncOwned(path string) (*syncOwned, error) {
	o := &syncOwned{path: path, roles: make(map[lvs.Roles]syncTrait)}
	err := readState(path, func(data []byte) error {
		var f syncOwnedFile
		if err := json.Unmarshal(data, &f); err != nil {
			return err
		}
		if f.Version != syncOwnedVersion {
			return fmt.Errorf("version %d, want %d", f.Version, syncOwnedVersion)
		}
		for role, trait := range map[lvs.Roles]*syncTrait{lvs.SyncMaster: f.Master, lvs.SyncBackup: f.Backup} {
			if trait != nil {
				o.roles[role] = *trait
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	return o, err
}

// among are the roles in which one of ours runs. A daemon with another interface or id has been started by somebody
// else since.
func (o *syncOwned) among(have []lvs.SyncDaemon) (ours lvs.Roles) {
	for _, d := range have {
		if trait, ok := o.roles[d.Roles]; ok && !d.Foreign && trait == traitOf(d.Sync) {
			ours |= d.Roles
		}
	}
	return ours
}

func (o *syncOwned) add(role lvs.Roles, s lvs.Sync) {
	if trait := traitOf(s); o.roles[role] != trait {
		o.roles[role], o.dirty = trait, true
	}
}

func (o *syncOwned) remove(role lvs.Roles) {
	if _, ok := o.roles[role]; ok {
		delete(o.roles, role)
		o.dirty = true
	}
}

// store writes the file if it is behind. After an error the next call tries again.
func (o *syncOwned) store() error {
	if !o.dirty {
		return nil
	}
	f := syncOwnedFile{Version: syncOwnedVersion}
	if trait, ok := o.roles[lvs.SyncMaster]; ok {
		f.Master = &trait
	}
	if trait, ok := o.roles[lvs.SyncBackup]; ok {
		f.Backup = &trait
	}
	if err := writeState(o.path, f); err != nil {
		return err
	}
	o.dirty = false
	return nil
}
