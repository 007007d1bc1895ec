// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/garp"
)

// retryPause is the time between two attempts to send on an interface that cannot send.
const retryPause = 100 * time.Millisecond

// An Announcer announces addresses on one interface: IPv4 by gratuitous ARP requests and replies, IPv6 by unsolicited
// neighbour advertisements.
type Announcer struct {
	iface string
	log   hclog.Logger
	wake  chan struct{}

	sending  sync.Mutex // held while a frame is sent; locked before mu
	mu       sync.Mutex
	schedule *garp.Schedule
	stale    bool // the interface may have changed

	sent   [garp.Advertisement + 1]atomic.Uint64 // by form
	errors atomic.Uint64
}

// NewAnnouncer returns the Announcer of an interface.
func NewAnnouncer(iface string, log hclog.Logger) *Announcer {
	return &Announcer{
		iface: iface, log: log.With("interface", iface), wake: make(chan struct{}, 1), schedule: garp.NewSchedule(),
	}
}

// Announce starts the schedule of c for addresses that were taken over now, also for those that have one already. It never
// blocks. Announcements from before Run are sent when Run starts.
func (a *Announcer) Announce(c garp.Config, addrs []netip.Addr) {
	now := time.Now()
	a.mu.Lock()
	a.schedule.Announce(now, c, addrs)
	a.mu.Unlock()
	a.kick()
}

// Reannounce starts the schedules of addresses again; without addresses, all schedules. Call it when neighbours may have
// believed a rival or missed announcements, or when the interface has a new MAC address. It may be called at any rate: a
// schedule starts again at most once a second. It never blocks.
func (a *Announcer) Reannounce(addrs ...netip.Addr) {
	now := time.Now()
	a.mu.Lock()
	a.schedule.Reannounce(now, addrs)
	a.stale = true
	a.mu.Unlock()
	a.kick()
}

// Contest announces addresses after another master of them was heard, besides their schedules: at once, and again when the
// other master has removed them. It never blocks.
func (a *Announcer) Contest(addrs []netip.Addr) {
	now := time.Now()
	a.mu.Lock()
	a.schedule.Contest(now, addrs)
	a.mu.Unlock()
	a.kick()
}

func (a *Announcer) kick() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Withdraw ends the schedules of addresses that are no longer ours. After it returns, no frame announces them. It may wait
// up to 10 ms for a frame that is being sent.
func (a *Announcer) Withdraw(addrs []netip.Addr) {
	a.sending.Lock()
	defer a.sending.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schedule.Withdraw(addrs)
}

// Stats returns what was sent since the Announcer was made.
func (a *Announcer) Stats() garp.Stats {
	return garp.Stats{
		Requests:       a.sent[garp.Request].Load(),
		Replies:        a.sent[garp.Reply].Load(),
		Advertisements: a.sent[garp.Advertisement].Load(),
		Errors:         a.errors.Load(),
	}
}

// Run sends until ctx ends, which is success. It waits while the interface is missing, down or without carrier. After that
// every schedule starts again, because the neighbours may have missed all announcements.
//
// Run's own goroutine opens the sockets, if it can before it needs them. If threads have different network namespaces, the goroutine must
// be locked to one thread.
func (a *Announcer) Run(ctx context.Context) error {
	pacer, err := newPacer()
	if err != nil {
		return err
	}
	defer pacer.close()
	s := &sender{iface: a.iface}
	defer s.close()
	// The process may have no descriptor left when it takes over. What is wrong with the interface is found again, and logged,
	// when a frame is due.
	_ = s.ready(time.Now())
	trouble := ""
	for a.await(ctx) {
		pause, err := a.step(s, trouble != "")
		switch {
		case err != nil:
			a.errors.Add(1)
			if text := err.Error(); text != trouble {
				trouble = text
				a.log.Warn("failed to announce addresses, trying again", "error", err)
			}
			pause = retryPause
		case trouble != "":
			trouble = ""
			a.log.Info("announcing addresses again")
		}
		if err := pacer.pause(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}

// await waits until a frame is due. It returns false when ctx ends.
func (a *Announcer) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		a.mu.Lock()
		due, ok := a.schedule.Deadline()
		a.mu.Unlock()
		var timer <-chan time.Time
		if ok {
			wait := time.Until(due)
			if wait <= 0 {
				return true
			}
			timer = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-timer:
		}
	}
	return false
}

// step sends the frame that is due, and returns the pause before the next one.
func (a *Announcer) step(s *sender, troubled bool) (time.Duration, error) {
	now := time.Now()
	a.mu.Lock()
	stale := a.stale
	a.stale = false
	a.mu.Unlock()
	if stale {
		s.expire()
	}
	if err := s.ready(now); err != nil {
		s.disconnect()
		return 0, err
	}
	a.sending.Lock()
	defer a.sending.Unlock()
	a.mu.Lock()
	if troubled {
		a.schedule.Restart(now)
	}
	f, ok := a.schedule.Next(now)
	a.mu.Unlock()
	if !ok {
		return 0, nil
	}
	b, err := frame(f.Form, f.Addr, s.hardware, s.forwarding)
	if err == nil && !mute {
		err = s.write(b)
	}
	switch {
	case err == nil:
		a.sent[f.Form].Add(1)
	case congested(err):
		a.errors.Add(1)
		a.log.Debug("announcement lost", "address", f.Addr, "form", f.Form, "error", err)
	default:
		s.disconnect()
		if reason := s.ready(now); reason != nil {
			err = reason // the state of the interface says more than the socket's error
		}
		return 0, err
	}
	return f.Spacing, nil
}
