// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"container/heap"
	"context"
	"net/netip"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// An entry is a probe in the schedule: of one target, or of several that share it. The runner's lock guards it, except
// target, which does not change. A target with another configuration is another entry.
type entry struct {
	target healthcheck.Target // the first that wanted the probe; it may be gone
	state  healthcheck.State
	name   string     // the first of ids
	part   bool       // as in Target, of all of them
	ids    []identity // the targets that share the probe, at least one
	gone   bool       // dismissed

	healthcheck.Schedule
	index  int                // in the queue, or idle
	cancel context.CancelFunc // of the probe under way, or nil
}

// idle is the index of an entry that is not in the queue: a probe is under way, or none can be.
const idle = -1

// An identity is a target as its owner knows it.
type identity struct {
	id   string
	addr netip.AddrPort
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
