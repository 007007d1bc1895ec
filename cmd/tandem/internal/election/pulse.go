// SPDX-License-Identifier: Apache-2.0

package election

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

// A pulse sends the signs of life.
//
// The threads of the VRRP loops send them in passing, after their advertisements: that wakes nobody. A timer of the Go runtime
// would wake three threads of this process each time. Where no loop runs, or none gets round to it, the reporter has such a timer.
//
// A loop that hangs sends none. So an election whose only loop hangs is killed, as one that is stopped.
type pulse struct {
	conn     io.Writer
	send     func([]byte) error // sends without waiting; nil: conn cannot do that, and the loops send nothing
	now      func() time.Duration
	interval atomic.Int64 // between two signs of life, a time.Duration
	last     atomic.Int64 // when a loop sent the last one, by now
	mu       sync.Mutex   // held while something is sent, so that a sign of life does not get into a report
}

// A nonblocking is a connection that can send without waiting.
type nonblocking interface{ TrySend([]byte) error }

var signOfLife = []byte(message.SignOfLife)

func newPulse(conn io.Writer) *pulse {
	began := time.Now()
	p := &pulse{conn: conn, now: func() time.Duration { return time.Since(began) }}
	if c, ok := conn.(nonblocking); ok {
		p.send = c.TrySend
	}
	p.interval.Store(int64(message.MinBeatInterval))
	p.last.Store(-int64(time.Hour))
	return p
}

// inPassing sends a sign of life if one is nearly due. It does not block. It returns the pause until it wants to be called
// again: a little more than is due, so that in the long run it sends after an advertisement, when the thread is awake anyway.
func (p *pulse) inPassing() time.Duration {
	interval, now := p.pause(), p.now()
	last := p.last.Load()
	since := now - time.Duration(last)
	if since >= interval-interval/10 {
		since = 0
		if p.last.CompareAndSwap(last, int64(now)) && p.mu.TryLock() { // else another loop sends one, or a report is on its way
			_ = p.send(signOfLife) // a director that does not read has some that wait for it
			p.mu.Unlock()
		}
	}
	return interval + interval/20 - since
}

// pause is the interval between two signs of life.
func (p *pulse) pause() time.Duration { return time.Duration(p.interval.Load()) }

// beating reports whether the loops send signs of life.
func (p *pulse) beating() bool {
	interval := p.pause()
	return p.now()-time.Duration(p.last.Load()) < interval+interval/10
}

// loopEnded has the reporter send signs of life from now on, unless another loop does.
func (p *pulse) loopEnded() { p.last.Store(-int64(time.Hour)) }

// Write sends all of a message.
func (p *pulse) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn.Write(b)
}
