// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

// A Supervisor keeps one election running while there are virtual routers, and removes the addresses of one that died.
type Supervisor struct {
	log    hclog.Logger
	spawn  func() (Child, error)
	notify func(message.Report)
	remove func([]vrrp.Config) error
	clock  func() message.Monotonic
	beats  chan struct{} // has room for one

	changed chan struct{}  // there is a new order
	asked   chan struct{}  // a caller wants a report
	posted  chan struct{}  // there is a report for the courier
	beside  sync.WaitGroup // goroutines that may hang: the courier, and those that wait for the end of a process

	alive atomic.Int64 // the moment of the latest sign of life, a message.Monotonic

	mu       sync.Mutex // held for a few instructions only
	order    message.Order
	carried  message.Order                          // the latest order that was still the latest when it was reported as carried out
	ordered  addressLedger                          // the addresses of order
	ledger   addressLedger                          // the addresses that elections may have on the interfaces
	last     message.Report                         // the latest
	sure     message.Monotonic                      // the latest moment at which last was known to be true
	spoke    map[message.RouterID]message.Monotonic // what Child.Spoke said of the latest election when it had ended
	resume   []message.Resume                       // what the next election may resume, until it has carried out an order
	restarts uint64
	began    message.Monotonic // when the first election was started
	gone     time.Duration     // from then to the start of the present election

	former  *formerState // set before Run; nil: there was none
	why     string       // why the former election still runs
	handOff bool         // the election must wait for a successor
	child   Child        // the present election

	pending   *message.Report // for the courier
	received  uint64          // counts the reports
	delivered uint64          // the number of the latest report that notify has returned from
	delivery  chan struct{}   // closed and made anew after each delivery, and when an election ends
	running   bool            // an election runs
}

// New returns a supervisor that starts elections with spawn. It passes their reports to notify, one at a time. If reports
// arrive while notify runs, only the latest one waits.
func New(log hclog.Logger, spawn func() (Child, error), notify func(message.Report)) *Supervisor {
	return &Supervisor{
		log: log, spawn: spawn, notify: notify, remove: address.RemoveResources, clock: monotonicNow,
		changed: make(chan struct{}, 1), asked: make(chan struct{}, 1), posted: make(chan struct{}, 1),
		ledger: make(addressLedger), delivery: make(chan struct{}), beats: make(chan struct{}, 1),
	}
}

// Beats returns a channel that gets a message after each sign of life, unless a message waits there already. A reader with work
// to do from time to time can do it then, because the process is awake anyway.
func (s *Supervisor) Beats() <-chan struct{} { return s.beats }

// nudge wakes the reader of a channel of capacity 1. Several nudges before the reader wakes count as one.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
