// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

// An election waits for its record at its start and at its end, but only so long: a disk may hang.
const (
	recordReadTimeout  = 200 * time.Millisecond
	recordWriteTimeout = time.Second
)

// ownAddresses is what both files have, in the log.
const ownAddresses = "this director's addresses"

// An addressRecord is a file of routers and their addresses, for the next election. There are two:
//
//   - election.json has the addresses that this election may have on the interfaces. The next one needs it if everything was
//     killed at once and the configuration was changed: then only the file knows which addresses to remove.
//   - given-up.json has the addresses that it gave up without a successor: neighbours may still have this machine's address
//     for them, see refer.
//
// If one of them is damaged, neighbours may have this machine's address for any address of the configuration.
type addressRecord = record[vrrp.Config]

// A record is a file with a list of what the next election should know. It is read and written by a goroutine of its own, which
// may hang with the disk.
type record[T any] struct {
	former chan []T      // the content of the file at the start; then closed
	latest chan []T      // the content to write; replaced while it waits
	idle   chan struct{} // closed when latest is closed and all is written

	damaged bool // the file could not be understood; known when former has its content
}

// openRecord starts to read the file of that name in dir. what says in the log what the file has.
func openRecord[T any](dir, name, what string, log hclog.Logger) *record[T] {
	r := &record[T]{former: make(chan []T, 1), latest: make(chan []T, 1), idle: make(chan struct{})}
	go r.run(filepath.Join(dir, name), what, log)
	return r
}

func (r *record[T]) run(path, what string, log hclog.Logger) {
	defer close(r.idle)
	file, err := state.Open[[]T](path)
	switch {
	case errors.Is(err, state.ErrDamaged):
		r.damaged = true
		log.Warn("the record of "+what+" is damaged", "error", err)
	case err != nil:
		log.Error("failed to read the record of "+what, "error", err)
	}
	if file != nil {
		r.former <- file.Value
	}
	close(r.former)
	for now := range r.latest {
		if file == nil || len(now)+len(file.Value) == 0 || reflect.DeepEqual(file.Value, now) {
			continue
		}
		if err := file.Store(now); err != nil {
			log.Error("failed to write the record of "+what, "error", err)
		}
	}
}

// set requests that the file contains these values. It does not block.
func (r *record[T]) set(now []T) { replace(context.Background(), r.latest, now) }

// close waits until all is written, for recordWriteTimeout at most. It is the last call.
func (r *record[T]) close() {
	close(r.latest)
	select {
	case <-r.idle:
	case <-time.After(recordWriteTimeout):
	}
}

// awaitFormer waits a little for the addresses of former elections.
func (p *Process) awaitFormer(ctx context.Context) {
	select {
	case former := <-p.record.former:
		p.setFormer(former)
	case <-time.After(recordReadTimeout):
		p.log.Error("the disk of the state directory hangs: the addresses of former elections are not known yet")
		return
	case <-ctx.Done():
		return
	}
	p.awaitSequences(ctx)
	select {
	case former := <-p.givenUpRecord.former:
		p.setFormerlyGivenUp(former)
	case <-time.After(recordReadTimeout):
	case <-ctx.Done():
	}
}

// setFormer stores the addresses of former elections.
func (p *Process) setFormer(former []vrrp.Config) {
	p.former, p.formerKnown = former, true
	p.lostRecord = p.lostRecord || p.record.damaged
	if p.obeyed {
		p.recordAddresses(p.present(p.order))
	}
}

// setFormerlyGivenUp stores the addresses that former elections gave up without a successor.
func (p *Process) setFormerlyGivenUp(former []vrrp.Config) {
	p.lostRecord = p.lostRecord || p.givenUpRecord.damaged
	p.giveUp(former)
}

// recordAddresses writes to the record that these routers may have addresses from now on. First it removes the addresses of
// former elections that these routers do not have. While the disk hangs, both wait. If a record was damaged, the routers of the first
// order count as those of former elections.
func (p *Process) recordAddresses(now []vrrp.Config) {
	if !p.formerKnown {
		return
	}
	for _, c := range p.former {
		if !slices.ContainsFunc(now, func(n vrrp.Config) bool { return sameResources(n, c) }) {
			p.dropAddresses(c)
		}
	}
	if p.lostRecord {
		p.giveUp(now)
	}
	p.giveUp(p.former)
	p.former, p.lostRecord = nil, false
	p.record.set(now)
}

// present returns the routers that may have addresses on the interfaces after an order has been carried out. These are the
// routers of the order, and the routers of the former order that have not removed their addresses yet.
func (p *Process) present(o message.Order) []vrrp.Config {
	var now []vrrp.Config
	for _, r := range o.Routers {
		now = append(now, r.Config)
	}
	for id, r := range p.known {
		ordered := func(c vrrp.Config) bool { return sameResources(c, r.Config) }
		if p.states[id].Holding && !slices.ContainsFunc(now, ordered) {
			now = append(now, r.Config)
		}
	}
	return now
}

// dropAddresses removes the addresses of a former election, or leaves that for when its predecessor has ended.
func (p *Process) dropAddresses(c vrrp.Config) {
	if p.predecessor != nil {
		p.predecessor.drop = append(p.predecessor.drop, c)
		return
	}
	p.removeAddresses(c)
}

// removeAddresses removes the addresses of a former election.
func (p *Process) removeAddresses(routers ...vrrp.Config) {
	if err := address.RemoveResources(routers); err != nil {
		p.log.Error("failed to remove the addresses of a former election", "error", err)
	}
}

// sameResources tells whether two routers have the same resources on the same interfaces.
func sameResources(a, b vrrp.Config) bool {
	return reflect.DeepEqual(address.PlacementsOf(a), address.PlacementsOf(b))
}
