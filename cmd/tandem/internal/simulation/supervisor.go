// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// The times of package supervise.
const (
	firstPause  = 20 * time.Millisecond
	maxPause    = 10 * time.Second
	settled     = 30 * time.Second
	hungTimeout = 3 * time.Second
)

// A supervisor is the director's side of its election, as package supervise has it.
type supervisor struct {
	order    message.Order
	carried  message.Order // the latest that was still the latest when it was reported as carried out
	child    *election
	starting bool
	last     message.Report
	resume   []message.Resume
	pause    time.Duration // before the next start
	began    time.Time     // when the child was started
}

// monotonic returns the machine's CLOCK_MONOTONIC.
func (w *world) monotonic(t time.Time) message.Monotonic {
	return message.Monotonic(t.Sub(epoch) + time.Hour)
}

// configure sets what the election should run.
func (d *director) configure(o message.Order) {
	o.Sequence = d.order.Sequence + 1
	d.order = o
	if d.child != nil {
		d.sendOrder()
	} else {
		d.superviseNow()
	}
}

func (d *director) sendOrder() {
	o, c := d.order, d.child
	c.orders.send(d.world, d.between(30*time.Microsecond, time.Millisecond), func() { c.do(func() { c.receive(o) }) })
}

// A stream is one direction of the socket between a director and its election. What is sent first arrives first.
type stream struct{ last time.Time }

func (s *stream) send(w *world, takes time.Duration, arrive func()) {
	at := w.now.Add(takes)
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	w.at(at, arrive)
}

// superviseNow starts an election, if there should be one.
func (d *director) superviseNow() {
	if !d.ready || d.child != nil || d.starting || d.leaving || len(d.order.Routers) == 0 {
		return
	}
	d.starting = true
	d.later(d.between(5*time.Millisecond, 80*time.Millisecond)+d.slowStart, func() {
		d.starting, d.began = false, d.now
		first := d.order
		first.Resume = d.resume
		d.child = d.host.spawn(d)
		c := d.child
		c.orders.send(d.world, d.between(time.Millisecond, 5*time.Millisecond), func() { c.do(func() { c.receive(first) }) })
	})
}

// hears takes a report of the election.
func (d *director) hears(c *election, r message.Report) {
	if c != d.child {
		return
	}
	d.last = r
	if r.Sequence > 0 {
		d.resume = nil
	}
	if r.Sequence == d.order.Sequence {
		d.carried = d.order
	}
	d.post(core.Report{Report: r})
}

// losesElection runs when the socket ends. spoke is when each router last advertised, by name.
func (d *director) losesElection(c *election, spoke map[string]message.Monotonic) {
	if c != d.child {
		return
	}
	d.child = nil
	if d.leaving {
		d.cleanUp()
		d.dies(true)
		return
	}
	if d.now.Sub(d.began) > settled {
		d.pause = 0
	}
	if d.resume == nil {
		d.resume = d.resumable(spoke)
		for _, r := range d.resume {
			d.later(time.Duration(keptUntil(r)-d.monotonic(d.now)), d.expire)
		}
	}
	d.dropExpired()
	d.say(d.host.name, "the election process died: starting it again, pause %s, resume %d", d.pause, len(d.resume))
	d.last = message.Report{Problem: "the election process died and is started again"}
	d.post(core.Report{Report: d.last})
	pause := d.pause
	d.pause = min(max(2*pause, firstPause), maxPause)
	d.later(d.between(100*time.Microsecond, 5*time.Millisecond), func() {
		d.cleanUp()
		d.later(pause, d.superviseNow)
	})
}

// resumable returns the routers that the dead election was master of.
func (d *director) resumable(spoke map[string]message.Monotonic) []message.Resume {
	if d.last.Sequence != d.carried.Sequence {
		return nil
	}
	all := []message.Resume{}
	for _, r := range d.last.Routers {
		was, is := find(d.carried, r.Name), find(d.order, r.Name)
		if was == nil || is == nil || !was.Equal(is) {
			continue
		}
		if last := spoke[r.Name]; r.State == vrrp.Master && r.Holding && !r.HandingOver && last > 0 {
			all = append(all, message.Resume{
				Interface: r.Interface, Name: r.Name, Before: last.Add(vrrp.DownAdverts * r.AdvertInterval),
			})
		}
	}
	return all
}

// find returns the configuration of a router in an order, nil if it is not there.
func find(o message.Order, name string) *vrrp.Config {
	for i := range o.Routers {
		if o.Routers[i].Name == name {
			return &o.Routers[i].Config
		}
	}
	return nil
}

// keptUntil returns when the addresses of a router that nobody has resumed must be gone.
func keptUntil(r message.Resume) message.Monotonic { return r.Before.Add(vrrp.Linger) }

// expire removes the kept addresses whose time is over.
func (d *director) expire() {
	if d.dropExpired() {
		d.say(d.host.name, "the election was not back in time: its addresses are removed")
		d.cleanUp()
	}
}

func (d *director) dropExpired() bool {
	before, now := len(d.resume), d.monotonic(d.now)
	d.resume = slices.DeleteFunc(d.resume, func(r message.Resume) bool { return keptUntil(r) <= now })
	return len(d.resume) != before
}

// cleanUp removes what a dead election may have left, except for the routers to be resumed.
func (d *director) cleanUp() {
	for _, r := range d.order.Routers {
		if slices.ContainsFunc(d.resume, func(kept message.Resume) bool { return kept.Name == r.Name }) {
			continue
		}
		for _, v := range r.VIPs {
			d.host.setAddress(v.Addr(), false)
		}
	}
}

// killHung ends an election that gives no sign of life.
func (d *director) killHung(c *election) {
	if d.child == c && c.alive {
		d.say(d.host.name, "the election process gives no sign of life: killing it")
		c.dies()
	}
}
