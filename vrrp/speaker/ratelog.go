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
	lineQueue = 256
	keyPause  = time.Minute
	maxKeys   = 1024
)

// notes writes a loop's log beside its thread: the reader of our standard error may be slow, stopped or gone.
type ratelog struct {
	log   hclog.Logger
	queue chan line
	lost  atomic.Uint64

	seen   map[key]time.Time
	purged time.Time
}

type line struct {
	level   hclog.Level
	message string
	args    []any
}

// An occasion is what is worth one line a minute.
type key struct {
	peer netip.Addr
	vrid uint8
	why  string
}

func (n *ratelog) init(log hclog.Logger) {
	n.log, n.queue, n.seen = log, make(chan line, lineQueue), make(map[key]time.Time)
}

// add puts a line on the queue, or counts it as lost when the queue is full. It does not block.
func (n *ratelog) add(level hclog.Level, message string, args ...any) {
	select {
	case n.queue <- line{level, message, args}:
	default:
		n.lost.Add(1)
	}
}

// first reports whether o did not occur within the last minute. Of more occasions than it can remember it
// reports false: somebody is making them up.
func (n *ratelog) first(now time.Time, o key) bool {
	if last, ok := n.seen[o]; ok && now.Sub(last) < keyPause {
		return false
	}
	if len(n.seen) >= maxKeys && now.Sub(n.purged) >= keyPause {
		n.purged = now
		maps.DeleteFunc(n.seen, func(_ key, last time.Time) bool { return now.Sub(last) >= keyPause })
	}
	if len(n.seen) >= maxKeys {
		return false
	}
	n.seen[o] = now
	return true
}

// run writes until close.
func (n *ratelog) run() {
	for o := range n.queue {
		n.log.Log(o.level, o.message, o.args...)
		if lost := n.lost.Swap(0); lost > 0 {
			n.log.Warn("log lines of the VRRP loop were lost", "lines", lost)
		}
	}
}

// close ends run once all that is queued has been written. Nothing may be added after it.
func (n *ratelog) close() { close(n.queue) }
