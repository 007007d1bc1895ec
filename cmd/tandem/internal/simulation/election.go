// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// An election is the election process of a director. It models the packages election and speaker.
type election struct {
	process
	host     *host
	director *director // nil: it is gone
	orders   stream    // from the director
	reports  stream    // to the director

	order    message.Order
	obeyed   bool
	routers  []*router // by name
	groups   *vrrp.Groups
	resumed  map[string]message.Monotonic // see message.Resume; 0: no limit
	handed   []message.Router             // by a predecessor
	waiting  *message.Order               // for the lock
	links    [segments]*vrrp.Link
	inbox    []datagram
	settling bool
	ending   bool
	orphan   *orphan

	givenUp      map[string]bool // routers whose addresses neighbours may still know here
	newlyGivenUp []string
	referred     map[string]time.Time

	announced map[netip.Addr]bool
	schedule  *garp.Schedule
	rivals    [segments]*garp.RivalTracker
	referrals [segments]*garp.Referrals
	leaving   [segments]garp.HandOvers
	wake      time.Time
	rivalsDue [segments]time.Time
}

// A router is one virtual router with the state of its loop.
type router struct {
	*vrrp.Router
	segment  int
	announce garp.Config
	tracking vrrp.Tracking
	standby  bool
	leaving  bool
	resume   bool
	before   message.Monotonic // see message.Resume; 0: no limit
	spoke    message.Monotonic // its last advertisement as master, or notMaster; see package board
	status   vrrp.Status
	settled  vrrp.Status // as at the last settle
	changes  uint64
	heard    uint64 // of changes, at the last settle
	masters  uint64 // how often it became master
	rival    time.Time
	due      time.Time
	// heardAt and heardPriority are of the last advertisement that has arrived.
	heardAt       time.Time
	heardPriority uint8
	diagnosis     time.Time // when to advance the diagnosis
	heir          heir
}

// An heir is the master to which a router hands over its addresses, while it still has them.
type heir struct {
	successor netip.Addr // the zero Addr: there is none
	heard     time.Time
}

// notMaster is the value of router.spoke for a router that is not master, or has offered its place.
const notMaster = -1

// spawn starts an election process. One at a time has the lock.
func (h *host) spawn(d *director) *election {
	e := &election{
		process: process{world: h.world, alive: true, since: h.now}, host: h, director: d,
		groups: vrrp.NewGroups(nil), resumed: make(map[string]message.Monotonic), givenUp: make(map[string]bool), referred: make(map[string]time.Time),
		announced: make(map[netip.Addr]bool), schedule: garp.NewSchedule(),
	}
	for i := range e.rivals {
		e.rivals[i], e.referrals[i] = garp.NewRivalTracker(), garp.NewReferrals()
	}
	e.woken = func(time.Duration) { e.turn() } // what has arrived meanwhile is in the socket
	h.elections = append(h.elections, e)
	if e != h.elections[0] {
		h.say(h.name, "election waits for its predecessor")
		e.askPredecessor()
	}
	return e
}

// dies ends the process. The addresses stay.
func (e *election) dies() {
	if !e.alive {
		return
	}
	e.say(e.host.name, "election is gone")
	e.alive = false
	h := e.host
	h.elections = slices.DeleteFunc(h.elections, func(o *election) bool { return o == e })
	if len(h.elections) > 0 {
		next := h.elections[0]
		next.later(h.between(0, 10*time.Millisecond), next.getsLock)
	}
	if d := e.director; d != nil {
		spoke := make(map[string]message.Monotonic)
		for _, r := range e.routers {
			spoke[r.Config.Name] = r.spoke
		}
		d.later(e.between(time.Millisecond, 30*time.Millisecond), func() { d.losesElection(e, spoke) })
	}
}

// receive handles an order. Before the process has the lock, the latest order waits, with the routers that the first one
// resumes.
func (e *election) receive(o message.Order) {
	if e.director == nil || e.ending {
		return
	}
	if e.waiting != nil {
		o.Resume = e.waiting.Resume
	}
	if e != e.host.elections[0] {
		e.waiting = &o
		return
	}
	e.obey(o)
}

func (e *election) getsLock() {
	if o := e.waiting; o != nil && len(e.host.elections) > 0 && e.host.elections[0] == e && !e.obeyed {
		e.waiting = nil
		e.obey(*o)
	}
}

// obey replaces the running routers by those of the order.
func (e *election) obey(o message.Order) {
	if !e.obeyed {
		e.setResumed(o)
	}
	first := !e.obeyed
	if first { // the records have all that a killed election may have had, and what one that left gave up
		if e.host.recordLost {
			for _, r := range o.Routers {
				e.host.record = append(e.host.record, r.Name)
			}
			e.host.recordLost = false
		}
		for _, name := range e.host.record {
			e.givenUp[name] = true
		}
		e.newlyGivenUp = e.host.record
	}
	e.host.record = nil
	for _, r := range o.Routers {
		e.host.record = append(e.host.record, r.Name)
	}
	e.order, e.obeyed = o, true
	e.configure()
	e.settle()
	if first {
		e.later(e.between(500*time.Microsecond, 5*time.Millisecond), func() {
			for i := range e.links {
				e.seeLink(i)
			}
		})
	}
	e.report()
}

// setResumed decides which routers start as master.
func (e *election) setResumed(o message.Order) {
	for _, r := range o.Resume {
		if e.monotonic(e.now) < keptUntil(r) {
			e.resumed[r.Name] = r.Before
			e.later(time.Duration(keptUntil(r)-e.monotonic(e.now)), e.settleSoon)
		}
	}
	for _, m := range e.handed {
		if slices.ContainsFunc(o.Routers, func(r message.Router) bool { return r.Name == m.Name && slices.Equal(r.VIPs, m.VIPs) }) {
			e.resumed[m.Name] = 0
		}
	}
	e.handed = nil
}

// configure adds, changes and removes routers.
func (e *election) configure() {
	for _, r := range slices.Clone(e.routers) {
		i := slices.IndexFunc(e.order.Routers, func(o message.Router) bool { return o.Name == r.Config.Name })
		switch {
		case i < 0:
			e.leaveRouter(r, vrrp.CauseRemoved)
		case !r.Config.Equal(&e.order.Routers[i].Config):
			c := e.order.Routers[i].Config
			r.SetConfig(c)
			e.step(r, vrrp.Event{Kind: vrrp.EventConfig, Config: &c})
		}
	}
	var configs []vrrp.Config
	for _, o := range e.order.Routers {
		configs = append(configs, o.Config)
		if slices.ContainsFunc(e.routers, func(r *router) bool { return r.Config.Name == o.Name }) {
			continue
		}
		r := &router{Router: vrrp.NewRouter(o.Config), segment: segmentOf(o.Interface), announce: o.Announce}
		r.before, r.resume = e.resumed[o.Name]
		e.routers = append(e.routers, r)
		e.tell(r)
		e.setPathSources(r)
		if l := e.links[r.segment]; l != nil {
			e.assess(r)
		}
	}
	slices.SortFunc(e.routers, func(a, b *router) int { return strings.Compare(a.Config.Name, b.Config.Name) })
	e.groups = vrrp.NewGroups(configs)
}

func (e *election) leaveRouter(r *router, why vrrp.CauseKind) {
	if !r.leaving {
		r.leaving = true
		e.step(r, vrrp.Event{Kind: vrrp.EventStop, Cause: &vrrp.Cause{Kind: why}})
	}
}

// leave makes all routers hand over. Then the process ends.
func (e *election) leave() {
	if e.ending {
		return
	}
	e.ending = true
	for _, r := range e.routers {
		e.leaveRouter(r, vrrp.CauseShutdown)
	}
	e.settle()
}

// step passes an event to a machine and carries out its actions.
func (e *election) step(r *router, ev vrrp.Event) {
	for _, a := range r.Machine.Step(e.now, ev) {
		name := r.Config.Name
		switch a.Kind {
		case vrrp.ActionAdvertise:
			e.advertise(r, a.Priority)
		case vrrp.ActionTransition:
			if a.To == vrrp.Master {
				r.masters++
				e.watch.sawMaster(e.world, e.host, r, a.Cause)
			} else {
				r.spoke = notMaster
			}
			e.watch.activity(e.world, "a transition of "+name)
			e.say(e.host.name, "%s is %s, was %s: %s", name, a.To, a.From, a.Cause)
		case vrrp.ActionRemark:
			e.say(e.host.name, "%s stays %s: %s", name, a.To, a.Cause)
		case vrrp.ActionRelease:
			e.say(e.host.name, "%s gives up its addresses: %s", name, a.Cause)
		}
	}
	if due := r.Machine.Deadline(); !due.Equal(r.due) {
		if r.due = due; !due.IsZero() {
			e.later(max(0, due.Sub(e.now))+e.between(0, 600*time.Microsecond), e.turn)
		}
	}
	e.tell(r)
}

// advertise sends a real advertisement to the other director.
func (e *election) advertise(r *router, priority uint8) {
	if r.spoke = e.monotonic(e.now); priority == vrrp.PriorityLeaving {
		r.spoke = notMaster
	}
	r.Packet.Priority = priority
	r.Sign(e.now)
	for path := range len(r.Config.Heartbeat) + 1 {
		h := vrrp.Header{Source: r.Machine.PathSource(path), Destination: vrrp.Group4, TTL: vrrp.TTL}
		if segment := segmentOf(r.Config.PathName(path)); e.host.carrier[segment] && h.Source.IsValid() {
			e.host.sendDatagram(datagram{h, r.Packet.AppendTo(nil, h.Source, h.Destination), segment})
		}
	}
}

// turn is one turn of the loop: the timers that are due, then the packets that have arrived. After a stall, the packets come
// first if they may make a deadline void.
func (e *election) turn() {
	for _, r := range e.routers {
		late := e.now.Sub(r.due)
		if r.due.IsZero() || late < 0 {
			continue
		}
		advertises := r.Machine.State() == vrrp.Master && !r.Machine.HandingOver() && !r.Machine.Listening()
		if !advertises || late > r.Config.AdvertInterval {
			e.drain()
		}
		if !r.due.IsZero() && !e.now.Before(r.due) {
			e.step(r, vrrp.Event{Kind: vrrp.EventTimer})
		}
	}
	e.drain()
}

func (e *election) drain() {
	all := e.inbox
	e.inbox = nil
	var p vrrp.Packet
	for _, d := range all {
		for _, r := range e.routers {
			path, ok := r.Config.PathOf([...]string{"eth0", "eth1"}[d.segment], d.header)
			if !ok || r.Config.VRID != d.message[1] {
				continue
			}
			d.header.Path = uint8(path)
			if drop := r.Examine(e.now, d.header, d.message, &p); drop != 0 {
				e.say(e.host.name, "drops an advertisement: %s", drop)
				continue
			}
			r.heardAt, r.heardPriority = e.now, p.Priority
			was := r.Machine.State()
			e.step(r, vrrp.Event{Kind: vrrp.EventAdvert, Path: d.header.Path, Source: d.header.Source, Priority: p.Priority, Interval: p.Interval})
			both := was == vrrp.Master && r.Machine.State() == vrrp.Master
			if changed, _ := r.DiagnoseAdvert(e.now, d.header, &p, both); changed {
				e.tell(r)
				e.advanceDiagnosis(r)
			}
		}
	}
}

// advanceDiagnosis reports another master whose last advertisement the router has not reported yet.
func (e *election) advanceDiagnosis(r *router) {
	if due := r.DiagnosisDue(); !due.IsZero() && !due.Equal(r.diagnosis) {
		r.diagnosis = due
		e.later(max(0, due.Sub(e.now)), func() {
			if r.AdvanceDiagnosis(e.now) {
				e.tell(r)
			}
			e.advanceDiagnosis(r)
		})
	}
}
