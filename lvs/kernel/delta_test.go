// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// weighing returns the delta that gives a service's servers weights.
func weighing(name string, weights ...int) lvs.Delta {
	e := entry(name, "rr")
	for i, w := range weights {
		e.Servers = append(e.Servers, server("192.0.2.1"+string(rune('1'+i))+":80", lvs.DR, w))
	}
	return lvs.Delta{Set: []lvs.Entry{e}}
}

// apply applies a delta and wants exactly these commands.
func (b *bench) apply(t *testing.T, d lvs.Delta, commands ...string) {
	t.Helper()
	b.fake.commands()
	if _, err := b.Apply(t.Context(), d); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(b.fake.commands(), ", "), strings.Join(commands, ", "); got != want {
		t.Errorf("commands %q, want %q", got, want)
	}
}

const other = "tcp 192.0.2.101:80"

// settled returns a bench whose kernel has two services of two servers.
func settled(t *testing.T) *bench {
	b := newBench(t)
	b.pass(t, []lvs.Entry{weighing(www, 1, 1).Set[0], weighing(other, 1, 1).Set[0]}, 6, 0)
	return b
}

func TestApplyWritesWhatChangedAndReadsNothing(t *testing.T) {
	b := settled(t)
	stored := b.store.writes
	b.apply(t, weighing(www, 1, 7), "set-server "+www)
	b.apply(t, weighing(www, 1, 7))
	b.apply(t, weighing(www, 0), "set-server "+www, "del-server "+www)
	b.apply(t, lvs.Delta{})
	if b.store.writes != stored {
		t.Errorf("%d writes of the store for services that are ours", b.store.writes-stored)
	}
	b.drifted(t, false)
	b.pass(t, []lvs.Entry{weighing(www, 0).Set[0], weighing(other, 1, 1).Set[0]}, 0, 0)
	if got, want := b.Counters(), (Counters{Reconciles: 2, Changes: 9}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
}

// TestApplyKeepsNothingOfTheCallers: a caller may change its slices after Apply.
func TestApplyKeepsNothingOfTheCallers(t *testing.T) {
	b := settled(t)
	d := weighing(www, 1, 7)
	b.apply(t, d, "set-server "+www)
	d.Set[0].Servers[1].Weight = 9
	b.drifted(t, false)
	b.apply(t, d, "set-server "+www)
}

func TestApplyAddsAndRemovesServices(t *testing.T) {
	b := settled(t)
	b.apply(t, weighing("tcp 192.0.2.102:80", 1), "get tcp 192.0.2.102:80", "new-service tcp 192.0.2.102:80", "new-server tcp 192.0.2.102:80")
	if got := mustOpen(t, b.store).Set(); !maps.Equal(got, ids(www, other, "tcp 192.0.2.102:80")) {
		t.Errorf("remembered %v", got)
	}
	b.apply(t, lvs.Delta{Remove: []lvs.ServiceID{id(www), id(dns)}}, "del-service "+www)
	if got := mustOpen(t, b.store).Set(); !maps.Equal(got, ids(other, "tcp 192.0.2.102:80")) {
		t.Errorf("remembered %v", got)
	}
	b.drifted(t, false)

	// A service of another program becomes ours: it loses the servers that it should not have.
	fill(t, b.kernel.IPVS, weighing("tcp 192.0.2.103:80", 5, 6).Set)
	b.apply(t, weighing("tcp 192.0.2.103:80", 5),
		"get tcp 192.0.2.103:80", "list tcp 192.0.2.103:80", "del-server tcp 192.0.2.103:80")
}

func TestApplyBeforeTheFirstPassReadsTheTable(t *testing.T) {
	b := newBench(t)
	b.apply(t, weighing(www, 1), "list services", "new-service "+www, "new-server "+www)
	b.apply(t, weighing(www, 2), "set-server "+www)
}

// TestApplyAfterAnError reads the unknown services only.
func TestApplyAfterAnError(t *testing.T) {
	b := settled(t)
	b.fake.fail["set-server"] = unix.ENOENT
	if _, err := b.Apply(t.Context(), weighing(www, 1, 7)); !errors.Is(err, unix.ENOENT) {
		t.Fatal(err)
	}
	clear(b.fake.fail)
	b.apply(t, weighing(other, 1, 7), "set-server "+other)
	b.apply(t, lvs.Delta{}, "get "+www, "list "+www, "set-server "+www) // tries again
	b.apply(t, lvs.Delta{})
	b.apply(t, weighing(www, 1, 8), "set-server "+www)

	// The same after a command without an answer.
	b.kernel.answer = 10 * time.Millisecond
	b.fake.hang["set-server"] = true
	if _, err := b.Apply(t.Context(), weighing(www, 1, 9)); !errors.Is(err, ErrTimeout) {
		t.Fatal(err)
	}
	clear(b.fake.hang)
	b.kernel.answer = answerTime
	b.apply(t, weighing(www, 1, 9), "get "+www, "list "+www, "set-server "+www)

	// A pass that cannot read leaves nothing known.
	b.fake.fail["list"] = unix.EPERM
	if _, err := b.Reconcile(t.Context(), b.entries()); !errors.Is(err, unix.EPERM) {
		t.Fatal(err)
	}
	clear(b.fake.fail)
	b.apply(t, lvs.Delta{}, "list services", "list "+www, "list "+other)
}

// TestApplyWhenAnswersAreLost: a change whose answer was lost is not repeated blindly.
func TestApplyWhenAnswersAreLost(t *testing.T) {
	b := settled(t)
	b.Table.kernel = &losing{b.kernel, 1}
	d := weighing(www, 3, 4)
	report, err := b.Apply(t.Context(), d)
	if err != nil || report.Done != 2 || len(report.Changes) != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := strings.Count(strings.Join(b.fake.commands(), ","), "set-server"); got != 2 {
		t.Errorf("%d servers set, want 2", got)
	}
}

func TestDriftAfterApplyIsFound(t *testing.T) {
	b := settled(t)
	b.apply(t, weighing(www, 1, 7), "set-server "+www)
	b.fake.find(id(www)).servers[1].Weight = 1
	b.drifted(t, true)
	b.pass(t, []lvs.Entry{weighing(www, 1, 7).Set[0], weighing(other, 1, 1).Set[0]}, 1, 1)
	b.drifted(t, false)

	// A write meets the change of another program: it reports an error, and the next pass repairs the table.
	b.fake.find(id(www)).servers = b.fake.find(id(www)).servers[:1]
	if _, err := b.Apply(t.Context(), weighing(www, 1, 5)); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
	b.pass(t, []lvs.Entry{weighing(www, 1, 5).Set[0], weighing(other, 1, 1).Set[0]}, 1, 0)
}

// TestApplyWhileTheDiskHangs: a new service waits for a second, a weight does not wait.
func TestApplyWhileTheDiskHangs(t *testing.T) {
	b := settled(t)
	b.own.memory.wait = time.Millisecond
	b.store.hang = make(chan struct{})
	defer close(b.store.hang)
	fresh := weighing("tcp 192.0.2.102:80", 1)
	if report, err := b.Apply(t.Context(), fresh); !errors.Is(err, ErrNotRemembered) || report.Done != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	b.own.memory.wait = time.Hour
	b.apply(t, weighing(www, 1, 7), "set-server "+www)
	if _, err := b.Reconcile(t.Context(), b.entries()); !errors.Is(err, ErrNotRemembered) {
		t.Errorf("a pass says %v", err)
	}
	if got := b.Counters().Errors; got != 0 {
		t.Errorf("%d errors of the table", got)
	}
}

// A silentKernel accepts every change and records none.
type silentKernel struct{ backend }

func (silentKernel) Read(context.Context) ([]lvs.Entry, error) { return nil, nil }

func (silentKernel) Apply(_ context.Context, changes []lvs.Change) (int, error) {
	return len(changes), nil
}

// BenchmarkApply measures one verdict with ten services and with ten thousand, without the kernel's time.
func BenchmarkApply(b *testing.B) {
	for _, services := range []int{10, 10000} {
		b.Run(strconv.Itoa(services), func(b *testing.B) {
			own, err := OpenOwnership(new(fakeStore[Owned]))
			if err != nil {
				b.Fatal(err)
			}
			table, want := NewTable(silentKernel{}, own, hclog.NewNullLogger()), bigTable(services, 10)
			if _, err := table.Reconcile(b.Context(), want); err != nil {
				b.Fatal(err)
			}
			d := lvs.Delta{Set: want[services/2 : services/2+1]}
			b.ReportAllocs()
			for b.Loop() {
				d.Set[0].Servers[0].Weight ^= 1
				if report, err := table.Apply(b.Context(), d); err != nil || report.Done != 1 {
					b.Fatal(report, err)
				}
			}
		})
	}
}
