// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/rtnl"
)

const (
	// eventBuffer is the receive buffer of the subscription in bytes: room for about ten thousand events.
	eventBuffer = 8 << 20
	// lookPause is the longest pause between two readings in a burst of events.
	lookPause = 10 * time.Millisecond
	// subscribePause is the pause between two attempts to renew the subscription.
	subscribePause = 100 * time.Millisecond
)

// A Watcher watches interfaces and their addresses. It reports their state, not the changes: a burst of changes gives one
// report, and a lost event does no harm.
type Watcher struct {
	log           hclog.Logger
	notify        func(vrrp.Link)
	buffer        int
	wake          chan struct{}
	resubscribed  atomic.Uint64 // subscriptions that were lost and renewed
	mu            sync.Mutex
	watched       []string // the names given to Watch
	asked         bool     // Watch was called, and its names were not read yet
	touched       map[int]struct{}
	touchedByName map[string]struct{}
}

// NewWatcher returns a Watcher that calls notify from Run's goroutine. A slow notify delays the next report. It may call
// Watch.
func NewWatcher(log hclog.Logger, notify func(vrrp.Link)) *Watcher {
	return &Watcher{
		log: log, notify: notify, buffer: eventBuffer, wake: make(chan struct{}, 1),
		touched: map[int]struct{}{}, touchedByName: map[string]struct{}{},
	}
}

// Watch replaces the names of the watched interfaces, before Run or during it. Each interface, missing ones included, is
// reported at once, and then whenever it changes.
func (w *Watcher) Watch(names []string) {
	names = slices.Clone(names)
	slices.Sort(names)
	w.mu.Lock()
	w.watched, w.asked = slices.Compact(names), true
	w.mu.Unlock()
	w.kick()
}

// Run watches until ctx ends, which is success. It renews a lost subscription and reads all interfaces again. Only a
// failure of the first subscription is an error.
//
// Run's own goroutine opens the sockets, at the start and to renew them. If threads have different network namespaces,
// lock the goroutine to a thread.
func (w *Watcher) Run(ctx context.Context) error {
	lastSent := map[string]vrrp.Link{}
	for first := true; ; first = false {
		s, err := w.subscribe()
		switch {
		case err == nil:
			err = w.follow(ctx, s, lastSent)
			s.close()
		case first:
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if n := w.resubscribed.Add(1); n == 1 {
			w.log.Warn("interface events were lost, subscribing again", "error", err)
		} else {
			w.log.Debug("interface events were lost, subscribing again", "error", err, "times", n)
		}
		if errors.Is(err, unix.ENOBUFS) {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(subscribePause):
		}
	}
}

// A subscription is the sockets that a Watcher uses until they fail.
type subscription struct {
	events *nl.NetlinkSocket
	handle *netlink.Handle
	lost   chan error // why the events ended; closed when its reader is gone
}

func (s *subscription) close() {
	s.events.Close()
	for range s.lost { // until the reader has ended
	}
	s.handle.Close()
}

// subscribe opens the sockets, the one for events first: so no change is lost between reading and subscribing.
func (w *Watcher) subscribe() (*subscription, error) {
	events, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("failed to subscribe to interface events: %w", err)
	}
	err = events.SetReceiveBufferSize(w.buffer, true)
	if errors.Is(err, unix.EPERM) { // in a container with a user namespace: the system's limit stays
		err = events.SetReceiveBufferSize(w.buffer, false)
	}
	if err != nil {
		events.Close()
		return nil, fmt.Errorf("failed to set the receive buffer of interface events to %d bytes: %w", w.buffer, err)
	}
	handle, err := rtnl.Open()
	if err != nil {
		events.Close()
		return nil, err
	}
	s := &subscription{events: events, handle: handle, lost: make(chan error, 1)}
	go func() {
		defer close(s.lost)
		s.lost <- w.read(events)
	}()
	return s, nil
}

// read stores which interfaces the events name, until the socket fails or is closed.
func (w *Watcher) read(events *nl.NetlinkSocket) error {
	for {
		messages, from, err := events.Receive()
		if err != nil {
			return fmt.Errorf("failed to receive interface events: %w", err)
		}
		if from.Pid == nl.PidKernel {
			w.touch(messages)
		}
	}
}

func (w *Watcher) touch(messages []syscall.NetlinkMessage) {
	w.mu.Lock()
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			if len(m.Data) >= unix.SizeofIfAddrmsg {
				w.touched[int(nl.DeserializeIfAddrmsg(m.Data).Index)] = struct{}{}
			}
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			if len(m.Data) < unix.SizeofIfInfomsg {
				continue
			}
			w.touched[int(nl.DeserializeIfInfomsg(m.Data).Index)] = struct{}{}
			attrs, err := nl.ParseRouteAttr(m.Data[unix.SizeofIfInfomsg:])
			if err != nil {
				continue
			}
			for _, a := range attrs {
				if a.Attr.Type == unix.IFLA_IFNAME {
					w.touchedByName[unix.ByteSliceToString(a.Value)] = struct{}{}
				}
			}
		}
	}
	w.mu.Unlock()
	w.kick()
}

func (w *Watcher) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// follow reads every interface, and later those that events name, until ctx ends or the subscription is lost. After a single
// event it reads at once. In a burst of events it pauses for twice the time of a reading, to leave the processor to others.
func (w *Watcher) follow(ctx context.Context, s *subscription, lastSent map[string]vrrp.Link) error {
	w.mu.Lock()
	dirty := slices.Clone(w.watched)
	w.mu.Unlock()
	var next time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var asked bool
		dirty, asked = w.collect(dirty, lastSent)
		now := time.Now()
		if pause := next.Sub(now); pause > 0 && !asked {
			if len(dirty) > 0 {
				timer.Reset(pause)
			}
		} else if len(dirty) > 0 {
			again, err := w.look(s.handle, dirty, lastSent, asked)
			if err != nil {
				return err
			}
			end := time.Now()
			next = end.Add(min(2*end.Sub(now), lookPause))
			if dirty = again; len(dirty) > 0 {
				timer.Reset(lookPause)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.lost:
			return err
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// collect adds to dirty the watched names that events named since the last call, or all of them if Watch was called.
func (w *Watcher) collect(dirty []string, lastSent map[string]vrrp.Link) (_ []string, asked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, w.asked = w.asked, false
	if asked {
		for name := range lastSent {
			if !slices.Contains(w.watched, name) {
				delete(lastSent, name)
			}
		}
		dirty = slices.Clone(w.watched)
	}
	for _, name := range w.watched {
		_, byIndex := w.touched[lastSent[name].Index]
		_, byName := w.touchedByName[name]
		if (byIndex || byName) && !slices.Contains(dirty, name) {
			dirty = append(dirty, name)
		}
	}
	clear(w.touched)
	clear(w.touchedByName)
	return dirty, asked
}

// look reads the named interfaces and reports those that have changed, or all of them. It returns the names whose addresses
// changed while it read them: they must be read again.
func (w *Watcher) look(
	handle *netlink.Handle, names []string, lastSent map[string]vrrp.Link, all bool,
) (again []string, err error) {
	for _, name := range names {
		l, err := readLink(handle, name)
		before, known := lastSent[name]
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			again = append(again, name)
			if known && before.Index == l.Index {
				l.Addrs = before.Addrs
			}
		} else if err != nil {
			return nil, err
		}
		if all || !known || !l.Equal(before) {
			lastSent[name] = l
			w.notify(l)
		}
	}
	return again, nil
}

// readLink reads an interface. A missing interface is not an error. With netlink.ErrDumpInterrupted the addresses may be
// incomplete.
func readLink(handle *netlink.Handle, name string) (vrrp.Link, error) {
	l := vrrp.Link{Name: name}
	dev, err := handle.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("failed to read interface %s: %w", name, err)
	}
	attrs := dev.Attrs()
	l.Index, l.Hardware, l.MTU = attrs.Index, attrs.HardwareAddr, attrs.MTU
	l.Up = attrs.RawFlags&unix.IFF_UP != 0
	l.Carrier = attrs.RawFlags&unix.IFF_RUNNING != 0
	addrs, err := handle.AddrList(dev, netlink.FAMILY_ALL)
	if err != nil {
		err = fmt.Errorf("failed to read addresses of interface %s: %w", name, err)
	}
	// The kernel lists IPv4 addresses of a narrower scope first.
	scope := func(a netlink.Addr) int {
		if a.IP.To4() == nil {
			return int(netlink.SCOPE_NOWHERE) // IPv6 stays last, in its order
		}
		return a.Scope
	}
	slices.SortStableFunc(addrs, func(a, b netlink.Addr) int { return cmp.Compare(scope(a), scope(b)) })
	for _, a := range addrs {
		if p, ok := rtnl.Prefix(a); ok && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			l.Addrs = append(l.Addrs, p)
		}
	}
	return l, err
}
