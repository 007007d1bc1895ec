// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	maxQueuedLines = 256
	keyPause       = time.Minute
	maxKeys        = 1024
)

// A ratelog writes a loop's log lines in a goroutine of its own: the reader of our standard error may be slow or gone.
type ratelog struct {
	out   hclog.Logger
	queue chan line
	lost  atomic.Uint64

	lastUse map[key]time.Time
	purged  time.Time
}

type line struct {
	level   hclog.Level
	message string
	args    []any
}

// A key identifies log lines of which at most one is written per minute.
type key struct {
	peer netip.Addr
	vrid uint8
	why  string
}

func newRatelog(out hclog.Logger) *ratelog {
	return &ratelog{out: out, queue: make(chan line, maxQueuedLines), lastUse: make(map[key]time.Time)}
}

// write queues a line. If the queue is full, it counts the line as lost. It does not block.
func (r *ratelog) write(level hclog.Level, message string, args ...any) {
	select {
	case r.queue <- line{level, message, args}:
	default:
		r.lost.Add(1)
	}
}

// allows reports whether k was not used within the last minute, and uses it. It refuses new keys beyond maxKeys in a minute:
// so many come only from forged packets.
func (r *ratelog) allows(now time.Time, k key) bool {
	if last, ok := r.lastUse[k]; ok && now.Sub(last) < keyPause {
		return false
	}
	if len(r.lastUse) >= maxKeys && now.Sub(r.purged) >= keyPause {
		r.purged = now
		maps.DeleteFunc(r.lastUse, func(_ key, last time.Time) bool { return now.Sub(last) >= keyPause })
	}
	if len(r.lastUse) >= maxKeys {
		return false
	}
	r.lastUse[k] = now
	return true
}

// run writes the queued lines until close.
func (r *ratelog) run() {
	for l := range r.queue {
		r.out.Log(l.level, l.message, l.args...)
		if lost := r.lost.Swap(0); lost > 0 {
			r.out.Warn("log lines of the VRRP loop were lost", "lines", lost)
		}
	}
}

// close ends run when all queued lines are written. No write may follow.
func (r *ratelog) close() { close(r.queue) }
