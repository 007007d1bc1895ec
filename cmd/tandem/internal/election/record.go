// SPDX-License-Identifier: Apache-2.0

package election

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/vrrp"
)

// remember opens the memory of what elections had on the interfaces: where all of tandem is killed at once and the
// configuration changes before it runs again, nobody else would know.
func (p *Process) remember() {
	memory, err := state.Open[[]vrrp.Config](filepath.Join(p.options.StateDir, "election.json"))
	switch {
	case errors.Is(err, state.ErrDamaged):
		p.log.Warn("open the election's memory", "error", err)
	case err != nil:
		p.log.Error("open the election's memory", "error", err)
	}
	p.memory = memory
}

// note writes down what may come to be on the interfaces, before it does, and takes off what was there for former
// elections and is in no order any more.
func (p *Process) note(o message.Order) {
	var now []vrrp.Config
	for _, r := range o.Routers {
		now = append(now, r.Config)
	}
	for id, r := range p.known {
		if s := p.states[id]; s.Holding && !slices.ContainsFunc(now, func(c vrrp.Config) bool { return sameResources(c, r.Config) }) {
			now = append(now, r.Config)
		}
	}
	if p.memory == nil {
		return
	}
	if p.order.Sequence == 0 {
		for _, c := range p.memory.Value {
			if !slices.ContainsFunc(now, func(n vrrp.Config) bool { return sameResources(n, c) }) {
				p.forgo(c)
			}
		}
	}
	if reflect.DeepEqual(p.memory.Value, now) {
		return
	}
	p.memory.Value = now
	if err := p.memory.Store(); err != nil {
		p.log.Error("write the election's memory", "error", err)
	}
}

// forget empties the memory: everything has come off.
func (p *Process) forget() {
	if p.memory == nil || len(p.memory.Value) == 0 {
		return
	}
	p.memory.Value = nil
	if err := p.memory.Store(); err != nil {
		p.log.Error("write the election's memory", "error", err)
	}
}

// sameResources reports whether two routers have the same in the same place.
func sameResources(a, b vrrp.Config) bool {
	return addressKeyOf(a) == addressKeyOf(b) && reflect.DeepEqual(a.Assets(), b.Assets())
}
