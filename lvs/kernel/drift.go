// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// Looks for drift use at most 1 % of a core, with a table of any size. One look stops when it has used its budget. The pause
// after it depends on the time that it took.
const (
	// textBudget is the processor time that one look may take for the table as text.
	textBudget = 5 * time.Millisecond
	// textPause is the pause after such a look, as a multiple of its processor time.
	textPause = 450
	// minPause is the shortest pause between two looks.
	minPause = time.Second
	// A table of up to smallTable lines of text, for services and servers, is looked at every minPause, lookLines at a
	// time, or more, so that a round takes at most roundLooks looks. The clock has no part in this: an overloaded machine,
	// where all takes long, must not stretch the round.
	smallTable, lookLines, roundLooks = 11_000, 80, 28
	// detailBudget is the time that one look may take for what the text does not show, which is read service by service.
	detailBudget = 3 * time.Millisecond
	// detailBatch is how many services are read between two readings of the clock.
	detailBatch = 4
	// detailPause is the pause until the next details, as a multiple of the time that the last ones took.
	detailPause = 1200
	// idlePause is the pause while there is nothing to look at.
	idlePause = 30 * time.Second
	// detailInterval is the shortest time from the start of one round of details to that of the next.
	detailInterval = 20 * time.Second
	// smallDetails is how many services are read in one round whatever that takes: a batch with each look. As with the text, the
	// clock has no part in this.
	smallDetails = 32
)

// A sweep reads the table as text, page by page.
type sweep interface {
	// next calls each for the services of the next page. There are no more pages when it returns false.
	next(each func(*lvs.Row)) (more bool, err error)
	close()
}

// looks is the state of the looks for drift. A round looks at every service once.
type looks struct {
	round     uint64
	sweep     sweep // nil: the next look begins a round
	matched   int   // wanted services that this round has seen
	ambiguous []lvs.Row

	found      []lvs.Change        // differences of this round
	falseDrift map[lvs.Change]bool // differences that the last pass did not find
	details    []lvs.ServiceID     // to be read in this round of details
	detailed   time.Time           // when it began
	detailsDue time.Time           // when the next of them may be read
	cost       time.Duration       // of the last look at the text
}

// restart begins a new round with the next look: services have come or gone.
func (l *looks) restart() {
	if l.sweep != nil {
		l.sweep.close()
	}
	l.sweep, l.found, l.matched, l.ambiguous = nil, nil, 0, l.ambiguous[:0]
}

// afterPass handles the result of a pass over the whole table. A difference that the look has found but the pass has not is
// no drift.
func (l *looks) afterPass(clean bool) {
	l.falseDrift = nil
	if clean && len(l.found) > 0 {
		l.falseDrift = make(map[lvs.Change]bool, len(l.found))
		for _, c := range l.found {
			l.falseDrift[c] = true
		}
	}
	l.restart()
}

// Look takes the next slice of a look at the kernel's table, and reports whether Reconcile would find something to do. It reads
// the table as text: presence, scheduler, method, weight. Details that the text does not show (see lvs.Row) are read from the
// kernel service by service, more slowly. The text may lack rows (see textSweep): a difference that the last pass did not
// find does not count until it changes.
func (t *Table) Look(ctx context.Context) (drifted bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle() {
		t.looks.cost = 0
		return false, nil
	}
	if !t.known {
		return true, nil
	}
	if drifted, err = t.lookAndMeasure(); drifted || err != nil {
		return drifted, err
	}
	return t.lookAtDetails(ctx)
}

// lookAndMeasure looks at the text, and stores the time that this took.
func (t *Table) lookAndMeasure() (drifted bool, err error) {
	// The thread's processor time is that of this look only while the goroutine stays on the thread. If a locked goroutine
	// waits, this costs two more wake-ups of threads. Looks at details wait, so they are not locked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadTime()
	defer func() { t.looks.cost = threadTime() - began }()
	return t.lookAtText(began)
}

// NextLook returns the pause until the next Look.
func (t *Table) NextLook() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle() {
		return idlePause
	}
	if t.lines <= smallTable {
		return minPause
	}
	return max(minPause, textPause*t.looks.cost)
}

// idle reports whether there is nothing to look at: no service is wanted, and no service is ours.
func (t *Table) idle() bool { return len(t.want) == 0 && t.own.Len() == 0 && !t.all.Load() }

// lookAtText looks at the next pages of the text.
func (t *Table) lookAtText(began time.Duration) (drifted bool, err error) {
	l := &t.looks
	if l.sweep == nil {
		l.round++
		l.sweep = t.kernel.sweep()
	}
	lines := 0
	compare := func(r *lvs.Row) {
		lines += 1 + len(r.Servers)
		drifted = t.compareRow(r) || drifted
	}
	for more := true; more; {
		if more, err = l.sweep.next(compare); err != nil {
			l.restart()
			return false, fmt.Errorf("failed to look at IPVS table: %w", err)
		}
		switch {
		case drifted:
			return true, nil
		case more && t.lines <= smallTable && lines >= max(lookLines, t.lines/roundLooks):
			return false, nil
		case more && t.lines > smallTable && threadTime()-began >= textBudget:
			return false, nil
		}
	}
	return t.endRound(), nil
}

// compareRow compares a row of the text with the wanted table. It is true if there is a difference that may be drift.
func (t *Table) compareRow(r *lvs.Row) bool {
	l := &t.looks
	if r.FWMark != 0 && r.Family == 0 {
		l.ambiguous = append(l.ambiguous, lvs.Row{Service: r.Service})
		return false
	}
	w := t.want[r.ServiceID]
	if t.unsure[r.ServiceID] {
		if w != nil && w.seen != l.round {
			w.seen = l.round
			l.matched++
		}
		return false // that it is not as wanted is known
	}
	switch {
	case w != nil:
		if w.seen != l.round {
			w.seen = l.round
			l.matched++
		}
		if w.shownAs(r) {
			return false
		}
	case !t.all.Load() && !t.own.Has(r.ServiceID):
		return false // somebody else's
	}
	have := lvs.Entry{Service: r.Service}
	for _, s := range r.Servers {
		have.Servers = append(have.Servers, s.Server)
	}
	var want []lvs.Entry
	if w != nil {
		want = []lvs.Entry{shown(w.Entry)}
	}
	return t.differs(lvs.Diff([]lvs.Entry{have}, want, map[lvs.ServiceID]bool{r.ServiceID: true}))
}

// differs records the differences. It is true if one of them may be drift.
func (t *Table) differs(changes []lvs.Change) bool {
	t.looks.found = append(t.looks.found, changes...)
	return slices.ContainsFunc(changes, func(c lvs.Change) bool { return !t.looks.falseDrift[c] })
}

// endRound compares the result of the whole round.
func (t *Table) endRound() (drifted bool) {
	l := &t.looks
	// A firewall-mark service without servers does not show its family. It counts as one that is wanted or ours and was not
	// seen otherwise.
	for _, r := range l.ambiguous {
		for _, f := range []lvs.Family{lvs.IPv4, lvs.IPv6} {
			id := lvs.ServiceID{FWMark: r.FWMark, Family: f}
			if w := t.want[id]; w != nil && w.seen != l.round || w == nil && t.own.Has(id) {
				r.Family = f
				break
			}
		}
		if r.Family != 0 {
			t.compareRow(&r)
		}
	}
	if l.matched < len(t.want) {
		var missing []lvs.Entry
		for _, w := range t.want {
			if w.seen != l.round && !t.unsure[w.ServiceID] {
				missing = append(missing, shown(w.Entry))
			}
		}
		t.differs(lvs.Diff(nil, missing, nil))
	}
	drifted = len(l.found) > 0 && !l.disproved()
	if !drifted {
		l.restart()
	}
	return drifted
}

// disproved reports whether the differences of the round are exactly those that the last pass did not find.
func (l *looks) disproved() bool {
	return len(l.found) == len(l.falseDrift) &&
		!slices.ContainsFunc(l.found, func(c lvs.Change) bool { return !l.falseDrift[c] })
}

// lookAtDetails reads the next services in full.
func (t *Table) lookAtDetails(ctx context.Context) (drifted bool, err error) {
	l, now := &t.looks, t.now()
	if now.Before(l.detailsDue) {
		return false, nil
	}
	if len(l.details) == 0 && now.Sub(l.detailed) >= detailInterval {
		l.detailed = now
		for id := range t.want {
			if !t.unsure[id] {
				l.details = append(l.details, id)
			}
		}
	}
	var spent time.Duration
	defer func() {
		if len(t.want) > smallDetails {
			l.detailsDue = now.Add(detailPause * spent)
		}
	}()
	for len(l.details) > 0 && spent < detailBudget {
		batch := l.details[:min(detailBatch, len(l.details))]
		l.details = l.details[len(batch):]
		began := time.Now()
		have, err := t.kernel.ReadServices(ctx, batch)
		if err != nil {
			return false, err
		}
		var want []lvs.Entry
		for _, id := range batch {
			if w := t.want[id]; w != nil {
				want = append(want, w.Entry)
			}
		}
		spent += time.Since(began)
		if len(lvs.Diff(have, want, nil)) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// shownAs reports whether the text shows the service as r does.
func (w *wantedService) shownAs(r *lvs.Row) bool {
	if w.Scheduler != r.Scheduler || w.Flags&shownFlags(w.ServiceID) != r.Flags || len(w.Servers) != len(r.Servers) {
		return false
	}
	for i := range r.Servers {
		s := &r.Servers[i]
		at, found := slices.BinarySearchFunc(w.Servers, s.ServerID, func(a lvs.Server, id lvs.ServerID) int { return a.Compare(id) })
		if !found || w.Servers[at].Method != s.Method || w.Servers[at].Weight != s.Weight {
			return false
		}
	}
	return true
}

// shown returns the part of an entry that the text shows.
func shown(e lvs.Entry) lvs.Entry {
	out := lvs.Entry{Service: lvs.Service{
		ServiceID: e.ServiceID, Scheduler: e.Scheduler, Flags: e.Flags & shownFlags(e.ServiceID),
	}}
	for _, s := range e.Servers {
		out.Servers = append(out.Servers, lvs.Server{ServerID: s.ServerID, Method: s.Method, Weight: s.Weight})
	}
	return out
}

// shownFlags returns the flags that the text shows.
func shownFlags(id lvs.ServiceID) lvs.Flags {
	if id.FWMark == 0 && id.Addr.Is6() {
		return lvs.Persistent
	}
	return lvs.Persistent | lvs.OnePacket
}

// threadTime returns the processor time that the calling thread has used.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
