// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
)

// A director is the process that has the state. It models the director's loop: one step handles all waiting events.
type director struct {
	process
	host  *host
	state *core.State
	base  time.Duration // the wall clock at the start

	begun    bool // it listens
	inbox    []core.Event
	due      bool // a turn is planned
	tick     time.Time
	question int  // how many were put to the neighbours
	segments int  // how many times the segments to ask about have changed
	ready    bool // the table was written for the first time
	leaving  bool
	cfg      *configs.Config // the configuration in force

	request core.Request
	asked   map[core.Request]question

	table   tableWorker
	files   filesWorker
	checks  map[string]*check
	watched bool // the connections of draining servers are counted

	supervisor
}

// A question is a request of an operator.
type question struct {
	what string
	at   time.Time
	then func(core.Reply)
}

// start starts the director's process, as systemd does.
func (h *host) start() {
	if h.other {
		h.startOther()
	}
	if !h.powered || h.director != nil || h.other {
		return
	}
	if h.paused {
		h.after(100*time.Millisecond, h.start)
		return
	}
	d := &director{
		process: process{world: h.world, alive: true, since: h.now}, host: h, state: core.New(), base: h.clock,
		asked: make(map[core.Request]question), checks: make(map[string]*check),
	}
	d.woken = d.stall
	h.director = d
	h.say(h.name, "director starts")
	d.table.want = nil
	d.later(h.between(20*time.Millisecond, 200*time.Millisecond), func() {
		d.begun = true
		d.post(core.Start{Config: h.cfg, Overrides: h.disk.orders, Standby: h.disk.standby, Drains: h.disk.drains})
		d.later(h.between(time.Millisecond, 20*time.Millisecond), d.readTable)
		d.lookAgain()
	})
}

// time returns the wall clock as the process sees it.
func (d *director) time() time.Time { return d.now.Add(d.base) }

// post passes an event to the loop.
func (d *director) post(ev core.Event) {
	d.inbox = append(d.inbox, ev)
	if !d.due {
		d.due = true
		d.later(d.between(10*time.Microsecond, time.Millisecond), d.turn)
	}
}

// turn handles all waiting events.
func (d *director) turn() {
	d.due = false
	events := d.inbox
	d.inbox = nil
	out := d.state.Step(d.time(), events...)
	d.watch.rests(d.world, d.host.name, d.time(), out.Next)
	for _, l := range out.Lines {
		d.say(d.host.name, "%s %s", l.Message, pairs(l.Pairs))
	}
	if out.Config != nil {
		d.cfg = out.Config
	}
	if out.Table != nil {
		d.table.put(*out.Table)
		d.writeTable()
	}
	if out.Checks != nil {
		checks := *out.Checks
		d.later(d.between(50*time.Microsecond, 2*time.Millisecond), func() { d.setChecks(checks) })
	}
	if out.Hurry != nil {
		d.hurry(out.Hurry)
	}
	if out.Election != nil {
		d.configure(*out.Election)
	}
	if out.Question != nil {
		d.question++
		d.askNeighbours(*out.Question, d.question)
	}
	if out.Segments != nil {
		d.segments++
		d.askSegments(out.Segments, d.segments, nil)
	}
	d.fence(out.Hooks)
	d.store(out.Files)
	if out.Draining != d.watched {
		if d.watched = out.Draining; d.watched {
			d.lookAtConnections()
		}
	}
	for _, r := range out.Replies {
		d.answer(r)
	}
	if d.tick = out.Next; !out.Next.IsZero() {
		at := out.Next
		d.later(max(0, at.Sub(d.time())), func() {
			if d.tick.Equal(at) {
				d.tick = time.Time{}
				d.post(core.Tick{})
			}
		})
	}
}

// pairs writes keys and values as a log does.
func pairs(all []any) string {
	var words []string
	for i := 0; i+1 < len(all); i += 2 {
		words = append(words, fmt.Sprintf("%v=%v", all[i], all[i+1]))
	}
	return strings.Join(words, " ")
}

// ask posts an operator's request and waits for the answer.
func (d *director) ask(what string, event func(core.Request) core.Event, then func(core.Reply)) {
	d.say("operator", "%s: %s", d.host.name, what)
	if !d.begun {
		d.say("operator", "%s does not listen yet", d.host.name)
		return
	}
	d.request++
	d.asked[d.request] = question{what, d.now, then}
	d.post(event(d.request))
}

func (d *director) answer(r core.Reply) {
	q, ok := d.asked[r.Request]
	if !ok {
		d.watch.broke(d.world, "answers", "request %d was answered twice", r.Request)
		return
	}
	delete(d.asked, r.Request)
	answer := "done"
	if r.Err != nil {
		answer = r.Err.Error()
	}
	if r.NotRemembered != "" {
		answer += ", not remembered: " + r.NotRemembered
	}
	d.say("operator", "%s answers %q: %s", d.host.name, q.what, answer)
	if q.then != nil {
		q.then(r)
	}
}

// dies ends the process without warning. systemd starts it again.
func (d *director) dies(restart bool) {
	d.say(d.host.name, "director is gone")
	d.alive = false
	h := d.host
	h.director = nil
	if c := d.child; c != nil {
		c.later(d.between(20*time.Microsecond, 500*time.Microsecond), c.losesDirector)
	}
	if restart {
		d.world.after(restartPause, h.start)
	}
}

// restartPause is RestartSec of the unit.
const restartPause = time.Second

// leaves is a clean stop: the election hands over first.
func (d *director) leaves() {
	if d.leaving {
		return
	}
	d.say(d.host.name, "director is told to stop")
	d.leaving = true
	if c := d.child; c != nil {
		c.later(d.between(20*time.Microsecond, 500*time.Microsecond), c.leave)
		return
	}
	d.dies(true)
}
