// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/vrrp"
)

// What keeps a pair from having two masters: a witness, the release of an isolated master, and fencing. The witness is a node of
// the outside segment. The hook that fences switches off the other machine, and somebody switches that machine on again.

const (
	fenceTakes   = 1500 * time.Millisecond // the longest time of the hook
	fenceDelay   = 5 * time.Second         // startup_delay of directors that fence
	releaseAfter = 5 * time.Second         // witness_release
	witnessTakes = 2*time.Second + time.Second + slack
	// fenceSettles is the longest pause before a fencing hook is tried again, after the failures that the faults cause.
	fenceSettles = 35 * time.Second
)

// guard gives some pairs a witness, a release and fencing, and adds faults of these.
func (s *Scenario) guard(r *rand.Rand) {
	s.Witness, s.Fence = r.IntN(3) == 0, r.IntN(4) == 0
	s.Release = s.Witness && r.IntN(2) == 0
	if !s.Witness && !s.Fence {
		return
	}
	s.Together = s.Group && s.Witness && r.IntN(2) == 0
	for range 1 + r.IntN(4) {
		f := Fault{Kind: WitnessOff + Kind(r.IntN(int(kinds-WitnessOff))), Target: r.IntN(2), Amount: r.Float64()}
		f.At = time.Duration(r.Int64N(int64(s.Length)))
		f.For = time.Duration(r.Int64N(int64(20 * time.Second))) // an isolated master lets go after many seconds
		if f.Kind < FencingFails && !s.Witness || f.Kind == FencingFails && !s.Fence {
			continue
		}
		s.Faults = append(s.Faults, f)
	}
}

// breakGuards damages the witness, the wires to it, or the hook that fences.
func (w *world) breakGuards(h *host, f Fault) {
	over := func(do func()) {
		w.after(f.For, func() {
			w.say("fault", "%s of %s is over", f.Kind, h.name)
			do()
		})
	}
	cut := func(others ...int) (mend func()) {
		d := damage{segment: outside, is: wire{cut: true}}
		for _, n := range others {
			if f.Amount < 0.8 {
				d.ways = append(d.ways, [2]int{n, h.node})
			}
			if f.Amount > 0.2 {
				d.ways = append(d.ways, [2]int{h.node, n})
			}
		}
		return w.damaged(d)
	}
	switch f.Kind {
	case WitnessOff:
		w.witnessOff = true
		over(func() { w.witnessOff = false })
	case WitnessCut:
		over(cut(witnessNode))
	case CutOff:
		over(cut(witnessNode, h.opposite().node))
	case FencingFails:
		h.fencingFails = true
		over(func() { h.fencingFails = false })
	}
}

// fence runs hooks that must succeed before a take-over.
func (d *director) fence(runs []hooks.Run) {
	for _, r := range runs {
		if !r.Hook.Before {
			continue
		}
		took := d.between(50*time.Millisecond, fenceTakes)
		d.later(took, func() {
			result := hooks.Result{Took: took}
			switch other := d.host.opposite(); {
			case d.host.fencingFails:
				result.Problem = "the power switch does not answer"
			case other.powered:
				d.say(d.host.name, "switches off %s", other.name)
				other.powerOff()
				d.world.after(d.between(5*time.Second, 9*time.Second), other.powerOn)
			}
			d.post(core.HookEnded{ID: r.ID, Result: result})
		})
	}
}

// A guarded is what the monitor knows about the guards of a director.
type guarded struct {
	sees    since     // it reaches the witness
	blind   since     // it does not
	alone   since     // it reaches neither the witness nor the peer
	fences  since     // its hook works
	linked  since     // its election runs, and its interfaces have a carrier
	ended   time.Time // when it was last alone
	holding since     // it has an address
}

// canTakeOver reports whether neither a witness nor fencing keeps a director from taking over.
func (m *monitor) canTakeOver(w *world, i int) bool {
	g := &m.guards[i]
	if m.scenario.Witness && g.sees.since(w.now) < witnessTakes {
		return false
	}
	// startup_delay begins when a router first has its interface.
	return !m.scenario.Fence || g.fences.since(w.now) > fenceSettles && g.linked.since(w.now) > fenceDelay
}

// lookAtGuards checks that an isolated master lets go.
func (m *monitor) lookAtGuards(w *world, i int, h *host) {
	if !m.scenario.Witness && !m.scenario.Fence {
		return
	}
	g, other := &m.guards[i], h.opposite()
	reaches := func(node int, up bool) (clean, cut bool) {
		a, b := w.wires[outside][h.node][node], w.wires[outside][node][h.node]
		up = up && h.carrier[outside]
		return up && a.clean() && b.clean(), !up || a.cut || b.cut
	}
	sees, blind := reaches(witnessNode, !w.witnessOff)
	_, noPeer := reaches(other.node, other.kernelRuns() && other.carrier[outside])
	g.sees.is(sees, w.now)
	g.blind.is(blind, w.now)
	alone := g.alone.is(blind && noPeer, w.now)
	if blind && noPeer {
		g.ended = w.now
	}
	e := h.election()
	g.linked.is(e != nil && e.runs() && h.carrier[outside] && h.carrier[h.serverSide], w.now)
	g.fences.is(!h.fencingFails, w.now)
	held := g.holding.is(h.kernelRuns() && (h.kernel.addrs[outside] || h.kernel.addrs[inside]), w.now)
	if !m.scenario.Release {
		return
	}
	// It lets go after a hand-over that nobody accepts.
	bound := witnessTakes + releaseAfter + (&vrrp.Config{AdvertInterval: m.scenario.Interval}).OfferTime() + vrrp.Linger + slack
	if lasted := min(alone, held, m.watched(i, w)); lasted > bound {
		m.broke(w, "release", "%s has had an address for %s while it reached neither the witness nor the peer; the bound is %s", h.name, lasted, bound)
	}
}

// watched returns for how long the director and its election have run.
func (m *monitor) watched(i int, w *world) time.Duration {
	e := w.hosts[i].election()
	if e == nil || !w.hosts[i].takesPart() {
		return 0
	}
	return min(m.listened[i].since(w.now), w.now.Sub(e.since))
}

// sawMaster checks a router that becomes master. If it takes over from a silent master, it must reach the witness, and the peer must
// have been switched off.
func (m *monitor) sawMaster(w *world, h *host, r *router, cause vrrp.Cause) {
	i := h.node
	g, other := &m.guards[i], h.opposite()
	again := cause.Kind == vrrp.CauseResumed || cause.Kind == vrrp.CauseFaultPassed // it was master, and nobody has replaced it
	if again || !r.masterIsSilent(w.now) || m.watched(i, w) <= witnessTakes {
		return
	}
	if blind := g.blind.since(w.now); m.scenario.Witness && blind > witnessTakes {
		m.broke(w, "witness", "%s of %s takes over (%s), though it has not reached the witness for %s", r.Config.Name, h.name, cause, blind)
	}
	if m.scenario.Fence && other.powered && w.now.Sub(other.poweredAt) > fenceDelay {
		m.broke(w, "fencing", "%s of %s takes over (%s), though %s was not switched off", r.Config.Name, h.name, cause, other.name)
	}
}

// masterIsSilent reports whether nobody has been heard for a master-down interval, and who was heard last did not leave.
func (r *router) masterIsSilent(now time.Time) bool {
	down := vrrp.DownAdverts*r.Config.AdvertInterval + vrrp.Skew(r.Machine.Priority(), r.Config.AdvertInterval)
	return r.heardAt.IsZero() || r.heardPriority != vrrp.PriorityLeaving && now.Sub(r.heardAt) >= down
}

// guards names what keeps the pair from having two masters.
func (s *Scenario) guards() string {
	var all []string
	for _, g := range []struct {
		is   bool
		name string
	}{{s.Witness, "witness"}, {s.Together, "of the group"}, {s.Release, "release"}, {s.Fence, "fencing"}} {
		if g.is {
			all = append(all, g.name)
		}
	}
	return fmt.Sprint(all)
}
