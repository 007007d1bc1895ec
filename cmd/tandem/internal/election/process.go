// SPDX-License-Identifier: Apache-2.0

package election

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/vrrp"
)

// Options are the surroundings of a Process.
type Options struct {
	Log hclog.Logger
	// StateDir is where elections of one director find each other.
	StateDir string
	// Realtime asks for real-time scheduling of the loops.
	Realtime bool
}

// A Process is the election's side of the socket: it runs a loop, an address keeper and an announcer for each
// interface, and does what the director orders. It belongs to one network namespace, that of the thread it runs on.
type Process struct {
	conn    io.ReadWriteCloser
	log     hclog.Logger
	options Options
	watcher *vrrp.Watcher

	orders chan message.Order // the latest that was not carried out
	wake   chan struct{}      // there is news from a loop or a link
	tell   chan struct{}      // there is something to report

	// The serving goroutine's own.
	order    message.Order                       // as last carried out
	known    map[message.RouterID]message.Router // those of the order, and those that are on their way out
	states   map[message.RouterID]vrrp.Status    // the loops' latest word
	lastSent map[message.RouterID]lastSent       // what the loop was told beside the router's configuration
	groups   *vrrp.Groups                        // of the order
	resumed  map[message.RouterID]bool           // routers that begin as master and have not said so yet
	left     handoffState                        // of the orphan before us, until it is taken up
	memory   *state.File[[]vrrp.Config]          // what may be on the interfaces; nil where it cannot be kept

	// Held for a few instructions only: the loops' threads take it, and they must not wait.
	newsMu sync.Mutex
	news   map[message.RouterID]vrrp.Status // what the loops said since the last settle, the latest of each router

	mu           sync.Mutex       // the serving goroutine alone changes what it guards, but for links
	units        map[string]*unit // by interface
	addressUnits map[addressKey]*addressUnit
	links        map[string]vrrp.Link // by interface, tracked ones too: the watcher's latest word
	sequence     uint64               // of order
	beat         time.Duration        // likewise
	locked       bool                 // the election before us is gone
}

// lastSent is what a loop was told about a router.
type lastSent struct {
	tracking vrrp.Tracking
	standby  bool
}

// NewProcess returns the election that takes its orders from conn, and closes conn when it ends.
func NewProcess(conn io.ReadWriteCloser, o Options) *Process {
	p := &Process{
		conn:         conn,
		log:          o.Log,
		options:      o,
		orders:       make(chan message.Order, 1),
		wake:         make(chan struct{}, 1),
		tell:         make(chan struct{}, 1),
		known:        make(map[message.RouterID]message.Router),
		states:       make(map[message.RouterID]vrrp.Status),
		groups:       vrrp.NewGroups(nil),
		lastSent:     make(map[message.RouterID]lastSent),
		resumed:      make(map[message.RouterID]bool),
		news:         make(map[message.RouterID]vrrp.Status),
		units:        make(map[string]*unit),
		addressUnits: make(map[addressKey]*addressUnit),
		links:        make(map[string]vrrp.Link),
		beat:         message.MinBeatInterval,
	}
	p.watcher = vrrp.NewWatcher(o.Log, p.seeLink)
	return p
}

// Run serves the director until it orders the election to leave, is gone, or ctx ends. Before Run returns, every
// router has handed over and let go of its addresses, or has left them to a successor. The error says why the election
// could not run.
func (p *Process) Run(ctx context.Context) error {
	// Leaving takes time, in which everything goes on: so the work does not end with ctx but after it.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, work := errgroup.WithContext(work)
	gone := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(gone)
		p.read(work)
	})
	g.Go(func() error { p.report(work); return nil })
	g.Go(func() error { p.trim(work); return nil })
	g.Go(func() error {
		defer stop()
		return p.inherit(ctx, work, g, gone)
	})
	<-work.Done()
	_ = p.conn.Close() // frees the reader and the reporter
	err := g.Wait()
	reader.Wait()
	return err
}

// inherit waits for the place of the election before us, and then serves in it.
func (p *Process) inherit(ctx, work context.Context, g *errgroup.Group, gone <-chan struct{}) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-gone:
			cancel()
		case <-waiting.Done():
		}
	}()
	lock, left, err := acquire(waiting, p.options.StateDir, sync.OnceFunc(func() {
		p.log.Info("waiting for the election of the former director to end or to hand on")
		nudge(p.tell)
	}))
	p.left = left
	defer func() { // where no order came that takes it up
		for _, m := range p.left.Masters {
			p.forgo(m.Config)
		}
	}()
	if waiting.Err() != nil && errors.Is(err, waiting.Err()) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.release()
	p.mu.Lock()
	p.locked = true
	p.mu.Unlock()
	p.remember()
	g.Go(func() error { return p.watcher.Run(work) })
	p.serve(ctx, work, g, gone, lock)
	return nil
}

// forgo takes off what a former election had and nobody goes on with.
func (p *Process) forgo(routers ...vrrp.Config) {
	if err := vrrp.RemoveAssets(routers); err != nil {
		p.log.Error("take off what the former election had", "error", err)
	}
}

// read takes orders off the socket until it ends or carries something else than orders.
func (p *Process) read(ctx context.Context) {
	in := json.NewDecoder(p.conn)
	var first *message.Order
	for {
		var o message.Order
		if err := in.Decode(&o); err != nil {
			return
		}
		if o.Report {
			nudge(p.tell)
			continue
		}
		if first == nil {
			first = &o
		}
		o.Resume = first.Resume // an order that takes the place of the first one must not lose it
		replace(ctx, p.orders, o)
	}
}

// report sends the present state up after every change and when the director asks, and a sign of life else. A director
// that does not read holds up this goroutine only.
func (p *Process) report(ctx context.Context) {
	out := json.NewEncoder(p.conn)
	pause := p.beatInterval()
	beat := time.NewTicker(pause)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			_, err = io.WriteString(p.conn, message.SignOfLife)
		case <-p.tell:
			err = out.Encode(p.snapshot())
			if now := p.beatInterval(); now != pause {
				pause = now
				beat.Reset(pause)
			}
		}
		if err != nil {
			return // the reader sees that the director is gone, and acts on it
		}
	}
}

// beatInterval is that of the order that was carried out last.
func (p *Process) beatInterval() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beat
}

func (p *Process) snapshot() message.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := message.Report{Sequence: p.sequence, Routers: []vrrp.Status{}, Interfaces: []message.Interface{}, Links: make(map[string]string)}
	for name, l := range p.links {
		r.Links[name] = l.Fault()
	}
	for _, u := range p.units {
		r.Routers = append(r.Routers, u.loop.Status()...)
	}
	slices.SortFunc(r.Routers, func(a, b vrrp.Status) int { return strings.Compare(a.Name, b.Name) })
	if !p.locked {
		r.Problem = "waiting for the election of the former director to end or to hand on"
	}
	interfaces := make(map[string]message.Interface) // two places of a name follow each other when a virtual MAC address changes
	for at, h := range p.addressUnits {
		i := interfaces[at.iface]
		interfaces[at.iface] = message.Interface{
			Name: at.iface, Announce: i.Announce.Add(h.announcer.Stats()), AddressWrites: i.AddressWrites + h.keeper.Writes(),
			Trouble: cmp.Or(i.Trouble, h.keeper.Trouble()),
			Rivals:  append(i.Rivals, h.watcher.Rivals()...), Claims: i.Claims + h.watcher.Claims(),
		}
	}
	for name, u := range p.units {
		i := interfaces[name]
		i.Name, i.Stray = name, u.loop.Stray()
		interfaces[name] = i
	}
	for _, name := range slices.Sorted(maps.Keys(interfaces)) {
		r.Interfaces = append(r.Interfaces, interfaces[name])
	}
	return r
}

// serve carries out orders until it is time to leave, and leaves.
func (p *Process) serve(ctx, work context.Context, g *errgroup.Group, gone <-chan struct{}, lock *instanceLock) {
	for {
		select {
		case <-work.Done():
			return
		case <-p.wake:
			p.settle()
			continue
		case o := <-p.orders:
			if !o.Leave {
				p.obey(work, g, o)
				continue
			}
			p.log.Debug("leaving", "reason", "the director says so")
		case <-gone:
			p.log.Warn("the director process is gone: offering the addresses to the peer")
			if p.directorless(ctx, work, lock) {
				return
			}
		case <-ctx.Done():
			p.log.Debug("leaving", "reason", "signal")
		}
		p.leave(work)
		p.forget()
		return
	}
}

// leave shuts every loop down and keeps the addresses in step with them while they hand over.
func (p *Process) leave(ctx context.Context) {
	for _, u := range p.units {
		u.loop.Shutdown()
	}
	for _, u := range p.units {
		for left := false; !left; {
			select {
			case <-ctx.Done():
				return
			case <-u.left:
				left = true
			case <-p.wake:
			}
			p.settle()
		}
	}
}

// seeState takes down a loop's word. It runs on the loop's thread and does not block.
func (p *Process) seeState(s vrrp.Status) {
	p.newsMu.Lock()
	p.news[message.IDOfStatus(s)] = s
	p.newsMu.Unlock()
	nudge(p.wake)
}

// seeLink passes on what the watcher saw. It runs on the watcher's goroutine.
func (p *Process) seeLink(l vrrp.Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.links[l.Name]
	p.links[l.Name] = l
	if u := p.units[l.Name]; u != nil {
		u.loop.SetLink(l)
	}
	for at, h := range p.addressUnits {
		h.keeper.Link(l) // which knows whether it is concerned
		if at.link() == l.Name {
			h.see(before, l)
		}
	}
	nudge(p.wake)
}

// replace puts v into a channel of capacity 1, in place of what nobody has taken yet. A channel has one caller of it.
func replace[T any](ctx context.Context, c chan T, v T) {
	for {
		select {
		case c <- v:
			return
		case <-ctx.Done():
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// nudge wakes the reader of a channel of capacity 1, once for however many nudges came before it looked.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
