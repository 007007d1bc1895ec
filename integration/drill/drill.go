// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// A drill is the inner run.
type drill struct {
	options options
	kind    report.Kind
	making  sync.Mutex

	mu     sync.Mutex
	sites  map[siteKey]*site
	broken map[siteKey]int // how often a site could not be made
}

type siteKey struct {
	subject string
	network network
}

func newDrill(o options, kind report.Kind) *drill {
	return &drill{options: o, kind: kind, sites: map[siteKey]*site{}, broken: map[siteKey]int{}}
}

// attempts is how often a row is tried while the machine itself stands still in it.
const attempts = 3

// run runs the rows, a network after the other, and emits what they give.
func (d *drill) run(rows []row) {
	m := report.ThisMachine()
	report.Emit(message{Machine: &m})
	for _, n := range []network{duo, pair, pools} {
		for i, r := range rows {
			if r.on != n || n.kind() != d.kind {
				continue
			}
			began := time.Now()
			o := d.outcome(r)
			o.Order, o.Place, o.Seconds = i, m.Place, time.Since(began).Seconds()
			report.Emit(message{Row: &o})
			fmt.Fprintln(os.Stderr, o)
		}
		// The other networks do not need its processor time.
		d.closeAll()
	}
}

func (d *drill) closeAll() {
	for key, s := range d.sites {
		s.attempt.Close()
		delete(d.sites, key)
	}
}

// outcome runs a row with all subjects that can be asked.
func (d *drill) outcome(r row) outcome {
	o := outcome{Group: r.group, Name: r.name, Bound: r.bound.String(), Why: r.bound.why, NoPeer: r.peer, Note: r.note}
	if r.vm && lab.Place() != "vm" {
		o.Skipped = "it needs a kernel of its own: TANDEM_LAB=vm"
		return o
	}
	var both sync.WaitGroup
	ask := func(s subject, to **figure) {
		f := d.figure(r, s)
		*to = &f
	}
	both.Go(func() { ask(tandem, &o.Tandem) })
	if !r.beside && !r.shared {
		both.Wait()
	}
	if r.peer == "" {
		both.Go(func() { ask(keepalived, &o.Keepalived) })
	}
	both.Wait()
	o.Verdict = r.bound.judge(*o.Tandem)
	return o
}

// figure runs a row with one subject, and again while the machine disturbs it.
func (d *drill) figure(r row, s subject) (f figure) {
	for range attempts {
		f = d.attempt(r, s)
		// A fault of the whole machine happens once, for all.
		if r.bound.judge(f) != undecided || r.shared {
			break
		}
	}
	return f
}

// attempt runs a row once, puts the site back, and makes it anew where that is not possible.
func (d *drill) attempt(r row, subject subject) (f figure) {
	s, reason := d.site(siteKey{subject.name, r.on}, subject)
	if reason != "" {
		return figure{Error: "the site was not ready: " + reason}
	}
	began, whole := time.Now(), s.WatchStalls()
	if reason := s.attempt.Do(func() {
		// On a busy machine the roles may have changed since the last row, and the fault would hit the backup.
		s.await(putBackLimit, "all is well before the fault", s.ready)
		if r.before != nil {
			r.before(s)
		}
		measure := r.measure
		if measure == nil {
			measure = outage(r.over)
		}
		var stalls *lab.StallWatch
		f = measure(s, func(s *site) {
			stalls = s.WatchStalls()
			r.fault(s)
		})
		f.Stall = max(f.Stall, stalls.Stop())
		if r.cuts && f.Outage == 0 {
			s.attempt.Fatalf("clients missed nothing: the fault has met the backup")
		}
	}); reason != "" {
		f.Error, f.Stall = reason, whole.Stop()
	}
	whole.Stop()
	reason = s.attempt.Do(func() {
		if r.restore != nil {
			r.restore(s)
		}
		if err := s.putBack(); err != nil {
			s.attempt.Fatalf("%v", err)
		}
	})
	if reason == "" {
		d.explain(r, s, f, began)
		return f
	}
	f.NotBack = reason
	d.explain(r, s, f, began)
	d.mu.Lock()
	delete(d.sites, siteKey{subject.name, r.on})
	d.mu.Unlock()
	s.attempt.Close()
	return f
}

// explain prints what was written in a row that a subject failed.
func (d *drill) explain(r row, s *site, f figure, since time.Time) {
	if d.options.verbose && r.bound.judge(f) != pass {
		fmt.Fprintf(os.Stderr, "%s, %s: %s %s %s %s\n%s", r, s.subject.name, f, f.Note, f.Error, f.NotBack,
			s.Written(since.Add(-time.Second)))
	}
}

// site returns a subject's site, and the reason if it is not ready.
func (d *drill) site(key siteKey, subject subject) (*site, string) {
	d.mu.Lock()
	s, ok := d.sites[key]
	broken := d.broken[key]
	d.mu.Unlock()
	switch {
	case ok:
		return s, ""
	case broken == attempts:
		return nil, "it could not be made three times"
	}
	// Loop devices are for the whole kernel: two sites cannot look for a free one at the same time.
	d.making.Lock()
	s, reason := newSite(subject, key.network)
	d.making.Unlock()
	if reason != "" {
		if d.options.verbose {
			fmt.Fprintln(os.Stderr, s.Written(time.Time{}))
		}
		s.attempt.Close()
		d.mu.Lock()
		d.broken[key]++
		d.mu.Unlock()
		return nil, reason
	}
	d.mu.Lock()
	d.sites[key] = s
	d.mu.Unlock()
	return s, ""
}
