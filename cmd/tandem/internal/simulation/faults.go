// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A Kind is a kind of fault.
type Kind uint8

// The kinds. Faults of the network are about the wires of one director on one segment.
const (
	Loss Kind = iota + 1
	OneWay
	Delay
	Duplicates
	Partition // of the two directors only
	Cable
	KillDirector
	KillElection
	KillBoth
	StopDirector
	StopElection
	StopBoth
	Pause    // the whole machine
	PowerOff // and on again
	Restart  // by its operator: the director leaves cleanly and is started again
	ServerDown
	ServerOff
	AllServersOff
	ServerFlaps
	DiskSlow
	DiskFull
	DiskCorrupt // its files cannot be read any more
	ClockStep
	KernelRefuses
	DumpsLie
	TableFlushed
	AddressDeleted
	Drain
	Failover
	Reload
	WitnessOff
	WitnessCut // from one director
	CutOff     // from the witness and from the peer, not from clients
	FencingFails
	kinds
)

var kindNames = [...]string{"?", "loss", "one-way loss", "delay", "duplicates", "partition", "cable", "kill of the director", "kill of the election",
	"kill of both", "director stopped", "election stopped", "both stopped", "machine paused", "power off", "restart", "server down", "server off",
	"all servers off", "flapping server", "slow disk", "full disk", "corrupt disk", "clock step", "kernel refuses a service", "dumps that lie", "table flushed",
	"address deleted", "drain", "failover", "reload", "witness off", "witness cut off", "cut off from all but clients", "fencing fails"}

// String names the kind.
func (k Kind) String() string { return kindNames[k] }

// ParseKinds returns the kinds that a list names, separated by commas.
func ParseKinds(list string) (all []Kind, err error) {
	for name := range strings.SplitSeq(list, ",") {
		i := slices.Index(kindNames[:], strings.TrimSpace(name))
		if i < 1 {
			return nil, fmt.Errorf("no fault is called %q: the names are %s", name, strings.Join(kindNames[1:], ", "))
		}
		all = append(all, Kind(i))
	}
	return all, nil
}

// A Fault is a failure, or an operator's action, at a time after the warm-up.
type Fault struct {
	Kind   Kind
	At     time.Duration
	For    time.Duration // 0: it happens once
	Target int           // of the hosts or servers
	Amount float64       // 0 to 1: how bad
}

// String describes the fault in a line.
func (f Fault) String() string {
	return fmt.Sprintf("%-24s at %8.3f s for %7.3f s, target %d, amount %.2f",
		f.Kind, (warmUp + f.At).Seconds(), f.For.Seconds(), f.Target, f.Amount)
}

// NewScenario makes the scenario of a seed.
func NewScenario(seed uint64) *Scenario {
	r := rand.New(rand.NewPCG(seed, 1))
	intervals := []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, time.Second, time.Second}
	s := &Scenario{
		Seed: seed, Interval: intervals[r.IntN(len(intervals))], Group: r.IntN(3) == 0, Preempt: r.IntN(4) != 0,
		Sorry: r.IntN(2) == 0, Track: r.IntN(3) == 0, Master: r.IntN(5) == 0, Servers: 2 + r.IntN(2), Length: 40 * time.Second,
		parsed: make(map[string]*configs.Config),
	}
	if !s.Group && r.IntN(6) == 0 {
		s.Other = 1 + r.IntN(2)
	}
	s.Master = s.Master && !s.Track // the configuration refuses both
	for range 1 + r.IntN(8) {
		f := Fault{Kind: Kind(1 + r.IntN(int(Reload))), Target: r.IntN(2), Amount: r.Float64()}
		f.At = time.Duration(r.Int64N(int64(s.Length)))
		f.For = time.Duration(r.Int64N(int64(12 * time.Second)))
		if r.IntN(3) == 0 {
			f.For /= 20
		}
		s.Faults = append(s.Faults, f)
	}
	s.Paths = s.Other == 0 && r.IntN(3) == 0
	if s.Other == 0 {
		s.guard(r)
	}
	if r.IntN(4) == 0 && s.Preempt && s.Other == 0 {
		s.Synced = time.Duration(1+r.IntN(10)) * time.Second
	}
	return s
}

// inject begins a fault, and plans its end.
func (w *world) inject(f Fault) {
	h := w.hosts[f.Target]
	w.say("fault", "%s, %s for %s", f.Kind, h.name, f.For.Round(time.Millisecond))
	w.watch.faults[f.Kind]++
	switch {
	case f.Kind <= Cable:
		w.network(h, f)
	case f.Kind <= Restart:
		w.processes(h, f)
	case f.Kind <= ServerFlaps:
		w.breakServers(f)
	case f.Kind <= AddressDeleted:
		w.surroundings(h, f)
	case f.Kind <= Reload:
		w.operate(h, f)
	default:
		w.breakGuards(h, f)
	}
}

// network damages the wires of a director.
func (w *world) network(h *host, f Fault) {
	segment := outside
	if (h.serverSide == inside || w.watch.scenario.Paths) && f.Amount*10-float64(int(f.Amount*10)) < 0.5 {
		segment = inside
	}
	var others []int
	for n := range nodes {
		if n != h.node {
			others = append(others, n)
		}
	}
	peer := h.opposite().node
	d := damage{segment: segment, ways: bothWays(h.node, others...)}
	switch f.Kind {
	case Loss:
		d.is.loss = f.Amount
	case OneWay:
		d.ways, d.is.cut = [][2]int{{h.node, peer}}, true
	case Delay:
		d.is.delay = time.Duration(f.Amount * float64(50*time.Millisecond))
		d.is.jitter = time.Duration(f.Amount * float64(200*time.Millisecond))
	case Duplicates:
		d.is.twice = f.Amount
	case Partition:
		d.ways, d.is.cut = bothWays(h.node, peer), true
	case Cable:
		d.is.cut, d.off = true, h
	}
	mend := w.damaged(d)
	w.after(f.For, func() {
		w.say("fault", "%s of %s is over", f.Kind, h.name)
		mend()
	})
}

func (h *host) setCarrier(segment int, on bool) {
	if h.carrier[segment] == on {
		return
	}
	h.carrier[segment] = on
	if e := h.election(); e != nil {
		e.later(h.between(100*time.Microsecond, 2*time.Millisecond), func() { e.seeLink(segment) })
	}
}

// processes kills and stops processes.
func (w *world) processes(h *host, f Fault) {
	d, e := h.director, h.election()
	if o := h.peer; o != nil {
		switch f.Kind {
		case KillDirector, KillElection, KillBoth:
			o.dies()
		case Restart:
			o.do(o.leaves)
		case StopDirector, StopElection, StopBoth:
			o.stop()
			w.after(f.For, func() { h.resume(&o.process) })
		}
	}
	switch f.Kind {
	case KillDirector, KillBoth:
		if d != nil {
			d.dies(true)
		}
		if f.Kind == KillBoth && e != nil {
			e.director = nil
			e.dies()
		}
	case KillElection:
		if e != nil {
			e.dies()
		}
	case StopDirector, StopElection, StopBoth:
		if d != nil && f.Kind != StopElection {
			d.stop()
			w.after(f.For, func() { h.resume(&d.process) })
		}
		if e != nil && f.Kind != StopDirector {
			e.stop()
			w.after(f.For, func() { h.resume(&e.process) })
			halted := e.halted
			w.after(hungTimeout, func() {
				if d := h.director; d != nil && e.stopped && e.halted.Equal(halted) && d.runs() && d.now.Sub(d.since) > hungTimeout {
					d.killHung(e)
				}
			})
		}
	case Pause:
		h.pause()
		w.after(f.For, h.unpause)
	case PowerOff:
		h.powerOff()
		w.after(f.For, h.powerOn)
	case Restart:
		if d != nil {
			d.do(d.leaves)
		}
	}
}

// resume continues a stopped process, unless its machine is paused.
func (h *host) resume(p *process) {
	if !h.paused {
		p.goOn()
	}
}

func (h *host) pause() {
	h.paused = true
	for _, p := range h.processes() {
		p.stop()
	}
}

func (h *host) unpause() {
	if !h.paused {
		return
	}
	h.paused = false
	h.say(h.name, "goes on")
	for _, p := range h.processes() {
		p.goOn()
	}
}

func (h *host) powerOff() {
	h.powered, h.paused = false, false
	for _, p := range h.processes() {
		p.alive = false
	}
	h.director, h.elections, h.peer = nil, nil, nil
	h.kernel = newKernel(h.now)
}

func (h *host) powerOn() {
	if !h.powered {
		h.powered, h.poweredAt = true, h.now
		h.after(2*time.Second, h.start)
	}
}

// breakServers changes the behaviour of real servers.
func (w *world) breakServers(f Fault) {
	set := func(s *server, is condition) {
		if s.is != is {
			w.say("server", "%s %s", s.addr, is)
			s.is, s.since = is, w.now
		}
	}
	for i, s := range w.servers {
		if i != f.Target && f.Kind != AllServersOff {
			continue
		}
		over := w.now.Add(f.For)
		if f.Kind == ServerFlaps {
			pause := time.Duration((0.1 + f.Amount) * float64(2*time.Second))
			var flap func()
			flap = func() {
				if w.healed || !w.now.Before(over) {
					return
				}
				set(s, [...]condition{serving: refusing, refusing: serving, silent: serving}[s.is])
				w.after(w.between(pause/2, pause), flap)
			}
			flap()
			w.at(over, func() { set(s, serving) })
			continue
		}
		is := silent
		if f.Kind == ServerDown {
			is = refusing
		}
		set(s, is)
		w.at(over, func() { set(s, serving) })
	}
}

// surroundings causes faults of disk, clock and kernel.
func (w *world) surroundings(h *host, f Fault) {
	over := func(do func()) { w.after(f.For, do) }
	if !h.kernelRuns() && (f.Kind == TableFlushed || f.Kind == AddressDeleted) {
		return // no operator can do that
	}
	switch f.Kind {
	case DiskSlow:
		h.disk.slow = time.Duration(f.Amount * float64(8*time.Second))
		over(func() { h.disk.slow = 0 })
	case DiskFull:
		h.disk.trouble = [...]string{"no space left on device", "read-only file system"}[int(f.Amount*2)]
		over(func() { h.disk.trouble = "" })
	case DiskCorrupt:
		h.disk.orders, h.disk.standby, h.disk.drains, h.disk.owned, h.record = nil, nil, core.Drains{}, nil, nil
		h.recordLost = true
		clear(w.watch.remembered[h.node])
	case ClockStep:
		h.clock += time.Duration((f.Amount - 0.5) * float64(4*time.Hour))
	case KernelRefuses:
		h.kernel.refuses = true
		over(func() { h.kernel.refuses, h.kernel.wiped = false, w.now })
	case DumpsLie:
		h.kernel.lies = 1 + int(f.Amount*4)
		over(func() { h.kernel.lies = 0 })
	case TableFlushed:
		h.kernel.table = map[lvs.ServiceID]lvs.Entry{foreign.ServiceID: foreign}
		h.kernel.wiped = w.now
	case AddressDeleted:
		h.setAddress(vip, false)
		if e := h.election(); e != nil { // the kernel reports it
			e.later(h.between(50*time.Microsecond, 5*time.Millisecond), func() { e.place(nil) })
		} else if o := h.peer; o != nil {
			o.later(5*time.Millisecond, func() { h.setAddress(vip, o.master) })
		}
	}
}

// healAll ends every fault, and undoes what operators have ordered.
func (w *world) healAll() {
	w.say("fault", "all faults are over")
	w.healed, w.witnessOff = true, false
	w.damages = nil
	for _, h := range w.hosts {
		h.powerOn()
		h.unpause()
		h.disk.trouble, h.disk.slow, h.kernel.refuses, h.kernel.lies, h.fencingFails = "", 0, false, 0, false
		for _, p := range h.processes() {
			p.goOn()
		}
		w.after(3*time.Second, func() {
			h.cfg = w.watch.scenario.config(h.node, change{})
			w.reload(h)
		})
	}
	w.rewired()
	for _, s := range w.servers {
		if s.is != serving {
			s.is, s.since = serving, w.now
		}
	}
	for _, h := range w.hosts {
		w.after(6*time.Second, h.giveBack)
	}
}
