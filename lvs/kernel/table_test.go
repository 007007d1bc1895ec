// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// A looking is a fake kernel. Its text has the same rows as its read, or lacks some.
type looking struct {
	*IPVS
	omit  int  // rows that the look leaves out at its end
	blind bool // the look shows only what the kernel's text shows
	looks int
}

func (l *looking) sweep() sweep { return &fakeSweep{l, -1, nil} }

// A fakeSweep shows two rows a page.
type fakeSweep struct {
	kernel *looking
	at     int // -1: nothing was read yet
	rows   []lvs.Row
}

func (s *fakeSweep) close() {}

func (s *fakeSweep) next(each func(*lvs.Row)) (more bool, err error) {
	if s.at < 0 {
		s.at = 0
		if s.rows, err = s.kernel.text(context.Background()); err != nil {
			return false, err
		}
	}
	for ; s.at < len(s.rows) && (!more || s.at%2 != 0); s.at++ {
		each(&s.rows[s.at])
		more = true
	}
	return s.at < len(s.rows), nil
}

// text returns the rows of the text.
func (l *looking) text(ctx context.Context) ([]lvs.Row, error) {
	l.looks++
	entries, err := l.Read(ctx)
	var rows []lvs.Row
	for _, e := range entries {
		if l.blind {
			e = asText(e)
		}
		if e.FWMark != 0 && len(e.Servers) == 0 {
			e.Family = 0
		}
		r := lvs.Row{Service: e.Service}
		for _, s := range e.Servers {
			r.Servers = append(r.Servers, lvs.ServerRow{Server: s, Active: 1})
		}
		rows = append(rows, r)
	}
	return rows[:len(rows)-l.omit], err
}

// asText returns the part of an entry that /proc/net/ip_vs shows.
func asText(e lvs.Entry) lvs.Entry {
	e.Flags &= lvs.Persistent | lvs.OnePacket
	if e.Addr.Is6() {
		e.Flags &^= lvs.OnePacket
	}
	e.Timeout, e.Prefix, e.Engine = 0, 0, ""
	e.Servers = slices.Clone(e.Servers)
	for i, s := range e.Servers {
		e.Servers[i] = server(s.ServerID.String(), s.Method, s.Weight)
	}
	return e
}

type bench struct {
	*Table
	kernel *looking
	fake   *fakeKernel
	own    *Ownership
	store  *fakeStore[Owned]
	log    *bytes.Buffer
}

func newBench(t *testing.T) *bench {
	k, f := newFake(t)
	b := &bench{kernel: &looking{IPVS: k}, fake: f, store: new(fakeStore[Owned])}
	b.log = new(bytes.Buffer)
	b.own = mustOpen(t, b.store)
	b.Table = NewTable(b.kernel, b.own, hclog.New(&hclog.LoggerOptions{Output: b.log, DisableTime: true}))
	return b
}

// pass reconciles once, and checks the number of changes and repairs.
func (b *bench) pass(t *testing.T, want []lvs.Entry, changes, drift int) {
	t.Helper()
	b.log.Reset()
	report, err := b.Reconcile(t.Context(), want)
	if err != nil || len(report.Changes) != changes || report.Done != changes || report.Drift != drift {
		t.Errorf("%d changes, %d done, %d drift, %v; want %d, of them %d drift",
			len(report.Changes), report.Done, report.Drift, err, changes, drift)
	}
	if got := strings.Count(b.log.String(), "[WARN]"); got != min(drift, maxLogged) || len(report.Repairs) != got {
		t.Errorf("%d warnings and %d repairs are named, want %d:\n%s", got, len(report.Repairs), drift, b.log)
	}
}

// drifted looks at the text once, and checks whether the look finds drift.
func (b *bench) drifted(t *testing.T, expected bool) {
	t.Helper()
	if got, err := glance(b.Table); got != expected || err != nil {
		t.Errorf("drifted %v, %v, want %v", got, err, expected)
	}
}

func TestReconcileSettles(t *testing.T) {
	b := newBench(t)
	b.pass(t, wanted(), 12, 0)
	b.drifted(t, false)
	writes, stored := b.kernel.Writes(), b.store.writes
	b.pass(t, wanted(), 0, 0)
	if b.log.Len() != 0 {
		t.Errorf("a pass without changes logs %s", b.log)
	}
	if b.kernel.Writes() != writes {
		t.Errorf("a pass without changes wrote %d times", b.kernel.Writes()-writes)
	}
	if b.store.writes != stored {
		t.Error("a pass without changes wrote the ownership file")
	}
	if got, want := b.Counters(), (Counters{Reconciles: 2, Changes: 12}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
}

func TestReconcileRepairsAndSaysSo(t *testing.T) {
	b := newBench(t)
	want := []lvs.Entry{entry(www, "rr", server("192.0.2.11:80", lvs.DR, 1), server("192.0.2.12:80", lvs.DR, 1))}
	b.pass(t, want, 3, 0)

	b.fake.services[0].servers[0].Weight = 7
	b.drifted(t, true)
	b.pass(t, want, 1, 1)
	if !strings.Contains(b.log.String(), "set weight of 192.0.2.11:80 in tcp 192.0.2.100:80: 7 → 1") {
		t.Errorf("log:\n%s", b.log)
	}

	b.fake.services = nil // ipvsadm -C
	b.drifted(t, true)
	b.pass(t, want, 3, 3)

	// A pass distinguishes a change of the wanted table from a change by another program.
	b.fake.services[0].servers[0].Weight = 7
	want[0].Servers[1].Weight = 0
	b.pass(t, want, 2, 1)
	if got, want := b.Counters(), (Counters{Reconciles: 4, Changes: 9, Repairs: 5}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
}

func TestReconcileLogsSoMuchAndNoMore(t *testing.T) {
	b := newBench(t)
	b.pass(t, bigTable(100, 2), 300, 0)
	if got := strings.Count(b.log.String(), "\n"); got != maxLogged+1 || !strings.Contains(b.log.String(), "count=280") {
		t.Errorf("%d lines:\n%s", got, b.log)
	}
}

// replaced makes a pass or a delta, and checks what of another program it replaces.
func (b *bench) replaced(t *testing.T, name string, pass []lvs.Entry, d lvs.Delta, want string) {
	t.Helper()
	report, err := b.Apply(t.Context(), d)
	if pass != nil {
		report, err = b.Reconcile(t.Context(), pass)
	}
	var got []string
	for _, c := range report.Replaced {
		got = append(got, c.String())
	}
	if err != nil || strings.Join(got, "; ") != want {
		t.Errorf("%s replaces %q, %v; want %q", name, got, err, want)
	}
}

func TestReconcileOwnsWhatItWants(t *testing.T) {
	b := newBench(t)
	fill(t, b.kernel.IPVS, []lvs.Entry{entry(www, "rr"), entry(dns, "rr"), entry("tcp 192.0.2.200:80", "rr")})

	// Services of another program that are wanted as they are become ours. The third one does not.
	b.pass(t, []lvs.Entry{entry(www, "rr"), entry(dns, "rr")}, 0, 0)
	if got, want := b.own.Set(), ids(www, dns); !maps.Equal(got, want) {
		t.Errorf("own %v, want %v", got, want)
	}

	// What of another program is replaced is reported once, also if the change is a delta.
	b.pass(t, []lvs.Entry{entry(www, "rr"), entry(dns, "rr")}, 0, 0)
	fill(t, b.kernel.IPVS, []lvs.Entry{entry("tcp 192.0.2.201:80", "wlc"), entry("tcp 192.0.2.202:80", "wlc")})
	set := []lvs.Entry{entry(www, "rr"), entry(dns, "rr"), entry("tcp 192.0.2.201:80", "rr")}
	b.replaced(t, "a pass", set, lvs.Delta{}, "set scheduler of tcp 192.0.2.201:80: wlc → rr")
	b.replaced(t, "the same pass", set, lvs.Delta{}, "")
	b.replaced(t, "a delta", nil, lvs.Delta{Set: []lvs.Entry{entry("tcp 192.0.2.202:80", "rr")}}, "set scheduler of tcp 192.0.2.202:80: wlc → rr")
	b.replaced(t, "the same delta", nil, lvs.Delta{Set: []lvs.Entry{entry("tcp 192.0.2.202:80", "rr")}}, "")
	b.pass(t, []lvs.Entry{entry(www, "rr"), entry(dns, "rr")}, 2, 0)

	// A service is removed from the configuration while no daemon runs. The next daemon deletes it, and then forgets it.
	b.own = mustOpen(t, b.store)
	b.Table = NewTable(b.kernel, b.own, hclog.NewNullLogger())
	b.drifted(t, true)
	b.pass(t, []lvs.Entry{entry(www, "rr")}, 1, 0)
	if got, want := mustOpen(t, b.store).Set(), ids(www); !maps.Equal(got, want) {
		t.Errorf("own %v, want %v", got, want)
	}

	if report, err := b.Remove(t.Context()); err != nil || report.Done != 1 {
		t.Errorf("remove: %+v, %v", report, err)
	}
	if got, want := have(t, b.kernel.IPVS), "[tcp 192.0.2.200:80 (rr) []]"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	if got := mustOpen(t, b.store).Set(); len(got) != 0 {
		t.Errorf("still own %v", got)
	}
	b.fake.fail["dial"] = ErrAbsent
	if _, err := b.Remove(t.Context()); err != nil {
		t.Errorf("nothing to remove: %v", err)
	}
}

// A dying is a kernel that ends the process in the middle of a pass. The next process sees the result.
type dying struct{ *looking }

var errDied = errors.New("died")

func (d dying) Apply(context.Context, []lvs.Change) (int, error) { return 0, errDied }

func TestReconcileRemembersBeforeItAdds(t *testing.T) {
	b := newBench(t)
	table := NewTable(dying{b.kernel}, b.own, hclog.NewNullLogger())
	if _, err := table.Reconcile(t.Context(), []lvs.Entry{entry(www, "rr")}); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	if got, want := mustOpen(t, b.store).Set(), ids(www); !maps.Equal(got, want) {
		t.Errorf("remembered %v, want %v", got, want)
	}
	// A service is forgotten only after it has been deleted.
	if _, err := table.Reconcile(t.Context(), nil); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	if got, want := mustOpen(t, b.store).Set(), ids(www); !maps.Equal(got, want) {
		t.Errorf("remembered %v, want %v", got, want)
	}
}

func TestReconcileServesWithoutAStateDirectory(t *testing.T) {
	b := newBench(t)
	own := mustOpen(t, b.store)
	b.store.err = errFull
	table := NewTable(b.kernel, own, hclog.NewNullLogger())
	report, err := table.Reconcile(t.Context(), wanted())
	if !errors.Is(err, errFull) || !errors.Is(err, ErrNotRemembered) || report.Done != 12 {
		t.Errorf("%d changes made, error %v", report.Done, err)
	}
}

func TestReconcileAfterFailures(t *testing.T) {
	b := newBench(t)
	want := []lvs.Entry{entry(www, "rr", server("192.0.2.11:80", lvs.DR, 1))}
	b.fake.fail["list"] = unix.ENOBUFS
	if _, err := b.Reconcile(t.Context(), want); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("failed read: %v", err)
	}
	clear(b.fake.fail)
	b.fake.fail["new-server"] = unix.ENOMEM
	for pass, logged := range []int{2, 0, 0} { // a change that is tried again is not logged again
		b.log.Reset()
		report, err := b.Reconcile(t.Context(), want)
		if !errors.Is(err, unix.ENOMEM) || report.Drift != 0 {
			t.Errorf("pass %d: %+v, %v", pass, report, err)
		}
		if got := strings.Count(b.log.String(), "\n"); got != logged {
			t.Errorf("pass %d: %d lines, want %d:\n%s", pass, got, logged, b.log)
		}
	}
	clear(b.fake.fail)
	b.pass(t, want, 1, 0)
	if got, want := b.Counters(), (Counters{Reconciles: 5, Changes: 2, Errors: 4}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
}

// A losing is a kernel that makes the changes, but loses a given number of its answers.
type losing struct {
	*looking
	times int
}

func (l *losing) Apply(ctx context.Context, changes []lvs.Change) (int, error) {
	done, err := l.looking.Apply(ctx, changes)
	if l.times--; l.times >= 0 {
		return 0, fmt.Errorf("receive: %w", unix.ENOBUFS)
	}
	return done, err
}

// TestReconcileReadsAgainWhenAnswersAreLost: after lost answers a pass reads the table again. It repeats nothing blindly, and
// notices failures.
func TestReconcileReadsAgainWhenAnswersAreLost(t *testing.T) {
	b := newBench(t)
	table := NewTable(&losing{b.kernel, 1}, b.own, hclog.NewNullLogger())
	report, err := table.Reconcile(t.Context(), wanted())
	if err != nil || report.Done != 12 || b.kernel.Writes() != 12 {
		t.Errorf("%d done with %d writes, %v", report.Done, b.kernel.Writes(), err)
	}
	b.fake.services = b.fake.services[1:]
	b.fake.fail["new-service"] = unix.ENOMEM
	table = NewTable(&losing{b.kernel, 1}, b.own, hclog.NewNullLogger())
	if _, err := table.Reconcile(t.Context(), wanted()); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("a service that cannot be added: %v", err)
	}
}

func TestReconcileManagesAll(t *testing.T) {
	b := newBench(t)
	fill(t, b.kernel.IPVS, []lvs.Entry{entry(www, "rr"), entry("fwmark 9 (ipv6)", "rr"), entry("sctp 192.0.2.200:80", "rr")})
	want := []lvs.Entry{entry(www, "rr")}
	b.pass(t, want, 0, 0)
	b.drifted(t, false)
	b.ManageAll(true)
	b.drifted(t, true)
	b.pass(t, want, 2, 2)
	b.drifted(t, false)
	if got := have(t, b.kernel.IPVS); got != "[tcp 192.0.2.100:80 (rr) []]" {
		t.Errorf("left %s", got)
	}
	if got, want := mustOpen(t, b.store).Set(), ids(www); !maps.Equal(got, want) {
		t.Errorf("own %v, want %v", got, want)
	}
}

// TestReconcileSeesThroughALie: if the kernel reports success without an effect, the next pass finds this.
func TestReconcileSeesThroughALie(t *testing.T) {
	b := newBench(t)
	b.fake.lie = true
	b.pass(t, []lvs.Entry{entry(www, "rr")}, 1, 0)
	b.drifted(t, true)
	b.pass(t, []lvs.Entry{entry(www, "rr")}, 1, 1)
	b.fake.lie = false
	b.pass(t, []lvs.Entry{entry(www, "rr")}, 1, 1)
	b.drifted(t, false)
}
