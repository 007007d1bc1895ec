// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// sessionCheck is how often a Watcher makes sure that its interface is still the one that it listens on.
const sessionCheck = time.Second

// A Watcher looks out for other machines that claim our addresses on one interface: it listens to ARP and neighbour
// discovery, and asks itself, when others ask, and now and then.
type Watcher struct {
	iface  string
	log    hclog.Logger
	notify func(Rival) // of each rival when it is first told of; called on Run's goroutine
	wake   chan struct{}

	mu     sync.Mutex
	addrs  []netip.Addr
	rivals []Rival
	claims uint64
}

// NewWatcher returns the Watcher of an interface. It calls notify, which must not block, for each rival that it finds.
func NewWatcher(iface string, log hclog.Logger, notify func(Rival)) *Watcher {
	return &Watcher{iface: iface, log: log.With("interface", iface), notify: notify, wake: make(chan struct{}, 1)}
}

// Set makes the watched addresses those given: those that are ours now. It never blocks.
func (w *Watcher) Set(addrs []netip.Addr) {
	w.mu.Lock()
	same := slices.Equal(w.addrs, addrs)
	w.addrs = slices.Clone(addrs)
	w.mu.Unlock()
	if same {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Rivals returns the machines that claim our addresses: those that did so in the last 5 s.
func (w *Watcher) Rivals() []Rival {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.rivals)
}

// Claims counts the frames by which others claimed our addresses since the Watcher was made.
func (w *Watcher) Claims() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.claims
}

func (w *Watcher) watched() []netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.addrs)
}

// Run watches until ctx ends, which is success. While there is nothing to watch it holds no socket, and while the
// interface cannot be listened on it tries again every second.
//
// Run's own goroutine opens the sockets: where threads differ in their network namespace, it must be locked to one.
func (w *Watcher) Run(ctx context.Context) error {
	trouble := ""
	for ctx.Err() == nil {
		if len(w.watched()) == 0 {
			select {
			case <-ctx.Done():
			case <-w.wake:
			}
			continue
		}
		err := w.session(ctx)
		if err == nil {
			trouble = ""
			continue
		}
		if text := err.Error(); text != trouble {
			trouble = text
			w.log.Debug("cannot watch for rivals, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(sessionCheck):
		}
	}
	return nil
}

// session watches on the interface as it is now, until it is another, nothing is to be watched, or ctx ends.
func (w *Watcher) session(ctx context.Context) error {
	p, err := newProbe(w.iface)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	heard := make(chan hearing, 64)
	for _, conn := range p.conns() {
		g.Go(func() error { return listen(ctx, conn, heard) })
	}
	err = w.judge(ctx, p, heard)
	cancel()
	p.close() // frees the listeners
	return errors.Join(err, g.Wait())
}

// judge asks, hears and tells.
func (w *Watcher) judge(ctx context.Context, p *probe, heard <-chan hearing) error {
	r := newRivals()
	defer func() {
		r.set(time.Now(), nil) // what is claimed elsewhere, or was, is no concern of ours
		w.publish(r)
	}()
	check := time.NewTicker(sessionCheck)
	defer check.Stop()
	r.set(time.Now(), w.watched())
	for {
		now := time.Now()
		ask, found, next := r.step(now)
		for _, addr := range ask {
			if err := p.ask(addr); err != nil && !congested(err) && !errors.Is(err, unix.ENETDOWN) {
				return err
			}
		}
		for _, id := range found {
			one := r.known[id]
			one.Neighbours = neighboursAt(p.index, id)
			w.notify(one.Rival)
		}
		w.publish(r)
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
			addrs := w.watched()
			r.set(time.Now(), addrs)
			if len(addrs) == 0 {
				return nil
			}
		case s := <-heard:
			if r.concerns(s) && !p.mine(s.from) {
				r.see(time.Now(), s)
			}
		case <-check.C:
			if p.stale() {
				return nil
			}
		case <-time.After(time.Until(next)):
		}
	}
}

// publish makes what r knows what Rivals and Claims return.
func (w *Watcher) publish(r *rivals) {
	list := r.list()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claims += r.claims
	r.claims = 0
	w.rivals = list
}

// listen passes on what frames say until the socket is closed.
func listen(ctx context.Context, conn *packet.Conn, heard chan<- hearing) error {
	b := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENETDOWN):
			continue // it is said once; the socket hears again when the interface is up
		case err != nil:
			return fmt.Errorf("listen for rivals: %w", err)
		}
		if s, ok := parse(b[:n]); ok {
			select {
			case heard <- s:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// neighboursAt returns the addresses that the neighbour table knows at a hardware address, the claimed one aside.
func neighboursAt(index int, id rivalID) []netip.Addr {
	list, err := netlink.NeighList(index, netlink.FAMILY_ALL)
	if err != nil {
		return nil // it only makes the rival easier to find
	}
	var all []netip.Addr
	for _, n := range list {
		addr, ok := netip.AddrFromSlice(n.IP)
		if addr = addr.Unmap(); ok && addr != id.addr && !addr.IsLinkLocalUnicast() && bytes.Equal(n.HardwareAddr, id.from[:]) {
			all = append(all, addr)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// ownHardware returns the Ethernet addresses of this machine's interfaces.
func ownHardware() (map[hardware]bool, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	own := make(map[hardware]bool)
	for _, i := range list {
		if len(i.HardwareAddr) == 6 {
			own[hardware(i.HardwareAddr)] = true
		}
	}
	return own, nil
}
