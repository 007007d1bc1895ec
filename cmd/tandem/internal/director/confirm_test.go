// SPDX-License-Identifier: Apache-2.0

package director

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
)

// TestConfirm: an apply that nobody confirms is rolled back, also if the director is killed and started again meanwhile.
func TestConfirm(t *testing.T) {
	w := newWorkshop(t)
	w.start()
	done := w.apply(110, time.Hour)
	if done.Waits == nil || done.Waits.Former != 1 || time.Until(done.Waits.Until) < 50*time.Minute {
		t.Fatalf("applied %+v", done)
	}
	w.has("while it waits", 110, 100)
	w.kill()
	w.start()
	w.has("after a restart", 110, 100)
	waits := w.Status().Config.Waits
	if waits == nil || waits.Until.Sub(done.Waits.Until).Abs() > 10*time.Second {
		t.Errorf("after a restart it waits %+v, and before %+v", waits, done.Waits)
	}
	if p, err := w.Plan(control.PlanRequest{}); err != nil || !strings.Contains(strings.Join(p.Warnings, "\n"), "waits for confirmation until") {
		t.Errorf("a plan says %q, %v", p.Warnings, err)
	}
	w.edit(120)
	if _, err := w.Reload(""); err == nil || !strings.Contains(err.Error(), "revision 2 waits for confirmation until") {
		t.Errorf("a reload meanwhile: %v", err)
	}
	p, err := w.Plan(control.PlanRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply("", control.ApplyRequest{Plan: p.ID}); err == nil || !strings.Contains(err.Error(), "run tandem confirm or tandem rollback first") {
		t.Errorf("a second apply: %v", err)
	}
	if done, err := w.Confirm(""); err != nil || done.Waits != nil || done.Revision != 2 {
		t.Errorf("confirmed %+v, %v", done, err)
	}
	if _, err := w.Confirm(""); err == nil || !strings.Contains(err.Error(), "revision 2 was confirmed at") {
		t.Errorf("confirmed twice: %v", err)
	}
	// What was edited meanwhile counts now.
	if done, err := w.Reload(""); err != nil || done.Revision != 3 {
		t.Errorf("reloaded %+v, %v", done, err)
	}
	w.has("after the confirmation and a reload", 120, 120)

	// Nobody confirms the next one.
	w.edit(130)
	w.applyOwn(time.Second)
	w.awaitPriority(120)
	w.has("after the time", 120, 130)
	if _, err := w.Confirm(""); err == nil || !strings.Contains(err.Error(), "was rolled back at") {
		t.Errorf("confirmed too late: %v", err)
	}
	if done, err := w.Reload(""); err != nil || len(done.Lines) != 0 {
		t.Errorf("a reload after it: %+v, %v", done, err)
	}
	w.kill()
	w.start()
	w.has("after the time and a restart", 120, 130)
}

// awaitPriority waits for a priority.
func (w *workshop) awaitPriority(want uint8) {
	w.t.Helper()
	for limit := time.After(20 * time.Second); ; {
		if s := w.Status(); len(s.VRRP) == 1 && s.VRRP[0].Priority == want {
			return
		}
		select {
		case <-w.orders:
		case <-time.After(50 * time.Millisecond):
		case <-limit:
			w.t.Fatalf("the priority does not become %d; log:\n%s", want, w.log)
		}
	}
}

// TestConfirmOverAStop: the time is over while no director runs, or the machine is restarted.
func TestConfirmOverAStop(t *testing.T) {
	for _, tt := range []struct {
		why    string
		change func(*revision.Waiting)
		cause  string
	}{
		{"the time is over", func(w *revision.Waiting) { w.End.Clock = 1 }, "nobody confirmed it until"},
		{"another boot", func(w *revision.Waiting) { w.End.ID = "another" }, "the machine was restarted"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			w := newWorkshop(t)
			w.start()
			w.edit(110)
			w.applyOwn(time.Hour)
			w.kill()
			f, err := loaded[revision.State](filepath.Join(w.state, "revisions.json"))
			if err != nil || f.Value.Waiting == nil {
				t.Fatalf("%+v, %v", f.Value, err)
			}
			tt.change(f.Value.Waiting)
			if err := f.Store(f.Value); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.has("after it", 100, 110)
			events, err := w.History(control.HistoryQuery{})
			told := false
			for _, ev := range events {
				told = told || strings.Contains(ev.What, "rolled back from revision 2 to revision 1") && strings.Contains(ev.Cause, tt.cause)
			}
			if err != nil || !told {
				t.Errorf("the history has %+v, %v", events, err)
			}
			w.kill()
			w.start()
			w.has("after another restart", 100, 110)
		})
	}
}

// TestWaitTime: a time that is rounded to none is refused. The other director may not apply without one.
func TestWaitTime(t *testing.T) {
	for seconds, good := range map[float64]bool{0: true, 1: true, 86400: true, 1e-10: false, 0.5: false, -1: false, 86401: false, 1e300: false} {
		if wait, err := waitTime(seconds); (err == nil) != good || good && wait != time.Duration(seconds)*time.Second {
			t.Errorf("%v s: %s, %v", seconds, wait, err)
		}
	}
}
