// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// wanted returns a table with every method, protocol and family.
func wanted() []lvs.Entry {
	return sorted([]lvs.Entry{
		entry(www, "wrr", server("192.0.2.11:80", lvs.DR, 1), server("192.0.2.12:80", lvs.Tunnel, 65535)),
		entry(dns, "rr", server("192.0.2.11:5353", lvs.NAT, 0)),
		entry(six, "lc", server("[2001:db8::11]:80", lvs.DR, 1)),
		entry("fwmark 7 (ipv4)", "sh", server("192.0.2.11:0", lvs.DR, 1)),
		entry("fwmark 7 (ipv6)", "sh", server("[2001:db8::11]:0", lvs.DR, 1)),
		entry("tcp 192.0.2.101:80", "rr"),
	})
}

// fill applies entries to an empty table.
func fill(t *testing.T, k *IPVS, entries []lvs.Entry) {
	t.Helper()
	changes := lvs.Diff(nil, entries, nil)
	if done, err := k.Apply(t.Context(), changes); err != nil || done != len(changes) {
		t.Fatalf("%d of %d changes: %v", done, len(changes), err)
	}
}

// have reads the table in the form in which tests compare it.
func have(t *testing.T, k *IPVS) string {
	t.Helper()
	entries, err := k.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(entries)
}

func TestKernelReadsWhatItApplied(t *testing.T) {
	k, f := newFake(t)
	if f.dialed != 0 {
		t.Error("opened before it was used")
	}
	fill(t, k, wanted())
	if got, want := have(t, k), fmt.Sprint(wanted()); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if f.dialed != 1 {
		t.Errorf("%d handles for many commands", f.dialed)
	}
	if got, want := k.Writes(), uint64(12); got != want {
		t.Errorf("%d writes, want %d", got, want)
	}
	if f.writes != 2 {
		t.Errorf("%d system calls for 6 services with 6 servers, want one for each kind", f.writes)
	}
}

func TestKernelReadLeavesOutWhatIsNeverOurs(t *testing.T) {
	k, f := newFake(t)
	fill(t, k, []lvs.Entry{entry(www, "rr")})
	f.foreign = 1
	if got, want := have(t, k), "[tcp 192.0.2.100:80 (rr) []]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestKernelErrno: the error for each answer of the kernel, and the commands that follow it.
func TestKernelErrno(t *testing.T) {
	known, unknown := service(www, "rr"), service(dns, "rr")
	there, missing := server("192.0.2.11:80", lvs.DR, 5), server("192.0.2.12:80", lvs.DR, 1)
	for _, c := range []struct {
		change   lvs.Change
		fail     map[string]error
		want     error
		text     string
		commands string
	}{
		{lvs.Change{Op: lvs.AddService, Service: unknown}, nil, nil, "", "new-service"},
		{lvs.Change{Op: lvs.AddService, Service: known}, nil, nil, "", "new-service set-service"},
		{lvs.Change{Op: lvs.AddService, Service: known}, map[string]error{"new-service": unix.ENOENT}, unix.ENOENT,
			"add tcp 192.0.2.100:80 (rr): the kernel has no scheduler rr: modprobe ip_vs_rr, or choose ", "new-service"},
		{lvs.Change{Op: lvs.SetService, Service: unknown}, nil, unix.ESRCH, "udp 192.0.2.100:53: ", "set-service"},
		{lvs.Change{Op: lvs.DeleteService, Service: unknown}, nil, nil, "", "del-service"},
		{lvs.Change{Op: lvs.DeleteService, Service: known}, map[string]error{"del-service": unix.EPERM}, unix.EPERM,
			"delete tcp 192.0.2.100:80: ", "del-service"},
		{lvs.Change{Op: lvs.AddServer, Service: known, Server: missing}, nil, nil, "", "new-server"},
		{lvs.Change{Op: lvs.AddServer, Service: known, Server: there}, nil, nil, "", "new-server set-server"},
		{lvs.Change{Op: lvs.AddServer, Service: known, Server: missing}, map[string]error{"new-server": unix.EINVAL}, unix.EINVAL,
			"add 192.0.2.12:80 to tcp 192.0.2.100:80 (dr, weight 1): the address must be a host's", "new-server"},
		{lvs.Change{Op: lvs.SetServer, Service: known, Server: missing}, nil, unix.ENOENT, "192.0.2.12:80", "set-server"},
		{lvs.Change{Op: lvs.DeleteServer, Service: known, Server: missing}, nil, nil, "", "del-server"},
		{lvs.Change{Op: lvs.DeleteServer, Service: unknown, Server: server("192.0.2.11:53", lvs.DR, 1)}, nil, nil, "", "del-server"},

		{lvs.Change{Op: lvs.AddService, Service: service(www, "")}, nil, lvs.ErrInvalid, "scheduler", ""},
		{lvs.Change{Op: lvs.SetService, Service: lvs.Service{ServiceID: known.ServiceID, Scheduler: "rr", Flags: 1}}, nil, lvs.ErrInvalid,
			"persistence", ""},
		{lvs.Change{Op: lvs.AddServer, Service: known, Server: server("[2001:db8::11]:80", lvs.DR, 1)}, nil, lvs.ErrInvalid,
			"only tunnel can change the address family", ""},
		{lvs.Change{Op: lvs.AddServer, Service: known, Server: server("[2001:db8::11]:80", lvs.Tunnel, 1)},
			map[string]error{"new-server": unix.EINVAL}, unix.EINVAL, "while connection sync runs", "new-server"},
		{lvs.Change{Op: lvs.SetServer, Service: known, Server: server("192.0.2.11:80", lvs.DR, 65536)}, nil, lvs.ErrInvalid, "weight", ""},
		{lvs.Change{Service: known}, nil, errors.ErrUnsupported, "operation 0", ""},
	} {
		k, f := newFake(t)
		fill(t, k, []lvs.Entry{entry(www, "rr", there)})
		f.commands()
		writes := k.Writes()
		f.fail = c.fail
		done, err := k.Apply(t.Context(), []lvs.Change{c.change})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (err == nil) != (done == 1) {
			t.Errorf("%s: %d done, %v, want %v", c.change, done, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %q, want %q in it", c.change, err, c.text)
		}
		var names []string
		for _, command := range f.commands() {
			name, _, _ := strings.Cut(command, " ")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != c.commands {
			t.Errorf("%s: commands %q, want %q", c.change, got, c.commands)
		}
		if got := k.Writes() - writes; got != uint64(len(names)) {
			t.Errorf("%s: %d writes counted, want %d", c.change, got, len(names))
		}
	}
}

func TestApplyGoesOnAfterAFailure(t *testing.T) {
	k, _ := newFake(t)
	changes := lvs.Diff(nil, []lvs.Entry{
		entry(www, "rr", server("192.0.2.11:80", lvs.DR, 70000), server("192.0.2.12:80", lvs.DR, 1)),
	}, nil)
	done, err := k.Apply(t.Context(), changes)
	if done != 2 || !errors.Is(err, lvs.ErrInvalid) {
		t.Errorf("%d done, %v", done, err)
	}
	if got, want := have(t, k), "[tcp 192.0.2.100:80 (rr) [192.0.2.12:80 (dr, weight 1)]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestApplyNamesTheFirstFailures(t *testing.T) {
	k, f := newFake(t)
	f.fail["new-service"] = unix.ENOMEM
	changes := lvs.Diff(nil, bigTable(50, 0), nil)
	done, err := k.Apply(t.Context(), changes)
	if done != 0 || !errors.Is(err, unix.ENOMEM) {
		t.Fatalf("%d done, %v", done, err)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxErrors+1 || lines[maxErrors] != "40 further changes failed" {
		t.Errorf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	if k.Writes() != 50 {
		t.Errorf("%d tried, want all 50", k.Writes())
	}
}

// TestApplyAsksForASchedulerOnce: a missing scheduler is asked for once in an Apply, because the kernel takes a tenth of a
// second for each search for a module.
func TestApplyAsksForASchedulerOnce(t *testing.T) {
	k, f := newFake(t)
	f.fail["new-service"] = unix.ENOENT
	want := bigTable(2*serviceBatchSize+1, 0)
	for i := range want {
		want[i].Scheduler = []string{"nosuch", "neither"}[i/serviceBatchSize%2]
	}
	done, err := k.Apply(t.Context(), lvs.Diff(nil, want, nil))
	if done != 0 || !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "modprobe ip_vs_nosuch") {
		t.Errorf("%d done, %v", done, err)
	}
	if n := len(f.commands()); n != 2*serviceBatchSize {
		t.Errorf("%d commands, want those of the first system call for each scheduler, %d", n, 2*serviceBatchSize)
	}
}

// TestApplySendsBatches: changes that belong together, and only those, go in one system call.
func TestApplySendsBatches(t *testing.T) {
	for _, c := range []struct {
		services, servers, calls int
	}{
		{1, 0, 1}, {1, 1, 2}, {serviceBatchSize, 0, 1}, {serviceBatchSize + 1, 0, 2}, {10, 100, 1 + 1}, {10, 101, 1 + 2},
	} {
		k, f := newFake(t)
		fill(t, k, bigTable(c.services, c.servers))
		if f.writes != c.calls {
			t.Errorf("%d services, %d servers each: %d system calls, want %d", c.services, c.servers, f.writes, c.calls)
		}
	}
}

func TestApplyStopsWhereNothingCanSucceed(t *testing.T) {
	for _, cause := range []error{ErrAbsent, ErrReloaded, unix.EPERM} {
		k, f := newFake(t)
		f.fail["dial"] = cause
		done, err := k.Apply(t.Context(), lvs.Diff(nil, wanted(), nil))
		if done != 0 || !errors.Is(err, cause) || !strings.Contains(err.Error(), "the outcome of 11 further changes is unknown") {
			t.Errorf("%v: %d done, %v", cause, done, err)
		}
		if _, err := k.Read(t.Context()); !errors.Is(err, cause) {
			t.Errorf("%v: read %v", cause, err)
		}
		if k.Writes() != 0 {
			t.Errorf("%v: %d writes", cause, k.Writes())
		}
	}

	k, f := newFake(t)
	f.fail["new-service"] = unix.EPERM
	changes := lvs.Diff(nil, bigTable(2*batchSize, 0), nil)
	if done, err := k.Apply(t.Context(), changes); done != 0 || !errors.Is(err, unix.EPERM) || k.Writes() != serviceBatchSize {
		t.Errorf("without permission: %d done, %d writes, %v", done, k.Writes(), err)
	}
}

func TestKernelThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, f := newFake(t)
		fill(t, k, []lvs.Entry{entry(www, "rr")})
		f.hang["new-service"], f.hang["list"] = true, true
		f.closing = synctest.Wait // the given-up command goes on as far as it can before anything else happens

		start := time.Now()
		done, err := k.Apply(t.Context(), lvs.Diff(nil, []lvs.Entry{entry(dns, "rr"), entry(six, "rr")}, nil))
		if done != 0 || !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "the outcome of 1 further changes is unknown") {
			t.Errorf("apply: %d done, %v", done, err)
		}
		if _, err := k.Read(t.Context()); !errors.Is(err, ErrTimeout) {
			t.Errorf("read: %v", err)
		}
		if waited := time.Since(start); waited != 2*answerTime {
			t.Errorf("waited %s for two answers, want %s", waited, 2*answerTime)
		}
		if f.open != 0 {
			t.Errorf("%d handles open after the time-outs", f.open)
		}

		f.mu.Lock()
		clear(f.hang)
		f.mu.Unlock()
		if got, want := have(t, k), "[tcp 192.0.2.100:80 (rr) []]"; got != want {
			t.Errorf("with a fresh handle: %s, want %s", got, want)
		}
		if f.dialed != 3 {
			t.Errorf("%d handles, want a fresh one after each time-out, 3", f.dialed)
		}
	})
}

func TestKernelGivesEachCommandItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, f := newFake(t)
		f.slow = answerTime - time.Second
		fill(t, k, wanted())
		if got, want := have(t, k), fmt.Sprint(wanted()); got != want {
			t.Errorf("got\n%s, want\n%s", got, want)
		}
	})
}

func TestKernelHeedsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, f := newFake(t)
		f.hang["list"] = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		var group sync.WaitGroup
		for range 3 { // one has its turn, the others wait for it
			group.Go(func() {
				if _, err := k.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("read: %v", err)
				}
			})
		}
		start := time.Now()
		group.Wait()
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %s, want 1s", waited)
		}
		if _, err := k.Apply(ctx, lvs.Diff(nil, wanted(), nil)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("apply: %v", err)
		}
		if _, err := k.Look(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("look: %v", err)
		}
		if k.Writes() != 0 {
			t.Errorf("%d writes after the end of the context", k.Writes())
		}
	})
}

func TestKernelServesOneAtATime(t *testing.T) {
	k, _ := newFake(t)
	fill(t, k, wanted())
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				if _, err := k.Read(t.Context()); err != nil {
					t.Error(err)
				}
				c := lvs.Change{Op: lvs.SetServer, Service: service(www, "wrr"), Server: server("192.0.2.11:80", lvs.DR, i)}
				if _, err := k.Apply(t.Context(), []lvs.Change{c}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestKernelTakesAFreshHandleAfterAFailedRead(t *testing.T) {
	k, f := newFake(t)
	f.fail["list"] = unix.ENOBUFS
	if _, err := k.Read(t.Context()); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("read: %v", err)
	}
	clear(f.fail)
	if got := have(t, k); got != "[]" || f.dialed != 2 {
		t.Errorf("read %s with handle number %d, want the second", got, f.dialed)
	}
}

func TestClosedKernel(t *testing.T) {
	k, f := newFake(t)
	fill(t, k, wanted())
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if f.open != 0 || len(f.services) != len(wanted()) {
		t.Errorf("%d handles open, %d services left", f.open, len(f.services))
	}
	if _, err := k.Read(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := k.Apply(t.Context(), lvs.Diff(wanted(), nil, nil)); err != nil {
		t.Errorf("no changes: %v", err)
	}
	if _, err := k.Apply(t.Context(), lvs.Diff(nil, wanted(), nil)); !errors.Is(err, ErrClosed) {
		t.Errorf("apply: %v", err)
	}
}

// TestProbe: the answer agrees with the kernel's own file, on any kernel.
func TestProbe(t *testing.T) {
	err := Probe()
	_, stat := os.Stat("/proc/thread-self/net/ip_vs")
	switch {
	case stat == nil && err != nil:
		t.Errorf("the kernel has IPVS, and the probe says %v", err)
	case stat != nil && (!errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), "modprobe ip_vs")):
		t.Errorf("the kernel has no IPVS (%v), and the probe says %v", stat, err)
	}
}
