// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
	"github.com/tandem-lvs/tandem/vrrp/link"
)

// scheduling returns the policy and priority of a thread, 0 for the calling one.
func scheduling(t *testing.T, tid int) (policy, priority uint32) {
	t.Helper()
	a, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	return a.Policy, a.Priority
}

// lockedMemory returns the line of /proc/self/status about locked memory.
func lockedMemory(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := bytes.Cut(b, []byte("VmLck:"))
	line, _, _ = bytes.Cut(line, []byte("\n"))
	return strings.TrimSpace(string(line))
}

func runTime(t *testing.T) (l unix.Rlimit) {
	t.Helper()
	if err := unix.Getrlimit(unix.RLIMIT_RTTIME, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRealtime(t *testing.T) {
	limit := runTime(t)
	var policy, priority uint32
	s := newBridge(t)
	start := func(addr string, o Options) *peer {
		o.Realtime = true
		p := s.plugLoop(addr, o, func(l *Loop) { l.Configure([]vrrp.Config{fastConfig(51, 150)}) })
		p.await(51, "started", func(s vrrp.Status) bool { return s.State != vrrp.Initialize })
		return p
	}
	a := start("192.0.2.1", Options{Notify: func(vrrp.Status) { policy, priority = scheduling(t, 0) }})
	b := start("192.0.2.2", Options{})
	if got := b.await(51, "one is master", func(s vrrp.Status) bool { return s.Master.IsValid() }); len(got.Warnings) > 0 {
		t.Errorf("warnings %q", got.Warnings)
	}
	if mem := lockedMemory(t); mem == "0 kB" {
		t.Error("no memory is locked")
	}
	if l := runTime(t); l.Cur != 2_000_000 || l.Max != 2_000_000 {
		t.Errorf("limit of realtime %+v", l)
	}
	a.loop.Shutdown()
	<-a.over
	if a.err != nil {
		t.Error(a.err)
	}
	if policy != unix.SCHED_RR || priority != RealtimePriority {
		t.Errorf("policy %d at priority %d, want SCHED_RR at %d", policy, priority, RealtimePriority)
	}
	if lockedMemory(t) == "0 kB" {
		t.Error("the first loop that ended unlocked the memory of the other")
	}
	b.loop.Shutdown()
	<-b.over
	if mem := lockedMemory(t); mem != "0 kB" {
		t.Errorf("%s still locked", mem)
	}
	// Only a process with CAP_SYS_RESOURCE may raise it again.
	if l := runTime(t); l != limit && holds(t, unix.CAP_SYS_RESOURCE) {
		t.Errorf("limit of realtime %+v, before it was %+v", l, limit)
	}
	for _, p := range []*peer{a, b} {
		if now, err := unix.SchedGetAttr(p.loop.realtime.tid, 0); err == nil && now.Policy != unix.SCHED_NORMAL {
			t.Errorf("the thread was left at policy %d", now.Policy)
		}
	}
}

// TestRealtimeThreadThatRunsTooLong: a loop that does not rest loses realtime priority.
func TestRealtimeThreadThatRunsTooLong(t *testing.T) {
	policies, once := make(chan uint32, 2), false
	a := newBridge(t).plugLoop("192.0.2.1", Options{Realtime: true, Notify: func(s vrrp.Status) {
		if s.State != vrrp.Master || once { // it is told again that it is master, because it stood still
			return
		}
		once = true
		before, _ := scheduling(t, 0)
		policies <- before
		now := before
		for start := time.Now(); now == before && time.Since(start) < 5*time.Second; {
			now, _ = scheduling(t, 0)
		}
		policies <- now
	}}, func(l *Loop) { l.Configure([]vrrp.Config{fastConfig(51, 150)}) })
	if before, after := <-policies, <-policies; before != unix.SCHED_RR || after != unix.SCHED_NORMAL {
		t.Errorf("policy %d, then %d", before, after)
	}
	a.awaitState(51, vrrp.Master)
	sent := a.counters(51).AdvertsSent
	nstest.Eventually(t, "it goes on", func() bool { return a.counters(51).AdvertsSent > sent+2 })
}

func TestRealtimeReturnsAfterAPause(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	former, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	rt := &realtime{tid: unix.Gettid(), former: former}
	rt.again.Store(sinceStart(epoch))
	for _, tt := range []struct {
		name string
		from time.Duration
		to   time.Duration
		want uint32
	}{
		{"the pause is not over", -2 * time.Second, -time.Second, unix.SCHED_NORMAL},
		{"it is, but there was no rest", time.Second, time.Second + restTime - 1, unix.SCHED_NORMAL},
		{"it is", time.Second, time.Second + restTime, unix.SCHED_RR},
	} {
		rt.rested(epoch.Add(tt.from), epoch.Add(tt.to))
		if policy, _ := scheduling(t, 0); policy != tt.want {
			t.Errorf("%s: policy %d, want %d", tt.name, policy, tt.want)
		}
	}
	if err := rt.demote(); err != nil {
		t.Error(err)
	}
	if policy, _ := scheduling(t, 0); policy != unix.SCHED_NORMAL {
		t.Errorf("policy %d at the end", policy)
	}
}

// TestRealtimeRefused: without the privilege the election works, and warns.
func TestRealtimeRefused(t *testing.T) {
	s := newBridge(t)
	a := s.plug("192.0.2.1") // its namespace and its watcher
	a.loop.Shutdown()
	<-a.over
	l := New("eth0", Options{Realtime: true})
	l.Configure([]vrrp.Config{fastConfig(51, 150)})
	w := link.NewWatcher(nil, l.SetLink)
	w.Watch([]string{"eth0"})
	nstest.RunIn(t, a.ns, w.Run)
	nstest.RunIn(t, a.ns, func(ctx context.Context) error {
		if err := dropCapabilities(unix.CAP_SYS_NICE, unix.CAP_IPC_LOCK, unix.CAP_SYS_RESOURCE); err != nil {
			return err
		}
		return l.Run(ctx)
	})
	var got vrrp.Status
	nstest.Eventually(t, "master without realtime", func() bool {
		if all := l.Status(); len(all) == 1 {
			got = all[0]
		}
		return got.State == vrrp.Master
	})
	words := strings.Join(got.Warnings, "\n")
	if len(got.Warnings) != 2 || !strings.Contains(words, "CAP_SYS_NICE") || !strings.Contains(words, "CAP_IPC_LOCK") {
		t.Errorf("warnings %q", got.Warnings)
	}
}

func holds(t *testing.T, capability int) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}

// dropCapabilities removes capabilities from the calling thread. It cannot get them back.
func dropCapabilities(drop ...int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for _, c := range drop {
		data[c/32].Effective &^= 1 << (c % 32)
		data[c/32].Permitted &^= 1 << (c % 32)
		data[c/32].Inheritable &^= 1 << (c % 32)
	}
	return unix.Capset(&header, &data[0])
}
