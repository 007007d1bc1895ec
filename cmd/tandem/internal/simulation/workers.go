// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

const (
	retryPause = time.Second     // of the workers
	lookPause  = 2 * time.Second // between two looks at the kernel's table
)

// A tableWorker updates the kernel's table. As kernel.Table does, it reads the table at the start and from time to time, and writes
// a change of the director without reading.
type tableWorker struct {
	want    map[lvs.ServiceID]lvs.Entry
	known   map[lvs.ServiceID]lvs.Entry // what the kernel has of that, as far as it knows; nil: it must read
	waiting *core.Table
	busy    bool
	failed  bool
	newest  uint64
}

// put replaces the waiting change, or merges the two.
func (t *tableWorker) put(next core.Table) {
	if t.waiting != nil {
		next = core.MergeTables(*t.waiting, next)
	}
	t.waiting = &next
}

func (d *director) readTable() {
	entries, err := d.host.kernel.dump(d.world)
	if err != nil {
		d.say(d.host.name, "failed to read the IPVS table: %v", err)
		d.post(core.TableDone{Problem: err.Error()})
		if !d.ready {
			d.ready = true
			d.superviseNow()
		}
		d.later(retryPause, d.readTable)
		return
	}
	d.post(core.TableRead{Entries: entries, Owned: maps.Clone(d.host.disk.owned)})
}

// writeTable writes the waiting change, unless it is writing already.
func (d *director) writeTable() {
	t := &d.table
	if t.busy || t.waiting == nil {
		return
	}
	next := *t.waiting
	t.waiting, t.busy = nil, true
	d.later(d.between(200*time.Microsecond, 20*time.Millisecond), func() {
		t.newest = next.Generation
		if t.want == nil || next.Full {
			t.want = make(map[lvs.ServiceID]lvs.Entry)
		}
		for _, id := range next.Remove {
			delete(t.want, id)
		}
		for _, e := range next.Set {
			t.want[e.ServiceID] = e
		}
		if next.Full {
			t.known = nil
		}
		d.reconcile(next.Remove)
	})
}

// reconcile makes the kernel's table as it is wanted. It reads the table unless it knows what the kernel has.
func (d *director) reconcile(removed []lvs.ServiceID) {
	t, k, owned := &d.table, &d.host.kernel, d.host.disk.owned
	t.busy = false
	done := core.TableDone{Generation: t.newest}
	want := make([]lvs.Entry, 0, len(t.want))
	now := maps.Clone(owned)
	if now == nil {
		now = make(map[lvs.ServiceID]bool)
	}
	for _, id := range slices.SortedFunc(maps.Keys(t.want), lvs.ServiceID.Compare) {
		want = append(want, t.want[id])
		now[id] = true
	}
	if !maps.Equal(owned, now) {
		if d.host.disk.trouble == "" {
			d.host.disk.owned = now
		} else {
			done.NotRemembered = d.host.disk.trouble
		}
	}
	for _, id := range removed {
		now[id] = true
	}
	var errs []error
	have, err := slices.Collect(maps.Values(t.known)), error(nil)
	if t.known == nil {
		have, err = k.dump(d.world)
	}
	if err != nil {
		errs = append(errs, err)
	} else {
		for _, c := range lvs.Diff(have, want, now) {
			err := k.change(c)
			if err != nil {
				done.Refused = map[lvs.ServiceID]core.Refusal{www: {Why: err.Error(), Has: k.table[www].Servers}}
			} else {
				d.say(d.host.name, "IPVS: %s", c)
				d.watch.activity(d.world, "a change of the IPVS table")
			}
			errs = append(errs, err)
		}
	}
	t.known = maps.Clone(t.want)
	if err := errors.Join(errs...); err != nil {
		done.Problem, t.known = err.Error(), nil
	}
	t.failed = done.Problem != ""
	d.post(done)
	if !d.ready {
		d.ready = true
		d.superviseNow()
	}
	d.writeTable()
}

// lookAgain repairs what somebody else has changed, and tries again what failed.
func (d *director) lookAgain() {
	wait := lookPause
	if d.table.failed {
		wait = retryPause
	}
	d.later(wait, func() {
		t := &d.table
		if t.want != nil && !t.busy && (t.failed || d.drifted()) {
			t.known = nil
			d.reconcile(nil)
		}
		d.lookAgain()
	})
}

// drifted looks at the kernel's table, and reports whether it is not as wanted, or cannot be read.
func (d *director) drifted() bool {
	have, err := d.host.kernel.dump(d.world)
	return err != nil || !isInLine(have, d.table.want)
}

// inLine reports whether the kernel has what is wanted.
func (d *director) inLine() bool {
	return isInLine(slices.Collect(maps.Values(d.host.kernel.table)), d.table.want)
}

func isInLine(have []lvs.Entry, want map[lvs.ServiceID]lvs.Entry) bool {
	return len(lvs.Diff(have, slices.Collect(maps.Values(want)), nil)) == 0
}

func (d *director) lookAtConnections() {
	d.later(time.Second, func() {
		if !d.watched {
			return
		}
		var rows []lvs.Row
		for _, id := range slices.SortedFunc(maps.Keys(d.host.kernel.table), lvs.ServiceID.Compare) {
			row := lvs.Row{Service: d.host.kernel.table[id].Service}
			for _, s := range d.host.kernel.table[id].Servers {
				row.Servers = append(row.Servers, lvs.ServerRow{Server: s, Active: d.rand.IntN(2)})
			}
			rows = append(rows, row)
		}
		d.post(core.Connections{Rows: rows})
		d.lookAtConnections()
	})
}

// A filesWorker writes files, the latest value of each.
type filesWorker struct {
	waiting map[core.File]core.FileValue
	busy    bool
}

func (d *director) store(values []core.FileValue) {
	if d.files.waiting == nil {
		d.files.waiting = make(map[core.File]core.FileValue)
	}
	for _, f := range values {
		d.files.waiting[f.File] = f
	}
	if len(d.files.waiting) == 0 || d.files.busy {
		return
	}
	batch := d.files.waiting
	d.files.waiting, d.files.busy = nil, true
	slow := d.host.disk.slow
	d.later(d.between(slow/2, slow)+d.between(100*time.Microsecond, 5*time.Millisecond), func() {
		d.files.busy = false
		failed := false
		for _, f := range slices.Sorted(maps.Keys(batch)) {
			done := core.Stored{File: f, Generation: batch[f].Generation}
			if err := d.host.disk.store(batch[f]); err != nil {
				done.Problem, failed = err.Error(), true
				if d.files.waiting == nil {
					d.files.waiting = make(map[core.File]core.FileValue)
				}
				if _, newer := d.files.waiting[f]; !newer {
					d.files.waiting[f] = batch[f]
				}
			}
			d.post(done)
		}
		if failed {
			d.files.busy = true
			d.later(retryPause, func() { d.files.busy = false; d.store(nil) })
			return
		}
		d.store(nil)
	})
}

// A check probes one target.
type check struct {
	target   healthcheck.Target
	state    healthcheck.State
	schedule healthcheck.Schedule
	repeated bool
	gone     bool
	planned  uint64 // the number of the next probe; one that was planned before it is void
}

// setChecks takes on targets as the runner of the checks does.
func (d *director) setChecks(c core.Checks) {
	all := make(map[string]*check, len(c.Targets))
	for _, t := range c.Targets {
		old := d.checks[t.ID]
		if old != nil && old.target.Addr == t.Addr && reflect.DeepEqual(old.target.Config, t.Config) {
			all[t.ID] = old
			delete(d.checks, t.ID)
			continue
		}
		n := &check{target: t, state: healthcheck.NewState(d.time())}
		n.schedule.First(d.time(), &n.target.Config, d.rand)
		all[t.ID] = n
		d.planProbe(n)
	}
	for _, old := range d.checks {
		old.gone = true
	}
	d.checks = all
	statuses := make(map[string]healthcheck.TargetStatus, len(all))
	for id, n := range all {
		statuses[id] = n.state.Status
	}
	d.post(core.Statuses{Sequence: c.Sequence, All: statuses})
}

func (d *director) planProbe(c *check) {
	c.planned++
	number := c.planned
	d.later(max(0, c.schedule.Due.Sub(d.time())), func() {
		if c.planned == number {
			d.probe(c)
		}
	})
}

// probe asks a real server, as a TCP check does.
func (d *director) probe(c *check) {
	h, started := d.host, d.now
	if c.gone {
		return
	}
	config := &c.target.Config
	if a := config.Address; a.IsValid() {
		d.ping(c, a, started)
		return
	}
	took, r := config.Timeout, healthcheck.FailSilently(healthcheck.TimedOut, "timeout while connecting")
	for _, s := range d.servers {
		there := s.addr == c.target.Addr.Addr() && h.carrier[h.serverSide] &&
			d.passes(h.serverSide, h.node, s.node) && d.passes(h.serverSide, s.node, h.node)
		if there && s.is != silent {
			way, back := d.wires[h.serverSide][h.node][s.node], d.wires[h.serverSide][s.node][h.node]
			took = d.between(time.Millisecond, 5*time.Millisecond) + way.delay + back.delay
			if r = healthcheck.Pass("connected"); s.is == refusing {
				r = healthcheck.Fail(healthcheck.Refused, "connection refused")
			}
			if took > config.Timeout {
				took, r = config.Timeout, healthcheck.FailSilently(healthcheck.TimedOut, "timeout while connecting")
			}
		}
	}
	d.later(took, func() { d.conclude(c, r, started) })
}

// hurry makes the next probes of targets start at once.
func (d *director) hurry(ids []string) {
	for _, id := range ids {
		if c := d.checks[id]; c != nil && c.schedule.Due.After(d.time()) {
			c.schedule.Due = d.time()
			d.planProbe(c)
		}
	}
}

// ping asks a witness, or the other director.
func (d *director) ping(c *check, addr netip.Addr, started time.Time) {
	h, to, up := d.host, witnessNode, !d.witnessOff
	if other := h.opposite(); addr == other.addrs[outside] {
		to, up = other.node, other.kernelRuns() && other.carrier[outside]
	}
	took, r := c.target.Config.Timeout, healthcheck.FailSilently(healthcheck.TimedOut, "timeout while waiting for the echo reply")
	if up && h.carrier[outside] && d.passes(outside, h.node, to) && d.passes(outside, to, h.node) {
		took, r = d.between(200*time.Microsecond, 2*time.Millisecond), healthcheck.Pass("echo reply")
	}
	d.later(took, func() { d.conclude(c, r, started) })
}

// stall expires the verdicts that are too old after a standstill.
func (d *director) stall(lasted time.Duration) {
	for _, id := range slices.Sorted(maps.Keys(d.checks)) {
		if c := d.checks[id]; c.state.Stall(&c.target.Config, lasted, d.time()).Verdict {
			d.post(core.Verdict{ID: id, Status: c.state.Status})
		}
	}
}

// conclude takes in a result. One of a time in which the director stood still is repeated once.
func (d *director) conclude(c *check, r healthcheck.Result, started time.Time) {
	if c.gone {
		return
	}
	stoodStill := d.halted.After(started)
	if c.repeated = r.Outcome == healthcheck.Failed && !c.repeated && stoodStill; c.repeated {
		c.schedule.Due = d.time()
		d.planProbe(c)
		return
	}
	change := c.state.Record(&c.target.Config, r, started.Add(d.base), d.time())
	if change.Verdict {
		if c.state.Status.Health != change.Before.Health {
			d.say(d.host.name, "%s is %s: %s", c.target.ID, c.state.Status.Health, c.state.Status.Reason)
		}
		d.post(core.Verdict{ID: c.target.ID, Status: c.state.Status})
	}
	c.schedule.Next(started.Add(d.base), d.time(), c.state.Pause(&c.target.Config), &c.target.Config, d.rand)
	d.planProbe(c)
}
