// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// retryPause is the pause between attempts to send on an interface that cannot.
const retryPause = 100 * time.Millisecond

// Stats counts what an Announcer sent since it was made.
type Stats struct {
	// Requests and Replies are ARP frames by operation.
	Requests uint64 `json:"requests"`
	Replies  uint64 `json:"replies"`
	// Advertisements are unsolicited neighbour advertisements.
	Advertisements uint64 `json:"advertisements"`
	// Errors are frames that could not be sent and attempts to reach the interface that failed.
	Errors uint64 `json:"errors"`
}

// Add returns the sum of both.
func (s Stats) Add(t Stats) Stats {
	return Stats{
		Requests:       s.Requests + t.Requests,
		Replies:        s.Replies + t.Replies,
		Advertisements: s.Advertisements + t.Advertisements,
		Errors:         s.Errors + t.Errors,
	}
}

// An Announcer announces addresses on one interface: those of IPv4 by gratuitous ARP, request and reply, those of
// IPv6 by unsolicited neighbour advertisements.
type Announcer struct {
	iface string
	log   hclog.Logger
	wake  chan struct{}

	sending  sync.Mutex // held while a frame leaves; taken before mu
	mu       sync.Mutex
	schedule *schedule
	stale    bool // what is known of the interface may have changed

	sent   [formAdvertisement + 1]atomic.Uint64 // by form
	errors atomic.Uint64
}

// New returns the Announcer of an interface.
func New(iface string, log hclog.Logger) *Announcer {
	return &Announcer{
		iface: iface, log: log.With("interface", iface), wake: make(chan struct{}, 1), schedule: newSchedule(),
	}
}

// Announce begins the schedule of c for addresses that were taken over now, from the start if one is under way. It
// never blocks. What is asked for before Run is sent when Run begins.
func (a *Announcer) Announce(c Config, addrs []netip.Addr) {
	now := time.Now()
	a.mu.Lock()
	a.schedule.announce(now, c, addrs)
	a.mu.Unlock()
	a.kick()
}

// Reannounce begins the schedules of addresses anew, of all that are announced if none is given: for when neighbours
// may believe a rival, or have missed what was sent, or when the interface has another MAC address. It may be called
// as often as there is cause: a schedule begins anew once a second at most. It never blocks.
func (a *Announcer) Reannounce(addrs ...netip.Addr) {
	now := time.Now()
	a.mu.Lock()
	a.schedule.reannounce(now, addrs)
	a.stale = true
	a.mu.Unlock()
	a.kick()
}

func (a *Announcer) kick() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Withdraw ends the schedules of addresses that are no longer ours. After it returns no frame announces them. It
// may wait for a frame on its way, 10 ms at most.
func (a *Announcer) Withdraw(addrs []netip.Addr) {
	a.sending.Lock()
	defer a.sending.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schedule.withdraw(addrs)
}

// Stats returns the counts.
func (a *Announcer) Stats() Stats {
	return Stats{
		Requests:       a.sent[formRequest].Load(),
		Replies:        a.sent[formReply].Load(),
		Advertisements: a.sent[formAdvertisement].Load(),
		Errors:         a.errors.Load(),
	}
}

// Run sends until ctx ends, which is success. While the interface is missing, down or without carrier it waits; then
// every schedule begins anew, because the neighbours may have missed all of it.
//
// Run's own goroutine opens the sockets, whenever it needs them: where threads differ in their network namespace, it
// must be locked to one.
func (a *Announcer) Run(ctx context.Context) error {
	pacer, err := newPacer()
	if err != nil {
		return err
	}
	defer pacer.close()
	w := &wire{iface: a.iface}
	defer w.close()
	trouble := ""
	for a.await(ctx) {
		pause, err := a.step(w, trouble != "")
		switch {
		case err != nil:
			a.errors.Add(1)
			if text := err.Error(); text != trouble {
				trouble = text
				a.log.Warn("cannot announce addresses, trying again", "error", err)
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

// await waits until a frame is due; false when ctx ends.
func (a *Announcer) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		a.mu.Lock()
		due, ok := a.schedule.deadline()
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

// step sends the frame that is due and returns the pause before the next.
func (a *Announcer) step(w *wire, troubled bool) (time.Duration, error) {
	now := time.Now()
	a.mu.Lock()
	stale := a.stale
	a.stale = false
	a.mu.Unlock()
	if stale {
		w.forget()
	}
	if err := w.ready(now); err != nil {
		w.hangUp()
		return 0, err
	}
	a.sending.Lock()
	defer a.sending.Unlock()
	a.mu.Lock()
	if troubled {
		a.schedule.restart(now)
	}
	n, ok := a.schedule.next(now)
	a.mu.Unlock()
	if !ok {
		return 0, nil
	}
	b, err := frame(n.form, n.addr, w.hardware, w.forwarding)
	if err == nil {
		err = w.write(b)
	}
	switch {
	case err == nil:
		a.sent[n.form].Add(1)
	case congested(err):
		a.errors.Add(1)
		a.log.Debug("announcement lost", "address", n.addr, "form", n.form, "error", err)
	default:
		w.hangUp()
		if reason := w.ready(now); reason != nil {
			err = reason // the interface's own trouble says more than the socket's
		}
		return 0, err
	}
	return n.spacing, nil
}
