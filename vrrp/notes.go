// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"maps"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	noteQueue    = 256
	notePause    = time.Minute
	maxOccasions = 1024
)

// notes writes a loop's log beside its thread: the reader of our standard error may be slow, stopped or gone.
type notes struct {
	log   hclog.Logger
	queue chan note
	lost  atomic.Uint64

	seen   map[occasion]time.Time
	purged time.Time
}

type note struct {
	level   hclog.Level
	message string
	args    []any
}

// An occasion is what is worth one line a minute.
type occasion struct {
	peer netip.Addr
	vrid uint8
	why  string
}

func (n *notes) init(log hclog.Logger) {
	n.log, n.queue, n.seen = log, make(chan note, noteQueue), make(map[occasion]time.Time)
}

// add puts a line on the queue, or counts it as lost when the queue is full. It does not block.
func (n *notes) add(level hclog.Level, message string, args ...any) {
	select {
	case n.queue <- note{level, message, args}:
	default:
		n.lost.Add(1)
	}
}

// first reports whether o did not occur within the last minute. Of more occasions than it can remember it
// reports false: somebody is making them up.
func (n *notes) first(now time.Time, o occasion) bool {
	if last, ok := n.seen[o]; ok && now.Sub(last) < notePause {
		return false
	}
	if len(n.seen) >= maxOccasions && now.Sub(n.purged) >= notePause {
		n.purged = now
		maps.DeleteFunc(n.seen, func(_ occasion, last time.Time) bool { return now.Sub(last) >= notePause })
	}
	if len(n.seen) >= maxOccasions {
		return false
	}
	n.seen[o] = now
	return true
}

// run writes until close.
func (n *notes) run() {
	for o := range n.queue {
		n.log.Log(o.level, o.message, o.args...)
		if lost := n.lost.Swap(0); lost > 0 {
			n.log.Warn("log lines of the VRRP loop were lost", "lines", lost)
		}
	}
}

// close ends run once all that is queued has been written. Nothing may be added after it.
func (n *notes) close() { close(n.queue) }
