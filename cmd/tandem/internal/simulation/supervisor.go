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
	startTime   = 100 * time.Millisecond
	hungTimeout = 3 * time.Second
)

// A supervisor is the director's side of its election, as package supervise has it.
type supervisor struct {
	order    message.Order
	child    *election
	starting bool
	carried  bool // the child has carried out an order
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
	d.world.after(d.between(30*time.Microsecond, time.Millisecond), func() { c.do(func() { c.receive(o) }) })
}

// superviseNow starts an election, if there should be one.
func (d *director) superviseNow() {
	if !d.ready || d.child != nil || d.starting || d.leaving || len(d.order.Routers) == 0 {
		return
	}
	d.starting = true
	d.later(d.between(5*time.Millisecond, 80*time.Millisecond), func() {
		d.starting, d.carried, d.began = false, false, d.now
		first := d.order
		first.Resume = d.resume
		d.child = d.host.spawn(d)
		c := d.child
		d.world.after(d.between(time.Millisecond, 5*time.Millisecond), func() { c.do(func() { c.receive(first) }) })
	})
	if len(d.resume) > 0 {
		last := slices.MaxFunc(d.resume, func(a, b message.Resume) int { return int(a.Before - b.Before) })
		d.later(time.Duration(last.Before-d.monotonic(d.now)), func() {
			if !d.carried && d.resume != nil {
				d.say(d.host.name, "the election was not back in time: its addresses are removed")
				d.resume = nil
				d.cleanUp()
			}
		})
	}
}

// hears takes a report of the election.
func (d *director) hears(c *election, r message.Report) {
	if c != d.child {
		return
	}
	d.last = r
	if r.Sequence > 0 {
		d.carried, d.resume = true, nil
	}
	d.post(core.Report{Report: r})
}

// losesElection runs when the socket ends. sure is the last sign of life that came no later than one beat after the one
// before.
func (d *director) losesElection(c *election, sure time.Time) {
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
		d.resume = d.resumable(sure)
	}
	soonest := d.monotonic(d.now.Add(d.pause + startTime))
	d.resume = slices.DeleteFunc(d.resume, func(r message.Resume) bool { return r.Before < soonest })
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
func (d *director) resumable(sure time.Time) (all []message.Resume) {
	if d.last.Sequence != d.order.Sequence {
		return nil
	}
	for _, r := range d.last.Routers {
		if r.State == vrrp.Master && r.Holding {
			all = append(all, message.Resume{
				Interface: r.Interface, Name: r.Name, Before: d.monotonic(sure).Add(2 * r.AdvertInterval),
			})
		}
	}
	return all
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
