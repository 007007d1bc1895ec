// SPDX-License-Identifier: Apache-2.0

package election

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

// A pulse sends the election's signs of life to the director.
//
// The threads of the VRRP loops give them in passing, after their advertisements: this wakes nobody. A timer of the Go runtime
// would wake three threads each time. The serving goroutine gives them while no loop does.
//
// A loop gives no sign of life while the serving goroutine is busy for too long, or while another loop hangs.
type pulse struct {
	conn   io.Writer
	send   func([]byte) error                        // sends without waiting; nil: conn cannot do this, and the loops give no signs
	late   func() (iface string, late time.Duration) // of the latest loop
	now    func() time.Duration
	log    hclog.Logger
	report func() // asks the reporter for the report that it withholds

	turn     chan struct{} // its token permits writing to conn
	interval atomic.Int64  // between two signs of life, a time.Duration
	sign     atomic.Int64  // when the last sign of life was given, by now
	passing  atomic.Int64  // when a loop gave the last one
	busy     atomic.Int64  // when the serving goroutine began what it does; 0: it waits
	hung     atomic.Int64  // how many times in a row a loop was found to hang
	withheld atomic.Bool   // a report waits for a sign of life
}

// A nonblocking is a connection that can send without waiting.
type nonblocking interface{ TrySend([]byte) error }

// never is a moment before the start of the process.
const never = -int64(time.Hour)

// hungLoop is the lateness from which the thread of a loop counts as hung.
const hungLoop = 2 * time.Second

// maxBeats is the number of beat intervals without a sign of life after which reports are withheld.
const maxBeats = 3

func newPulse(conn io.Writer, log hclog.Logger) *pulse {
	began := time.Now()
	p := &pulse{conn: conn, log: log, now: func() time.Duration { return time.Since(began) + 1 }, turn: make(chan struct{}, 1)}
	p.late = func() (string, time.Duration) { return "", 0 }
	p.report = func() {}
	if c, ok := conn.(nonblocking); ok {
		p.send = c.TrySend
	}
	p.turn <- struct{}{}
	p.interval.Store(int64(message.MinBeatInterval))
	p.passing.Store(never)
	return p
}

// inPassing gives a sign of life if one is nearly due. It does not block. It returns the pause until the next call: a little
// more than is due, so that in the long run it is called after an advertisement, when the thread is awake anyway.
func (p *pulse) inPassing() time.Duration {
	interval, now := p.pause(), p.now()
	last := p.passing.Load()
	since := now - time.Duration(last)
	if since >= interval-interval/10 && p.healthy() && p.passing.CompareAndSwap(last, int64(now)) {
		since = 0
		p.sign.Store(int64(now))
		select {
		case <-p.turn:
			_ = p.send([]byte(message.SignOfLife)) // if there is no room, the director has signs of life to read
			p.turn <- struct{}{}
		default: // a report is being written, and is a sign of life
		}
		if p.withheld.Load() {
			p.report()
		}
	}
	return max(interval/10, interval+interval/20-since)
}

// healthy reports whether a sign of life is true: the serving goroutine works, and no loop hangs. After a stop of the whole
// process a loop is late once, until it has run.
func (p *pulse) healthy() bool {
	if since := p.busy.Load(); since != 0 && p.now()-time.Duration(since) > p.pause() {
		return false
	}
	iface, late := p.late()
	if late <= hungLoop {
		p.hung.Store(0)
		return true
	}
	times := p.hung.Add(1)
	if times == 2 {
		p.log.Error("the VRRP loop hangs: no more signs of life", "interface", iface, "since", late.Round(time.Millisecond))
	}
	return times == 1
}

// during runs f, which the serving goroutine carries out.
func (p *pulse) during(f func()) {
	p.busy.Store(int64(p.now()))
	f()
	p.busy.Store(0)
}

// pause returns the interval between two signs of life.
func (p *pulse) pause() time.Duration { return time.Duration(p.interval.Load()) }

// beating reports whether the loops give signs of life.
func (p *pulse) beating() bool {
	return p.now()-time.Duration(p.passing.Load()) < p.pause()+p.pause()/10
}

// fresh reports whether there was a sign of life lately.
func (p *pulse) fresh() bool { return p.now()-time.Duration(p.sign.Load()) < maxBeats*p.pause() }

// Write sends all of a message. It waits if the director does not read.
func (p *pulse) Write(b []byte) (int, error) {
	<-p.turn
	defer func() { p.turn <- struct{}{} }()
	return p.conn.Write(b)
}
