// SPDX-License-Identifier: Apache-2.0

package link

import (
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
	// eventBuffer is the receive buffer of the subscription in bytes: room for some ten thousand events.
	eventBuffer = 8 << 20
	// lookPause is the longest pause between two looks at the links in a burst of events.
	lookPause = 10 * time.Millisecond
	// subscribePause is the pause before a subscription that could not be renewed is tried again.
	subscribePause = 100 * time.Millisecond
)

// A Watcher follows interfaces and their addresses and tells what they are: the state, never the change, so that
// a burst of changes is told once and a lost event costs nothing.
type Watcher struct {
	log           hclog.Logger
	notify        func(vrrp.Link)
	buffer        int
	wake          chan struct{}
	resubscribed  atomic.Uint64
	mu            sync.Mutex
	watched       []string // what Watch asked for
	asked         bool     // Watch was called and not yet obeyed
	touched       map[int]struct{}
	touchedByName map[string]struct{}
}

// NewWatcher returns a Watcher that calls notify from Run's goroutine, in the order of the looks. What notify does
// delays what it is told next; it may call Watch.
func NewWatcher(log hclog.Logger, notify func(vrrp.Link)) *Watcher {
	return &Watcher{
		log: log, notify: notify, buffer: eventBuffer, wake: make(chan struct{}, 1),
		touched: map[int]struct{}{}, touchedByName: map[string]struct{}{},
	}
}

// Watch replaces the names that are followed, before Run or during it. Each is told at once as it is, missing ones
// too, also if it was told before; after that whenever it changes.
func (w *Watcher) Watch(names []string) {
	names = slices.Clone(names)
	slices.Sort(names)
	w.mu.Lock()
	w.watched, w.asked = slices.Compact(names), true
	w.mu.Unlock()
	w.kick()
}

// Resubscribed counts the subscriptions that were lost, mostly to an overrun buffer, and renewed.
func (w *Watcher) Resubscribed() uint64 { return w.resubscribed.Load() }

// Run follows until ctx ends, which is success. A subscription that is lost is renewed and everything looked at
// again; only one that cannot be had in the first place is an error.
//
// Run's own goroutine opens the sockets, when it starts and whenever it renews them: where threads differ in their
// network namespace, it must be locked to one.
func (w *Watcher) Run(ctx context.Context) error {
	told := map[string]vrrp.Link{}
	for first := true; ; first = false {
		s, err := w.subscribe()
		switch {
		case err == nil:
			err = w.follow(ctx, s, told)
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

// A subscription is the sockets of one stretch of following.
type subscription struct {
	events *nl.NetlinkSocket
	handle *netlink.Handle
	lost   chan error // why the events ended; closed when its reader is gone
}

func (s *subscription) close() {
	s.events.Close()
	for range s.lost { // the reader's own end, and whatever it had to say
	}
	s.handle.Close()
}

// subscribe opens the sockets, events first, so that no change falls between the look and the listening.
func (w *Watcher) subscribe() (*subscription, error) {
	events, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("subscribe to interface events: %w", err)
	}
	if err := events.SetReceiveBufferSize(w.buffer, true); err != nil {
		events.Close()
		return nil, fmt.Errorf("set receive buffer of interface events to %d bytes: %w", w.buffer, err)
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

// read notes which interfaces the events speak of until the socket fails or is closed.
func (w *Watcher) read(events *nl.NetlinkSocket) error {
	for {
		messages, from, err := events.Receive()
		if err != nil {
			return fmt.Errorf("receive interface events: %w", err)
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

// follow looks at every interface, and again at those that events speak of, until ctx ends or the subscription is
// lost. A lone event is looked at once; in a burst a pause of twice the time that a look takes leaves the
// processor to others.
func (w *Watcher) follow(ctx context.Context, s *subscription, told map[string]vrrp.Link) error {
	w.mu.Lock()
	dirty := slices.Clone(w.watched)
	w.mu.Unlock()
	var next time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var asked bool
		dirty, asked = w.sort(dirty, told)
		now := time.Now()
		if pause := next.Sub(now); pause > 0 && !asked {
			if len(dirty) > 0 {
				timer.Reset(pause)
			}
		} else if len(dirty) > 0 {
			again, err := w.look(s.handle, dirty, told, asked)
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

// sort adds to dirty the watched names that events touched since the last call, or all of them if Watch was called.
func (w *Watcher) sort(dirty []string, told map[string]vrrp.Link) (_ []string, asked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, w.asked = w.asked, false
	if asked {
		for name := range told {
			if !slices.Contains(w.watched, name) {
				delete(told, name)
			}
		}
		dirty = slices.Clone(w.watched)
	}
	for _, name := range w.watched {
		_, byIndex := w.touched[told[name].Index]
		_, byName := w.touchedByName[name]
		if (byIndex || byName) && !slices.Contains(dirty, name) {
			dirty = append(dirty, name)
		}
	}
	clear(w.touched)
	clear(w.touchedByName)
	return dirty, asked
}

// look reads the named interfaces and tells those that differ from what was told, or all of them. It returns the
// names whose addresses changed under its eyes and are to be looked at again.
func (w *Watcher) look(handle *netlink.Handle, names []string, told map[string]vrrp.Link, all bool) (again []string, err error) {
	for _, name := range names {
		l, err := readLink(handle, name)
		before, known := told[name]
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			again = append(again, name)
			if known && before.Index == l.Index {
				l.Addrs = before.Addrs
			}
		} else if err != nil {
			return nil, err
		}
		if all || !known || !l.Equal(before) {
			told[name] = l
			w.notify(l)
		}
	}
	return again, nil
}

// readLink returns the interface as it is; a missing one is no error. With netlink.ErrDumpInterrupted the addresses
// may be incomplete.
func readLink(handle *netlink.Handle, name string) (vrrp.Link, error) {
	l := vrrp.Link{Name: name}
	dev, err := handle.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("read interface %s: %w", name, err)
	}
	attrs := dev.Attrs()
	l.Index, l.Hardware, l.MTU = attrs.Index, attrs.HardwareAddr, attrs.MTU
	l.Up = attrs.RawFlags&unix.IFF_UP != 0
	l.Carrier = attrs.RawFlags&unix.IFF_RUNNING != 0
	addrs, err := handle.AddrList(dev, netlink.FAMILY_ALL)
	if err != nil {
		err = fmt.Errorf("read addresses of %s: %w", name, err)
	}
	for _, a := range addrs {
		if p, ok := rtnl.Prefix(a); ok && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			l.Addrs = append(l.Addrs, p)
		}
	}
	return l, err
}
