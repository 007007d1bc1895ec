// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
	"github.com/tandem-lvs/tandem/vrrp/speaker"
)

// A unit is the election on one interface.
type unit struct {
	loop  *speaker.Loop
	ended chan struct{}   // closed when the loop has ended
	paths map[string]bool // the other interfaces that are paths of its routers; Process.mu guards it
}

func (p *Process) newUnit(iface string) *unit {
	o := speaker.Options{Log: p.log, Notify: p.seeState, Realtime: p.options.Realtime}
	if b := p.options.Board; b != nil {
		o.Spoke = func(router string) *atomic.Int64 { return b.Slot(iface, router) }
	}
	if p.pulse.send != nil {
		o.Pulse = p.pulse.inPassing
	}
	u := &unit{loop: speaker.New(iface, o), ended: make(chan struct{})}
	u.loop.Restore(p.sequences.on(iface))
	return u
}

// startUnit runs the unit in g until ctx ends or the loop is shut down.
func (p *Process) startUnit(ctx context.Context, g *errgroup.Group, u *unit) {
	g.Go(func() error {
		defer func() {
			p.pulse.passing.Store(never)
			p.life.Reset(p.pulse.pause())
			close(u.ended)
		}()
		return u.loop.Run(ctx)
	})
}

// A lastSent is what a loop was sent last about a router, beside its configuration.
type lastSent struct {
	tracking vrrp.Tracking
	standby  bool
}

// obey replaces the running routers by those of the order.
func (p *Process) obey(ctx context.Context, g *errgroup.Group, o message.Order) {
	if level := hclog.LevelFromString(o.LogLevel); level != hclog.NoLevel {
		p.log.SetLevel(level)
	}
	p.recordAddresses(p.present(o))
	if !p.obeyed {
		p.setResumed(o)
	}
	p.order, p.obeyed = o, true
	p.forgetDebounces()
	perLink := make(map[string][]vrrp.Config)
	var configs []vrrp.Config
	watched := make(map[string]bool)
	for _, r := range o.Routers {
		p.known[message.IDOf(r.Config)] = r
		configs = append(configs, r.Config)
		perLink[r.Interface] = append(perLink[r.Interface], r.Config)
		for _, at := range address.PlacementsOf(r.Config) {
			watched[at.Interface] = true
		}
		for _, t := range r.TrackInterfaces {
			watched[t.Interface] = true
		}
		p.provideUnits(ctx, g, r.Config)
	}
	p.setPaths(o.Routers, watched)
	p.sequences.schedule(configs)
	p.groups = vrrp.NewGroups(configs)
	// A unit without routers stays: its routers hand over in their own time, and an idle loop costs nothing.
	for name, u := range p.units {
		u.loop.Configure(perLink[name])
		watched[name] = true
	}
	p.updateLoops()
	p.settle()
	// This comes last: a router starts when its link is known, and everything else must be known before that.
	p.watcher.Watch(slices.Sorted(maps.Keys(watched)))
	p.mu.Lock()
	p.sequence = o.Sequence
	p.mu.Unlock()
	p.pulse.interval.Store(int64(o.BeatInterval()))
	p.life.Reset(o.BeatInterval())
	nudge(p.tell)
}

// setPaths lets the loops know the interfaces of their routers' heartbeats, and adds them to those to watch.
func (p *Process) setPaths(routers []message.Router, watched map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.units {
		u.paths = make(map[string]bool)
	}
	for _, r := range routers {
		u := p.units[r.Interface]
		for _, path := range r.Heartbeat {
			if path.Interface == "" || u.paths[path.Interface] {
				continue
			}
			u.paths[path.Interface], watched[path.Interface] = true, true
			if l, known := p.links[path.Interface]; known {
				u.loop.SetPathLink(l)
			}
		}
	}
}

// provideUnits starts the units that a router needs and that do not run yet.
func (p *Process) provideUnits(ctx context.Context, g *errgroup.Group, c vrrp.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.units[c.Interface] == nil {
		u := p.newUnit(c.Interface)
		u.loop.Resume(p.resumedOn(c.Interface))
		p.units[c.Interface] = u
		loops := maps.Clone(*p.loops.Load())
		loops[c.Interface] = u.loop
		p.loops.Store(&loops)
		p.startUnit(ctx, g, u)
	}
	for _, at := range address.PlacementsOf(c) {
		if key := addressKeyOf(at); p.addressUnits[key] == nil {
			u := newAddressUnit(key, p.options, func() { nudge(p.tell) })
			p.addressUnits[key] = u
			u.start(ctx, g)
		}
	}
}

// setResumed decides which routers start as master: those whose master was a dead election, and those that a predecessor
// without a director has handed off.
func (p *Process) setResumed(o message.Order) {
	now := monotonicNow()
	for _, r := range o.Resume {
		if now < r.Before.Add(vrrp.Linger) {
			p.resumed[message.RouterID{Interface: r.Interface, Name: r.Name}] = r.Before
			// If its loop does not start, or starts as backup, the addresses go nevertheless.
			time.AfterFunc(time.Duration(r.Before.Add(vrrp.Linger)-now), func() { nudge(p.wake) })
		}
	}
	for _, m := range p.handed.Masters {
		same := func(r message.Router) bool {
			return message.IDOf(r.Config) == message.IDOf(m.Config) && r.VRID == m.VRID && sameResources(r.Config, m.Config)
		}
		if !slices.ContainsFunc(o.Routers, same) { // the configuration has changed meanwhile
			p.dropAddresses(m.Config)
			continue
		}
		p.resumed[message.IDOf(m.Config)] = 0
	}
	p.handed = handoffState{}
}

// resumedOn returns the routers of an interface that start as master, for Loop.Resume.
func (p *Process) resumedOn(iface string) map[string]int64 {
	before := make(map[string]int64)
	for id, m := range p.resumed {
		if id.Interface == iface {
			before[id.Name] = int64(m)
		}
	}
	return before
}

// resumes reports whether a router is to start as master and has not reported yet, or was too late for that. Its addresses stay
// until it is master, but not for longer than vrrp.Linger after its peer may have taken over.
func (p *Process) resumes(id message.RouterID) bool {
	before, is := p.resumed[id]
	return is && (before == 0 || monotonicNow() < before.Add(vrrp.Linger))
}

// updateLoops sends the loops what has changed in tracking, sync groups and standby.
func (p *Process) updateLoops() {
	p.mu.Lock()
	links := maps.Clone(p.links)
	p.mu.Unlock()
	own := make(map[string]vrrp.Tracking, len(p.order.Routers))
	states := make(map[string]vrrp.Status, len(p.order.Routers))
	for _, r := range onceInGroups(p.order.Routers) {
		own[r.Name] = r.Tracking.AddFaults(r.TrackInterfaces, func(t vrrp.TrackInterface) (vrrp.Cause, bool) {
			link, seen := links[t.Interface]
			return p.debounced(t, link, seen), seen
		})
		if s, ok := p.states[message.IDOf(r.Config)]; ok {
			states[r.Name] = s
		}
	}
	tracking, joins := p.groups.Decide(states, own)
	for _, r := range p.order.Routers {
		loop, id := p.units[r.Interface].loop, message.IDOf(r.Config)
		now, before := lastSent{tracking[r.Name], r.Standby}, p.lastSent[id]
		if now.tracking != before.tracking {
			loop.SetTracking(r.Name, now.tracking)
		}
		if now.standby != before.standby {
			loop.SetStandby(r.Name, now.standby)
		}
		p.lastSent[id] = now
	}
	for _, j := range joins {
		p.units[j.Interface].loop.Join(j.Name, j.To, j.Cause)
	}
}

// debounced returns the fault of a tracked interface that counts. If it may change without another change of the interface, the
// serving goroutine settles again at that time.
func (p *Process) debounced(t vrrp.TrackInterface, l vrrp.Link, seen bool) vrrp.Cause {
	if !seen || t.Debounce == (vrrp.Debounce{}) {
		return l.FaultCause()
	}
	key := debounceKey{t.Interface, t.Debounce}
	d := p.debounces[key]
	if d == nil {
		d = &debounce{}
		p.debounces[key] = d
	}
	now := time.Now()
	counts, due := d.Step(now, l.FaultCause(), t.Debounce)
	if !due.IsZero() && !due.Equal(d.due) {
		time.AfterFunc(due.Sub(now), func() { nudge(p.wake) })
	}
	d.due = due
	return counts
}

// A debounceKey is what a tracked interface's state depends on.
type debounceKey struct {
	iface string
	by    vrrp.Debounce
}

// A debounce is the state of a tracked interface that counts.
type debounce struct {
	vrrp.Debounced
	due time.Time // when a timer ends that was started for it; the zero time: none was
}

// forgetDebounces forgets the interfaces that no router of the order tracks. If one is tracked again, its first state counts.
func (p *Process) forgetDebounces() {
	tracked := make(map[debounceKey]bool)
	for _, r := range p.order.Routers {
		for _, t := range r.AllTrackInterfaces() {
			tracked[debounceKey{t.Interface, t.Debounce}] = true
		}
	}
	maps.DeleteFunc(p.debounces, func(key debounceKey, _ *debounce) bool { return !tracked[key] })
}

// settle passes on the effects of new reports from the loops and links: tracking results, the decisions of sync groups, and
// addresses.
func (p *Process) settle() {
	p.newsMu.Lock()
	news := p.news
	p.news = make(map[message.RouterID]vrrp.Status)
	p.newsMu.Unlock()
	for id, s := range news {
		// While the machine stood still, another master may have come and gone.
		if s.RivalHeard.After(p.states[id].RivalHeard) || s.Cause.Kind == vrrp.CauseStoodStill {
			p.announceAgain(id, s)
		}
		p.refer(id, p.states[id], s)
		p.doubtMaster(id, p.states[id], s)
		p.states[id] = s
		if message.ResumeEnds(p.resumed[id], s) {
			delete(p.resumed, id)
		}
	}
	p.updateLoops()
	p.setAddresses()
	p.awaitMasters()
	p.dropEnded()
	p.tellPredecessor()
	nudge(p.tell)
}

// dropEnded forgets the routers that are no longer ordered and have removed their addresses. A later router of the same name
// starts without their state.
func (p *Process) dropEnded() {
	ordered := make(map[message.RouterID]bool, len(p.order.Routers))
	for _, r := range p.order.Routers {
		ordered[message.IDOf(r.Config)] = true
	}
	for id := range p.known {
		if ordered[id] || p.states[id].Holding {
			continue
		}
		p.units[id.Interface].loop.SetStandby(id.Name, false)
		p.units[id.Interface].loop.SetTracking(id.Name, vrrp.Tracking{})
		delete(p.known, id)
		delete(p.states, id)
		delete(p.lastSent, id)
		delete(p.succeeded, id)
		delete(p.lastDoubt, id)
		p.mu.Lock()
		delete(p.asked, id)
		p.mu.Unlock()
	}
}

// onceInGroups completes the tracks of interfaces. It leaves the track of an interface with the same weight to one member of a sync group: the weights of a group
// are added up, and each track counts once.
func onceInGroups(routers []message.Router) []message.Router {
	type shared struct {
		group string
		track vrrp.TrackInterface
	}
	counted := make(map[shared]bool)
	routers = slices.Clone(routers)
	for i, r := range routers {
		routers[i].TrackInterfaces = r.AllTrackInterfaces()
		if r.SyncGroup == "" {
			continue
		}
		routers[i].TrackInterfaces = slices.DeleteFunc(slices.Clone(routers[i].TrackInterfaces), func(t vrrp.TrackInterface) bool {
			key := shared{r.SyncGroup, t}
			repeated := counted[key] && t.Weight != 0
			counted[key] = true
			return repeated
		})
	}
	return routers
}
