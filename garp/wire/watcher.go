// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/garp"
)

const (
	// sessionCheck is how often a Watcher checks, without a cause, that its interface is still the one that it listens on.
	sessionCheck = 30 * time.Second
	// sessionRetry is how often it does so while the interface is down or others advertise there, and how often it tries to
	// listen.
	sessionRetry = time.Second
)

// A Watcher finds other machines that claim our addresses on one interface. It listens to ARP and neighbour discovery. It
// also asks for the addresses itself: when another machine asks, and at intervals.
type Watcher struct {
	iface  string
	log    hclog.Logger
	notify func(garp.Rival) // called on Run's goroutine, once for each rival
	wake   chan struct{}    // the addresses have changed
	link   chan struct{}    // the interface may have changed

	mu       sync.Mutex
	addrs    []netip.Addr
	leaving  []garp.HandOver
	referred []referred // not yet begun
	givenUp  []netip.Addr
	rivals   []garp.Rival
	claims   uint64
}

// A referred are addresses that went to a successor.
type referred struct {
	heard     time.Time
	since     time.Time
	addrs     []netip.Addr
	successor netip.Addr
}

// NewWatcher returns the Watcher of an interface. It calls notify, which must not block, for each rival that it finds.
func NewWatcher(iface string, log hclog.Logger, notify func(garp.Rival)) *Watcher {
	return &Watcher{
		iface: iface, log: log.With("interface", iface), notify: notify, wake: make(chan struct{}, 1), link: make(chan struct{}, 1),
	}
}

// Set sets the watched addresses: those that are ours now, and of them, those that this machine only keeps for a successor. The
// successor is no rival. Set never blocks.
func (w *Watcher) Set(addrs []netip.Addr, leaving ...garp.HandOver) {
	w.mu.Lock()
	same := slices.Equal(w.addrs, addrs) && slices.EqualFunc(w.leaving, leaving, garp.HandOver.Is)
	w.addrs, w.leaving = slices.Clone(addrs), slices.Clone(leaving)
	w.mu.Unlock()
	if !same {
		nudge(w.wake)
	}
}

// Refer announces addresses at the hardware address of their new master, unless the new master is heard to announce them itself.
// heard and since are those of garp.Referrals.Refer. successor is the address that the new master advertises from. Call Refer
// before Set without the addresses. It never blocks.
func (w *Watcher) Refer(heard, since time.Time, addrs []netip.Addr, successor netip.Addr) {
	w.mu.Lock()
	w.referred = append(w.referred, referred{heard, since, slices.Clone(addrs), successor})
	w.mu.Unlock()
	nudge(w.wake)
}

// GiveUp records that this machine may have had addresses, and gave them up without a successor. The Watcher then listens
// until Refer names a successor, or another machine announces them. Call GiveUp after Set without the addresses. It never
// blocks.
func (w *Watcher) GiveUp(addrs []netip.Addr) {
	w.mu.Lock()
	w.givenUp = append(w.givenUp, addrs...)
	w.mu.Unlock()
	nudge(w.wake)
}

// LinkChanged makes the Watcher check its interface now. It never blocks.
func (w *Watcher) LinkChanged() { nudge(w.link) }

// nudge wakes the reader of a channel of capacity 1.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take passes on the calls of Refer, Set and GiveUp since the last time, and returns the addresses that are ours.
func (w *Watcher) take(refs *garp.Referrals, leaving *garp.HandOvers) []netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.referred {
		refs.Refer(r.heard, r.since, r.addrs, r.successor)
	}
	refs.SetAddresses(w.addrs)
	refs.GiveUp(w.givenUp)
	leaving.Set(w.leaving)
	w.referred, w.givenUp = nil, nil
	return slices.Clone(w.addrs)
}

// Rivals returns the machines that claimed our addresses in the last 5 s.
func (w *Watcher) Rivals() []garp.Rival {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.rivals)
}

// Claims returns how many frames of other machines have claimed our addresses since the Watcher was made.
func (w *Watcher) Claims() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.claims
}

// Run watches until ctx ends, which is success. While there is nothing to watch it holds no socket. While it cannot listen
// on the interface it tries again every second, and when LinkChanged is called.
//
// Run's own goroutine opens the sockets. Where threads differ in their network namespace, it must be locked to one.
func (w *Watcher) Run(ctx context.Context) error {
	trouble := ""
	refs, leaving := garp.NewReferrals(), &garp.HandOvers{}
	for ctx.Err() == nil {
		if len(w.take(refs, leaving)) == 0 && !refs.Waiting() {
			select {
			case <-ctx.Done():
			case <-w.wake:
			}
			continue
		}
		err := w.session(ctx, refs, leaving)
		if err == nil {
			trouble = ""
			continue
		}
		if text := err.Error(); text != trouble {
			trouble = text
			w.log.Debug("failed to watch for rivals, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-w.link:
		case <-time.After(sessionRetry):
		}
	}
	return nil
}

// session watches on the interface as it is now. It returns when the interface is replaced, when there is nothing to
// watch, or when ctx ends.
func (w *Watcher) session(ctx context.Context, refs *garp.Referrals, leaving *garp.HandOvers) error {
	p, err := newProbe(w.iface)
	if err != nil {
		return err
	}
	return p.observe(ctx, func(ctx context.Context, observed <-chan garp.Observation) error {
		return w.track(ctx, p, observed, refs, leaving)
	})
}

// track asks for the addresses, receives frames, and reports rivals.
func (w *Watcher) track(
	ctx context.Context, p *probe, observed <-chan garp.Observation, refs *garp.Referrals, leaving *garp.HandOvers,
) error {
	t := garp.NewRivalTracker()
	defer func() {
		t.SetAddresses(time.Now(), nil) // without a session there are no known rivals
		w.publish(t)
	}()
	check := time.NewTimer(sessionCheck)
	defer check.Stop()
	addrs := w.take(refs, leaving)
	t.SetAddresses(time.Now(), leaving.Others(addrs))
	for {
		if refs.Waiting() {
			p.drainAdverts(refs)
		}
		leaving.Step(refs)
		next, err := w.act(p, t, refs)
		if err != nil {
			return err
		}
		w.publish(t)
		if len(addrs) == 0 && !refs.Waiting() {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
			addrs = w.take(refs, leaving)
			t.SetAddresses(time.Now(), leaving.Others(addrs))
		case o := <-observed:
			if (t.Concerns(o) || refs.Concerns(o)) && !p.isOwn(o.From) {
				now := time.Now()
				t.Observe(now, o)
				refs.Observe(now, o)
			}
		case <-p.down:
			check.Reset(sessionRetry)
		case <-w.link:
			if !p.stillGood(refs, check) {
				return nil
			}
		case <-check.C:
			if !p.stillGood(refs, check) {
				return nil
			}
		case <-time.After(time.Until(next)):
		}
	}
}

// stillGood drains the socket of advertisements, else old ones fill its buffer, and sets when to do so again. It reports whether the
// interface is the same as before.
func (p *probe) stillGood(refs *garp.Referrals, check *time.Timer) bool {
	heard := p.drainAdverts(refs)
	same, up := p.look()
	if check.Reset(sessionCheck); heard || !up {
		check.Reset(sessionRetry)
	}
	return same
}

// act asks and announces what is due, and reports new rivals. It returns when there is more to do.
func (w *Watcher) act(p *probe, t *garp.RivalTracker, refs *garp.Referrals) (next time.Time, err error) {
	ask, found, next := t.Step(time.Now())
	for _, addr := range ask {
		if err := p.ask(addr); err != nil && !congested(err) && !errors.Is(err, unix.ENETDOWN) {
			return next, err
		}
	}
	for _, c := range found {
		w.notify(t.SetNeighbours(c, neighboursAt(p.index, c)))
	}
	refer, more := refs.Step(time.Now())
	for _, r := range refer {
		if p.isOwn(r.Hardware) {
			continue // a virtual MAC address, which we have as well
		}
		// keepalived announces at once and after 5 s, so that a repeat follows each hand-over to it.
		level, message := hclog.Info, "the new master was not heard to announce an address: announcing it for the new master"
		if r.Again {
			level, message = hclog.Debug, "announcing an address for the new master once more: neighbours may have missed it"
		}
		w.log.Log(level, message, "address", r.Address, "hardware", r.Hardware)
		if err := p.refer(r); err != nil && !congested(err) && !errors.Is(err, unix.ENETDOWN) {
			return next, err
		}
	}
	if !more.IsZero() && more.Before(next) {
		next = more
	}
	return next, nil
}

// publish stores the results that Rivals and Claims return.
func (w *Watcher) publish(t *garp.RivalTracker) {
	rivals, claims := t.Rivals(), t.TakeClaims()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claims += claims
	w.rivals = rivals
}
