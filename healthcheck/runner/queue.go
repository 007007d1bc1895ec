// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"container/heap"
	"context"
	"iter"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// An entry is a probe in the schedule: of one target, or of several that share it. The runner's lock guards all fields except
// target, which does not change. A target with another configuration has another entry.
type entry struct {
	target   healthcheck.Target // the target that created the entry; it may have been removed
	state    healthcheck.State
	members  []member // the targets that share the probe; none once dismissed
	refused  bool     // it cannot be checked
	gone     bool     // dismissed
	repeated bool     // the latest result was not counted, see standstill

	healthcheck.Schedule
	index  int                // in the queue, or idle
	cancel context.CancelFunc // of the probe under way, or nil
}

// idle is the index of an entry that is not in the queue: its probe is under way, or it cannot be probed.
const idle = -1

// A member is a target as its owner knows it.
type member struct {
	id   string
	addr netip.AddrPort
	part bool // as in Target
}

// name returns the entry's name for the log.
func (e *entry) name() string {
	if len(e.members) == 0 {
		return e.target.ID
	}
	return e.members[0].id
}

// part reports whether every member is one of several checks of its server.
func (e *entry) part() bool {
	return !slices.ContainsFunc(e.members, func(m member) bool { return !m.part })
}

// distinct returns the entries of a map by target ID. An entry that several targets share is returned once.
func distinct(entries map[string]*entry) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for id, e := range entries {
			if e.name() == id && !yield(e) {
				return
			}
		}
	}
}

// stop cancels the probe under way, if there is one.
func (e *entry) stop() {
	if e.cancel != nil {
		e.cancel()
		e.cancel = nil
	}
}

// A queue is a heap of entries; the one that is due first is on top.
type queue []*entry

var _ heap.Interface = (*queue)(nil)

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].Due.Before(q[j].Due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds an *entry.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop removes the last entry.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.index = idle
	return e
}
