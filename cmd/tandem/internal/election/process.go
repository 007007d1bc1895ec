// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// reportInterval is how often a report goes up when nothing changed but the counters.
const reportInterval = time.Second

// A Process is the election's side of the socket: it runs a loop, an address keeper and an announcer for each
// interface, and does what the director orders. It belongs to one network namespace, that of the thread it runs on.
type Process struct {
	conn    io.ReadWriteCloser
	log     hclog.Logger
	watcher *vrrp.Watcher

	orders chan Order    // the latest that was not carried out
	wake   chan struct{} // there is news from a loop
	tell   chan struct{} // there is something to report

	// The serving goroutine's own.
	routers []Router               // as last ordered
	states  map[string]vrrp.Status // by router: the loops' latest word

	// Held for a few instructions only: the loops' threads take it, and they must not wait.
	newsMu sync.Mutex
	news   map[string]vrrp.Status // what the loops said since the last settle, the latest by router

	unitsMu sync.Mutex       // the serving goroutine alone changes units
	units   map[string]*unit // by interface
}

// NewProcess returns the election that takes its orders from conn, and closes conn when it ends.
func NewProcess(conn io.ReadWriteCloser, log hclog.Logger) *Process {
	p := &Process{
		conn:   conn,
		log:    log,
		orders: make(chan Order, 1),
		wake:   make(chan struct{}, 1),
		tell:   make(chan struct{}, 1),
		states: make(map[string]vrrp.Status),
		news:   make(map[string]vrrp.Status),
		units:  make(map[string]*unit),
	}
	p.watcher = vrrp.NewWatcher(log, p.seeLink)
	return p
}

// Run serves the director until it orders the election to leave, is gone, or ctx ends; each of them makes every
// router hand over and let go of its addresses before Run returns. The error says why the election could not run.
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
	g.Go(func() error { return p.watcher.Run(work) })
	g.Go(func() error { p.report(work); return nil })
	g.Go(func() error {
		defer stop()
		p.serve(ctx, work, g, gone)
		return nil
	})
	<-work.Done()
	_ = p.conn.Close() // frees the reader and the reporter
	err := g.Wait()
	reader.Wait()
	return err
}

// read takes orders off the socket until it ends or carries something else than orders.
func (p *Process) read(ctx context.Context) {
	in := json.NewDecoder(p.conn)
	for {
		var o Order
		if err := in.Decode(&o); err != nil {
			return
		}
		replace(ctx, p.orders, o)
	}
}

// report sends the present state up after every change and each reportInterval. A director that does not read
// holds up this goroutine only.
func (p *Process) report(ctx context.Context) {
	out := json.NewEncoder(p.conn)
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.tell:
		}
		if out.Encode(p.snapshot()) != nil {
			return // the reader sees that the director is gone, and acts on it
		}
	}
}

func (p *Process) snapshot() Report {
	p.unitsMu.Lock()
	units := maps.Clone(p.units)
	p.unitsMu.Unlock()
	r := Report{Routers: []vrrp.Status{}, Interfaces: []Interface{}}
	for _, name := range slices.Sorted(maps.Keys(units)) {
		u := units[name]
		r.Routers = append(r.Routers, u.loop.Status()...)
		r.Interfaces = append(r.Interfaces, Interface{Name: name, Announce: u.announcer.Stats(), AddressWrites: u.keeper.Writes()})
	}
	return r
}

// serve carries out orders until it is time to leave, and leaves.
func (p *Process) serve(ctx, work context.Context, g *errgroup.Group, gone <-chan struct{}) {
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
			p.log.Warn("the director process is gone: handing over")
		case <-ctx.Done():
			p.log.Debug("leaving", "reason", "signal")
		}
		p.leave(work)
		return
	}
}

// obey makes the running routers those of the order.
func (p *Process) obey(ctx context.Context, g *errgroup.Group, o Order) {
	if level := hclog.LevelFromString(o.LogLevel); level != hclog.NoLevel {
		p.log.SetLevel(level)
	}
	p.routers = o.Routers
	perLink := make(map[string][]vrrp.Config)
	for _, r := range o.Routers {
		perLink[r.Interface] = append(perLink[r.Interface], r.Config)
	}
	for name := range perLink {
		if p.units[name] == nil {
			u := newUnit(name, p.log, p.seeState)
			p.unitsMu.Lock()
			p.units[name] = u
			p.unitsMu.Unlock()
			u.start(ctx, g)
		}
	}
	// A unit whose routers are all gone stays: they hand over in their own time, and an idle loop costs nothing.
	for name, u := range p.units {
		u.loop.Configure(perLink[name])
	}
	p.watcher.Watch(slices.Sorted(maps.Keys(p.units)))
	p.settle()
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
	p.news[s.Name] = s
	p.newsMu.Unlock()
	nudge(p.wake)
}

// seeLink passes on what the watcher saw. It runs on the watcher's goroutine.
func (p *Process) seeLink(l vrrp.Link) {
	p.unitsMu.Lock()
	u := p.units[l.Name]
	p.unitsMu.Unlock()
	if u == nil {
		return
	}
	u.loop.SetLink(l)
	u.keeper.Link(l)
}

// settle brings the addresses in line with what the loops said.
func (p *Process) settle() {
	p.newsMu.Lock()
	news := p.news
	p.news = make(map[string]vrrp.Status)
	p.newsMu.Unlock()
	maps.Copy(p.states, news)
	managed := make(map[string][]netip.Prefix)
	want := make(map[string]map[netip.Prefix]garp.Config)
	for name := range p.units {
		want[name] = make(map[netip.Prefix]garp.Config)
	}
	announce := make(map[string]garp.Config, len(p.routers))
	for _, r := range p.routers {
		announce[r.Name] = r.Announce
		managed[r.Interface] = append(managed[r.Interface], r.VIPs...)
	}
	for name, s := range p.states {
		if _, configured := announce[name]; !configured && !s.Holding {
			delete(p.states, name)
			continue
		}
		managed[s.Interface] = append(managed[s.Interface], s.VIPs...)
		for _, vip := range s.VIPs {
			if s.Holding {
				want[s.Interface][vip] = announce[name]
			}
		}
	}
	for name, u := range p.units {
		u.hold(managed[name], want[name])
	}
	nudge(p.tell)
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
