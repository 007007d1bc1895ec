// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"sync"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// An Outbox has the latest message of each kind. Putting one in never waits.
type Outbox struct {
	mu      sync.Mutex
	latest  []message.Message // one of each kind, in the order in which they came
	numbers map[message.Kind]uint64
	last    uint64
	changed chan struct{} // closed when there is something new
}

// NewOutbox returns an empty outbox.
func NewOutbox() *Outbox {
	return &Outbox{numbers: make(map[message.Kind]uint64), changed: make(chan struct{})}
}

// Put replaces the message of its kind.
func (o *Outbox) Put(m message.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := false
	for i := range o.latest {
		if o.latest[i].Kind == m.Kind {
			o.latest[i], known = m, true
		}
	}
	if !known {
		o.latest = append(o.latest, m)
	}
	o.last++
	o.numbers[m.Kind] = o.last
	close(o.changed)
	o.changed = make(chan struct{})
}

// after returns the messages that are newer than a number, the number of the newest, and a channel that is closed when there are
// more.
func (o *Outbox) after(number uint64) (fresh []message.Message, last uint64, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.latest {
		if o.numbers[m.Kind] > number {
			fresh = append(fresh, m)
		}
	}
	return fresh, o.last, o.changed
}
