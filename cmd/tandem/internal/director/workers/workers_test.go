// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

func entry(port uint16, weight int) lvs.Entry {
	return lvs.Entry{
		Service: lvs.Service{ServiceID: lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: port}},
		Servers: []lvs.Server{{Weight: weight}},
	}
}

// show writes a change as "full 80=3 81=5 -82".
func show(t core.Table) string {
	var all []string
	if t.Full {
		all = append(all, "full")
	}
	for _, e := range t.Set {
		all = append(all, fmt.Sprintf("%d=%d", e.Port, e.Servers[0].Weight))
	}
	for _, id := range t.Remove {
		all = append(all, fmt.Sprintf("-%d", id.Port))
	}
	return strings.Join(all, " ")
}

// Changes that wait during a write are merged.
func TestTablesMerge(t *testing.T) {
	full := core.Table{Full: true, Set: []lvs.Entry{entry(80, 1), entry(81, 1)}}
	set := func(e ...lvs.Entry) core.Table { return core.Table{Generation: 7, Set: e} }
	remove := func(ports ...uint16) (t core.Table) {
		for _, p := range ports {
			t.Remove = append(t.Remove, entry(p, 0).ServiceID)
		}
		return t
	}
	for _, c := range []struct {
		waiting, next core.Table
		want          string
	}{
		{set(entry(80, 1)), set(entry(80, 2)), "80=2"},
		{set(entry(80, 1)), set(entry(81, 2)), "80=1 81=2"},
		{set(entry(80, 1), entry(81, 1)), remove(80), "81=1 -80"},
		{remove(80), set(entry(80, 1)), "80=1"},
		{remove(80), remove(81), "-80 -81"},
		{full, set(entry(81, 5)), "full 80=1 81=5"},
		{full, remove(80), "full 81=1"},
		{set(entry(82, 1)), full, "full 80=1 81=1"},
	} {
		if got := core.MergeTables(c.waiting, c.next); show(got) != c.want || got.Generation != c.next.Generation {
			t.Errorf("%s, then %s: %s, want %s", show(c.waiting), show(c.next), show(got), c.want)
		}
	}
}

// A fakeTable records its calls.
type fakeTable struct {
	mu      sync.Mutex
	errs    []error // of the next calls
	drifted bool
	calls   []string
	report  kernel.Report
}

func (f *fakeTable) call(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what)
	if len(f.errs) == 0 {
		return nil
	}
	err := f.errs[0]
	f.errs = f.errs[1:]
	return err
}

func (f *fakeTable) set(drifted bool, errs ...error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drifted, f.errs = drifted, errs
}

func (f *fakeTable) Read(context.Context) ([]lvs.Entry, error) { return nil, f.call("read") }
func (f *fakeTable) Owned() map[lvs.ServiceID]bool             { return nil }
func (f *fakeTable) Remember() error                           { return f.call("remember") }
func (f *fakeTable) ManageAll(bool)                            {}
func (f *fakeTable) NextLook() time.Duration                   { return time.Minute }

func (f *fakeTable) Reconcile(_ context.Context, want []lvs.Entry) (kernel.Report, error) {
	return f.report, f.call("reconcile " + show(core.Table{Set: want}))
}

func (f *fakeTable) Apply(_ context.Context, d lvs.Delta) (kernel.Report, error) {
	return f.report, f.call("apply " + show(core.Table{Set: d.Set, Remove: d.Remove}))
}

func (f *fakeTable) Look(context.Context) (bool, error) {
	err := f.call("look")
	f.mu.Lock()
	defer f.mu.Unlock()
	drifted := f.drifted
	f.drifted = false
	return drifted, err
}

func TestTableWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTable{}
		var done []core.TableDone
		prepared := make(chan struct{})
		w := &Table{Kernel: f, Log: hclog.NewNullLogger(), In: NewMailbox[core.Table](), Prepared: prepared, Post: func(ev core.Event) {
			if d, ok := ev.(core.TableDone); ok {
				f.mu.Lock()
				defer f.mu.Unlock()
				done = append(done, d)
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx, true) }()
		expect := func(why, calls string, problem, forgotten bool) {
			t.Helper()
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			if got := strings.Join(f.calls, ", "); got != calls {
				t.Errorf("%s: %s, want %s", why, got, calls)
			}
			if n := len(done); n > 0 && ((done[n-1].Problem != "") != problem || (done[n-1].NotRemembered != "") != forgotten) {
				t.Errorf("%s: %+v", why, done[n-1])
			}
			f.calls = nil
		}
		w.In.Put(core.Table{Generation: 1, Full: true, Set: []lvs.Entry{entry(80, 1), entry(81, 1)}})
		expect("before the settings are there", "read", false, false)
		close(prepared)
		expect("then", "reconcile 80=1 81=1", false, false)
		w.In.Put(core.Table{Generation: 2, Set: []lvs.Entry{entry(80, 3)}})
		expect("a verdict", "apply 80=3", false, false)
		f.set(false, errors.New("no memory"), errors.New("no memory"))
		w.In.Put(core.Table{Generation: 3, Remove: []lvs.ServiceID{entry(81, 0).ServiceID}})
		expect("an error", "apply -81", true, false)
		time.Sleep(retryPause)
		expect("a second later", "apply ", true, false)
		time.Sleep(retryPause)
		expect("another second later", "apply ", false, false)
		time.Sleep(time.Minute)
		expect("a minute later", "look", false, false)
		f.set(true)
		time.Sleep(time.Minute)
		expect("somebody else was there", "look, reconcile 80=3", false, false)
		f.set(false, fmt.Errorf("the list: %w", fmt.Errorf("%w: %w", kernel.ErrNotRemembered, errors.New("it hangs"))))
		w.In.Put(core.Table{Generation: 4, Set: []lvs.Entry{entry(82, 1)}})
		expect("a disk that hangs", "apply 82=1", false, true)
		time.Sleep(rememberPause)
		expect("it hangs no more", "remember, look", false, false)
		var generations []uint64
		for _, d := range done {
			generations = append(generations, d.Generation)
		}
		if want := []uint64{1, 2, 3, 3, 3, 3, 4, 4}; !slices.Equal(generations, want) {
			t.Errorf("generations %v, want %v", generations, want)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// If a write to the disk fails, it is tried again. If a write hangs, neither the sender nor the director's end waits for it.
func TestFilesWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stored []core.Stored
		var refuse atomic.Bool
		hang := make(chan struct{})
		refuse.Store(true)
		w := &Files{In: NewMailbox[Values](), Post: func(ev core.Event) { stored = append(stored, ev.(core.Stored)) },
			Store: func(f core.FileValue) error {
				if f.File == core.StandbyFile {
					<-hang
				}
				if refuse.Load() {
					return errors.New("read-only file system")
				}
				return nil
			}}
		value := func(f core.File, generation uint64) Values {
			return Values{f: {File: f, Generation: generation}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- Bounded(ctx, EndTimeout, hclog.NewNullLogger(), "a frozen disk", w.Run)
		}()
		w.In.Put(value(core.OverridesFile, 1))
		synctest.Wait()
		w.In.Merge(value(core.OverridesFile, 2), MergeValues)
		synctest.Wait()
		refuse.Store(false)
		time.Sleep(retryPause)
		synctest.Wait()
		want := []core.Stored{{File: core.OverridesFile, Generation: 1, Problem: "read-only file system"},
			{File: core.OverridesFile, Generation: 2, Problem: "read-only file system"}, {File: core.OverridesFile, Generation: 2}}
		if !slices.Equal(stored, want) {
			t.Errorf("got %+v, want %+v", stored, want)
		}
		w.In.Merge(value(core.StandbyFile, 1), MergeValues)
		synctest.Wait()
		for i := range 10 {
			w.In.Merge(value(core.OverridesFile, uint64(i)), MergeValues)
		}
		cancel()
		begin := time.Now()
		if err := <-ended; err != nil || time.Since(begin) > EndTimeout {
			t.Errorf("it ended after %s: %v", time.Since(begin), err)
		}
		close(hang)
	})
}

// TestFilesWorkerTriesAtTheEnd: the disk may have room again when the director leaves.
func TestFilesWorkerTriesAtTheEnd(t *testing.T) {
	for _, full := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var stored []core.Stored
			refuse := true
			w := &Files{In: NewMailbox[Values](), Post: func(ev core.Event) { stored = append(stored, ev.(core.Stored)) },
				Store: func(core.FileValue) error {
					if refuse {
						return errors.New("no space left on device")
					}
					return nil
				}}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			w.In.Put(Values{core.OverridesFile: {File: core.OverridesFile, Generation: 1}})
			synctest.Wait()
			refuse = full
			cancel()
			if err := <-ended; err != nil || len(stored) != 2 || (stored[1].Problem == "") == full {
				t.Errorf("%v, %+v", err, stored)
			}
		})
	}
}

// The worker tries to read the table until it succeeds. It must not report an unreadable table as empty: then all weights would
// become 0.
func TestTableWorkerReadsUntilItKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTable{}
		f.set(false, errors.New("it hangs"), errors.New("it hangs"))
		events := make(chan core.Event, 10)
		w := &Table{Kernel: f, Log: hclog.NewNullLogger(), In: NewMailbox[core.Table](), Post: func(ev core.Event) { events <- ev }}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx, true) }()
		for range 2 {
			if ev, ok := (<-events).(core.TableDone); !ok || ev.Problem != "it hangs" || ev.Generation != 0 {
				t.Errorf("got %+v", ev)
			}
		}
		if ev, ok := (<-events).(core.TableRead); !ok {
			t.Errorf("got %+v", ev)
		}
		cancel()
		<-ended
	})
}

// A refused service is tried less and less often, and logged once. All other services are written.
func TestTableWorkerAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := entry(81, 1).ServiceID
		f := &fakeTable{}
		log := &strings.Builder{}
		var done []core.TableDone
		prepared := make(chan struct{})
		close(prepared)
		w := &Table{Kernel: f, Log: hclog.New(&hclog.LoggerOptions{Output: log}), In: NewMailbox[core.Table](), Prepared: prepared, Post: func(ev core.Event) {
			if d, ok := ev.(core.TableDone); ok {
				done = append(done, d)
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx, false) }()
		f.report.Refused = map[lvs.ServiceID]kernel.Refusal{bad: {Why: errors.New("no such scheduler")}}
		f.report.Replaced = []lvs.Change{{Op: lvs.SetService, Service: entry(80, 1).Service}}
		f.set(false, errors.New("no such scheduler"))
		w.In.Put(core.Table{Generation: 1, Full: true, Set: []lvs.Entry{entry(80, 1), entry(81, 1)}})
		synctest.Wait()
		w.In.Put(core.Table{Generation: 2, Set: []lvs.Entry{entry(80, 3)}})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		tries := 0
		for _, call := range f.calls[2:] {
			if call == "apply " {
				tries++
			}
		}
		if tries < 20 || tries > 26 {
			t.Errorf("tried %d times in 10 minutes", tries)
		}
		for _, d := range done {
			if d.Problem != "no such scheduler" || d.Refused[bad].Why == "" || !slices.Equal(d.Replaced, f.report.Replaced) {
				t.Errorf("told %+v", d)
			}
		}
		if got := strings.Count(log.String(), "\n"); got != 1 {
			t.Errorf("%d lines:\n%s", got, log)
		}
		if done[len(done)-1].Generation != 2 {
			t.Errorf("the other service is at generation %d", done[len(done)-1].Generation)
		}
		cancel()
		<-ended
	})
}

// A look that is almost due happens at a beat, so that it needs no wake-up of its own. Without beats it happens only a little
// later.
func TestLooksTakePlaceAtBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTable{}
		prepared, beats := make(chan struct{}), make(chan struct{})
		close(prepared)
		w := &Table{
			Kernel: f, Log: hclog.NewNullLogger(), In: NewMailbox[core.Table](), Prepared: prepared, Post: func(core.Event) {}, Beats: beats,
		}
		go func() { _ = w.Run(t.Context(), false) }()
		w.In.Put(core.Table{Generation: 1, Full: true, Set: []lvs.Entry{entry(80, 1)}})
		synctest.Wait()
		looks := func(after time.Duration, beat bool) (n int) {
			time.Sleep(after)
			if beat {
				beats <- struct{}{}
			}
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			n, f.calls = len(f.calls), nil
			return n
		}
		pause := f.NextLook()
		looks(0, false)
		for _, step := range []struct {
			what  string
			after time.Duration
			beat  bool
			want  int
		}{
			{"a beat at once", 0, true, 0},
			{"a beat that is early", pause - 2*beatEarly, true, 0},
			{"a beat when the look is nearly due", beatEarly, true, 1},
			{"a beat a pause later", pause, true, 1},
			{"no beat a pause later", pause, false, 0},
			{"but not for long", beatLate, false, 1},
		} {
			if got := looks(step.after, step.beat); got != step.want {
				t.Errorf("%s: %d looks, want %d", step.what, got, step.want)
			}
		}
	})
}
