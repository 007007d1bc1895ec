// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
	"github.com/tandem-lvs/tandem/vrrp/link"
)

func TestFailover(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		told := time.Now()
		a.loop.SetStandby("router 51", true)
		took := b.awaitState(51, vrrp.Master)
		if took.Reason != "priority 0 heard from 192.0.2.1" || took.at.Sub(told) > bound(fastConfig(51, 100)) {
			t.Errorf("b after %s: %q", took.at.Sub(told), took.Reason)
		}
		done := a.await(51, "a in standby", func(s vrrp.Status) bool { return s.State == vrrp.Backup && !s.HandingOver })
		if !done.Standby || done.EffectivePriority != 1 || done.Priority != 150 || done.Holding {
			t.Errorf("a: %+v", done.Status)
		}
		for _, s := range a.notified(51) {
			if s.HandingOver && (!s.Holding || !s.Standby) {
				t.Errorf("while handing over: %+v", s.Status)
			}
			if s.at.After(told) && s.State == vrrp.Backup && s.at.Before(took.Since) {
				t.Errorf("backup %s before anybody was master", took.Since.Sub(s.at))
			}
		}
		// Repeating the command has no effect, and standby survives a reload.
		changed := fastConfig(51, 160)
		a.loop.SetStandby("router 51", true)
		a.loop.Configure([]vrrp.Config{changed})
		a.await(51, "still in standby", func(s vrrp.Status) bool { return s.Priority == 160 && s.Standby && s.EffectivePriority == 1 })
		if err := b.kill(); err != nil {
			t.Error(err)
		}
		alone := a.awaitState(51, vrrp.Master)
		if !alone.Standby {
			t.Errorf("a after the death of b: %+v", alone.Status)
		}
		a.loop.SetStandby("router 51", true)
		a.loop.SetTracking("router 51", vrrp.Tracking{Delta: 1})
		a.await(51, "a after the order came again", func(s vrrp.Status) bool { return s.Tracking.Delta == 1 })
		if slices.ContainsFunc(a.notified(51), func(s sighting) bool { return s.HandingOver && s.at.After(alone.at) }) {
			t.Error("an order that came again was acted on again")
		}
		a.loop.SetStandby("router 51", false)
		a.await(51, "an ordinary master", func(s vrrp.Status) bool { return s.State == vrrp.Master && !s.Standby && s.EffectivePriority == 161 })
	})
}

func TestFailoverWithoutAPeer(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		a := newBridge(t).plug("192.0.2.1", fastConfig(51, 150))
		a.awaitState(51, vrrp.Master)
		since := a.loop.Status()[0].Since
		for range 2 { // it can be repeated
			before := len(a.notified(51))
			a.loop.SetStandby("router 51", true)
			_, offered := a.awaitAny(51, before, "offering", func(s vrrp.Status) bool { return s.HandingOver && s.Standby && s.Reason == "standby" })
			failed, _ := a.awaitAny(51, offered, "failed", func(s vrrp.Status) bool { return !s.Standby })
			if failed.Reason != "nobody took over" || failed.HandingOver || !failed.Since.Equal(since) || failed.EffectivePriority != 150 {
				t.Errorf("%+v", failed.Status)
			}
			a.loop.SetStandby("router 51", false)
		}
		all := a.notified(51)
		master := slices.IndexFunc(all, func(s sighting) bool { return s.State == vrrp.Master })
		if slices.ContainsFunc(all[master:], func(s sighting) bool { return s.State != vrrp.Master || !s.Holding }) {
			t.Errorf("it was not master all the time")
		}
	})
}

func TestStandbyMayPrecedeTheRouter(t *testing.T) {
	t.Parallel()
	a := newBridge(t).plugLoop("192.0.2.1", Options{}, func(l *Loop) {
		l.SetStandby("router 51", true)
		l.Configure([]vrrp.Config{fastConfig(51, 150)})
	})
	if got := a.awaitState(51, vrrp.Master); !got.Standby || got.EffectivePriority != 1 {
		t.Errorf("%+v", got.Status)
	}
}

// TestResume: a master whose process is killed and started again in time stays master.
func TestResume(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		s := newBridge(t)
		slow := fastConfig(51, 150)
		slow.AdvertInterval, slow.StartupDelay = time.Second, time.Hour
		weak := slow
		weak.Priority, weak.StartupDelay = 100, 0
		resume := func(l *Loop) {
			l.Resume(map[string]int64{"router 51": 0})
			l.Configure([]vrrp.Config{slow})
		}
		a := s.plugLoop("192.0.2.1", Options{}, resume)
		a.awaitState(51, vrrp.Master)
		b := s.plug("192.0.2.2", weak)
		b.await(51, "backup of a", func(s vrrp.Status) bool { return s.Master == addrA })
		a.loop.Abandon()
		<-a.over
		if all := a.notified(51); a.err != nil || all[len(all)-1].State != vrrp.Master || !all[len(all)-1].Holding || a.counters(51).PriorityZeroSent != 0 {
			t.Errorf("%v after %+v", a.err, all[len(all)-1].Status)
		}
		again := New("eth0", Options{Notify: a.note})
		resume(again)
		before, seen := b.counters(51).AdvertsReceived, len(a.notified(51))
		w := link.NewWatcher(nil, again.SetLink)
		w.Watch([]string{"eth0"})
		nstest.RunIn(t, a.ns, w.Run)
		nstest.RunIn(t, a.ns, again.Run)
		nstest.Eventually(t, "b hears the resumed a", func() bool { return b.counters(51).AdvertsReceived > before+1 })
		for _, s := range a.notified(51)[seen:] {
			if s.State == vrrp.Backup {
				t.Errorf("a: %+v", s.Status)
			}
		}
		if got := a.notified(51); got[len(got)-1].Reason != "resumed" {
			t.Errorf("a: %+v", got[len(got)-1].Status)
		}
		if b.counters(51).BecameMaster != 0 {
			t.Error("b noticed")
		}
		// A later router of that name does not resume.
		again.Configure(nil)
		b.awaitState(51, vrrp.Master)
		a.await(51, "gone", func(s vrrp.Status) bool { return s.State == vrrp.Initialize && !s.Holding })
		again.Configure([]vrrp.Config{slow})
		a.await(51, "a new start", func(s vrrp.Status) bool { return s.State == vrrp.Backup && s.Reason == "startup" })
	})
}

func TestGentleFaultOnTheWire(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		a.loop.SetTracking("router 51", vrrp.Tracking{Fault: "script /x: exit code 1"})
		b.awaitState(51, vrrp.Master)
		got := a.await(51, "at fault, let go", func(s vrrp.Status) bool { return s.State == vrrp.Fault && !s.Holding })
		if got.Reason != "script /x: exit code 1" || got.Tracking.Fault != got.Reason {
			t.Errorf("a: %+v", got.Status)
		}
		if !slices.ContainsFunc(a.notified(51), func(s sighting) bool { return s.State == vrrp.Fault && s.Holding && s.HandingOver }) {
			t.Error("a did not wait for its successor")
		}
		a.loop.SetTracking("router 51", vrrp.Tracking{})
		a.awaitState(51, vrrp.Master)
		b.awaitState(51, vrrp.Backup)
	})
}

func TestGroupOnTheWire(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		s := newBridge(t)
		var configs []vrrp.Config
		for _, vrid := range []uint8{51, 52} {
			c := fastConfig(vrid, 150)
			c.SyncGroup = "pair"
			configs = append(configs, c)
		}
		a := s.plug("192.0.2.1", configs...)
		ready := func(s vrrp.Status) bool { return s.Ready && s.State == vrrp.Backup }
		a.await(51, "ready", ready)
		a.await(52, "ready", ready)
		both := vrrp.Cause{Kind: vrrp.CauseGroupReady, Group: "pair"}
		a.loop.Join("router 51", vrrp.Master, both)
		a.loop.Join("router 52", vrrp.Master, both)
		for _, vrid := range []uint8{51, 52} {
			if got := a.awaitState(vrid, vrrp.Master); got.Reason != `sync group "pair": every member can be master` || got.Group != "pair" {
				t.Errorf("%+v", got.Status)
			}
		}
		a.loop.Join("router 52", vrrp.Backup, vrrp.Cause{Kind: vrrp.CauseGroupBackup, Group: "pair", Text: "router 51"})
		got := a.await(52, "gave way", func(s vrrp.Status) bool { return s.State == vrrp.Backup })
		if got.Reason != "nobody took over" || a.loop.Status()[0].State != vrrp.Master {
			t.Errorf("%+v", got.Status)
		}
		// A decision for a former router of the name does not apply to this one.
		a.await(52, "ready", ready)
		a.loop.Join("nobody", vrrp.Master, both)
		a.loop.Configure(configs[:1])
		a.await(52, "gone", func(s vrrp.Status) bool { return s.State == vrrp.Initialize })
		a.loop.Configure(configs)
		a.await(52, "ready", ready)
		if s := a.loop.Status()[1]; s.State != vrrp.Backup {
			t.Errorf("%+v", s)
		}
	})
}

// TestStalledMasterReadsBeforeItSpeaks: a master whose loop is held for longer than its peer waits reads the packets before it
// advertises.
func TestStalledMasterReadsBeforeItSpeaks(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		s := newBridge(t)
		stalled, goOn, once := make(chan struct{}), make(chan struct{}), sync.Once{}
		a := s.plugWith("192.0.2.1", func(st vrrp.Status) {
			if st.Tracking.Delta == 1 {
				once.Do(func() {
					close(stalled)
					<-goOn
				})
			}
		}, fastConfig(51, 150))
		a.awaitState(51, vrrp.Master)
		b := s.plug("192.0.2.2", fastConfig(51, 100))
		b.await(51, "backup of a", func(s vrrp.Status) bool { return s.Master == addrA })
		a.loop.SetTracking("router 51", vrrp.Tracking{Delta: 1})
		<-stalled
		sent := a.counters(51).AdvertsSent
		b.awaitState(51, vrrp.Master)
		advertised := b.counters(51).AdvertsSent
		nstest.Eventually(t, "b is master for a while", func() bool { return b.counters(51).AdvertsSent > advertised+3 })
		before := len(a.notified(51))
		close(goOn)
		got, _ := a.awaitAny(51, before, "a stands back", func(s vrrp.Status) bool { return s.State == vrrp.Backup })
		if got.Reason != "192.0.2.2 took over while this router stood still" || got.Holding || got.Counters.AdvertsSent != sent {
			t.Errorf("a after %d adverts: %+v", sent, got.Status)
		}
		took := a.awaitState(51, vrrp.Master)
		if waited := took.Since.Sub(got.Since); waited < 250*time.Millisecond {
			t.Errorf("a preempted after %s", waited)
		}
		if n := b.counters(51).BecameMaster; n != 1 {
			t.Errorf("b became master %d times", n)
		}
	})
}
