// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	// firstPause and maxPause bound the wait before an election that died is started again; it doubles each time.
	firstPause = 20 * time.Millisecond
	maxPause   = 10 * time.Second
	// settled is how long an election must have lived for its death to count as the first again.
	settled = 30 * time.Second
	// leaveGrace is what an election may take to leave beyond the three intervals that a hand-over lasts at most.
	leaveGrace = 3 * time.Second
	// sendTimeout is how long an election may leave an order unread before it is taken for hung.
	sendTimeout = 5 * time.Second
)

// A Child is a running election process, seen from the director.
type Child interface {
	io.ReadWriteCloser
	SetWriteDeadline(t time.Time) error
	// Wait blocks until the process has ended, and tells how. Close of the socket alone does not end it.
	Wait() error
	// Kill ends the process at once.
	Kill() error
}

// A Supervisor keeps one election running while there are virtual routers, and cleans up behind one that died.
type Supervisor struct {
	log    hclog.Logger
	spawn  func() (Child, error)
	notify func(Report)
	remove func(iface string, vips []netip.Prefix) error

	change chan struct{} // order is new

	mu       sync.Mutex
	order    Order
	last     Report // of the running or the last election
	restarts uint64
}

// NewSupervisor returns a supervisor that starts elections by spawn and passes their reports to notify, one at a
// time, in order.
func NewSupervisor(log hclog.Logger, spawn func() (Child, error), notify func(Report)) *Supervisor {
	return &Supervisor{log: log, spawn: spawn, notify: notify, remove: vrrp.RemoveAddresses, change: make(chan struct{}, 1)}
}

// Configure sets what the election should run. It takes effect at once where an election runs, and for each that is
// started later.
func (s *Supervisor) Configure(o Order) {
	s.mu.Lock()
	s.order = o
	s.mu.Unlock()
	nudge(s.change)
}

// Restarts counts the elections that died without being told to.
func (s *Supervisor) Restarts() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

func (s *Supervisor) current() Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.order
}

// Run supervises until ctx ends; then the election hands over and leaves, and Run returns when it has.
func (s *Supervisor) Run(ctx context.Context) error {
	pause := firstPause
	for {
		for len(s.current().Routers) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-s.change:
			}
		}
		started := time.Now()
		err := s.runChild(ctx)
		if ctx.Err() != nil {
			return err
		}
		if err == nil {
			continue // it left because there was nothing to run any more
		}
		s.mu.Lock()
		s.restarts++
		s.mu.Unlock()
		if time.Since(started) > settled {
			pause = firstPause
		}
		s.log.Error("the election process died: starting it again", "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// runChild runs one election to its end: nil when it left as told.
func (s *Supervisor) runChild(ctx context.Context) error {
	child, err := s.spawn()
	if err != nil {
		return fmt.Errorf("start the election process: %w", err)
	}
	dead := make(chan error, 1)
	go func() { dead <- child.Wait() }()
	var reader sync.WaitGroup
	reader.Go(func() { s.read(child) })
	defer func() {
		_ = child.Close()
		reader.Wait()
	}()

	out := json.NewEncoder(child)
	stop := ctx.Done()
	var overdue <-chan time.Time
	leaving := false
	send := func() {
		o := s.current()
		leaving = leaving || len(o.Routers) == 0
		if leaving {
			overdue = time.After(leaveTime(o) + leaveGrace)
		}
		o.Leave = leaving
		_ = child.SetWriteDeadline(time.Now().Add(sendTimeout))
		if err := out.Encode(o); errors.Is(err, os.ErrDeadlineExceeded) {
			overdue = time.After(0)
		}
		// Any other failure means that the child died, and dead tells.
	}
	select {
	case <-s.change: // the first order has it
	default:
	}
	send()
	for {
		select {
		case <-stop:
			leaving, stop = true, nil
			send()
		case <-s.change:
			send()
		case <-overdue:
			overdue = nil
			s.log.Error("the election process does not do as it is told: killing it")
			if err := child.Kill(); err != nil {
				s.log.Error("kill the election process", "error", err)
			}
		case err := <-dead:
			if leaving && err == nil {
				return nil
			}
			s.cleanUp()
			if err == nil {
				err = errors.New("it ended without being told to")
			}
			return err
		}
	}
}

// read passes reports on until the socket ends.
func (s *Supervisor) read(child io.Reader) {
	in := json.NewDecoder(child)
	for {
		var r Report
		if in.Decode(&r) != nil {
			return
		}
		s.mu.Lock()
		s.last = r
		s.mu.Unlock()
		s.notify(r)
	}
}

// cleanUp takes off every address that a dead election may have left: nobody defends it any more, and a peer that
// takes over would share it with us.
func (s *Supervisor) cleanUp() {
	links := make(map[string][]netip.Prefix)
	s.mu.Lock()
	for _, r := range s.order.Routers {
		links[r.Interface] = append(links[r.Interface], r.VIPs...)
	}
	for _, r := range s.last.Routers { // it may not have got round to what the latest order dropped
		links[r.Interface] = append(links[r.Interface], r.VIPs...)
	}
	s.mu.Unlock()
	for iface, vips := range links {
		if err := s.remove(iface, vips); err != nil {
			s.log.Error("take off the addresses of the dead election", "interface", iface, "error", err)
		}
	}
}

// leaveTime is the longest that a hand-over of these routers takes: three of the longest interval.
func leaveTime(o Order) time.Duration {
	var longest time.Duration
	for _, r := range o.Routers {
		longest = max(longest, r.AdvertInterval)
	}
	return 3 * longest
}
