// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

func TestLoopsElect(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		got := a.loop.Status()
		if len(got) != 1 {
			t.Fatalf("%d routers", len(got))
		}
		m := got[0]
		if m.State != vrrp.Master || !m.Holding || m.Master != addrA || m.Name != "router 51" || m.Interface != "eth0" || m.Version != 3 ||
			m.Priority != 150 || m.EffectivePriority != 150 || !strings.HasPrefix(m.Reason, "no advertisement for ") || m.Counters.BecameMaster != 1 {
			t.Errorf("master: %+v", m)
		}
		before := b.counters(51).AdvertsReceived
		nstest.Eventually(t, "adverts keep coming", func() bool { return b.counters(51).AdvertsReceived >= before+3 })
		if c := a.counters(51); c.AdvertsReceived != 0 || c.SendErrors != 0 || c.Drops != (vrrp.Drops{}) || a.loop.Stray() != (vrrp.Drops{}) {
			t.Errorf("a heard itself or could not send: %+v, stray %v", c, a.loop.Stray())
		}
		if s := b.loop.Status()[0]; s.State != vrrp.Backup || s.Holding || s.Counters.AdvertsSent != 0 {
			t.Errorf("backup: %+v", s)
		}
	})
}

func TestLoopTakesOverWhenTheCableIsCut(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		s, a, b := pair(t, 51)
		cut := time.Now()
		s.setPort(a, netlink.LinkSetDown)
		took := b.awaitState(51, vrrp.Master).at.Sub(cut)
		if limit := bound(fastConfig(51, 100)); took > limit {
			t.Errorf("took over after %s, more than %s", took, limit)
		}
		t.Logf("took over %s after the cut", took)
		if f := a.awaitState(51, vrrp.Fault); f.Reason != "interface eth0 has no carrier" || f.Holding || f.Master.IsValid() {
			t.Errorf("a: %+v", f.Status)
		}
		s.setPort(a, netlink.LinkSetUp)
		a.awaitState(51, vrrp.Master)
		if f := b.awaitState(51, vrrp.Backup); f.Reason != "higher priority 150 heard from 192.0.2.1" || !f.HandingOver {
			t.Errorf("b: %+v", f.Status)
		}
	})
}

// TestIgnoredCarrier: a router that ignores its carrier stays master when its cable is cut, and hears the other master when the
// cable is back. Another router of the same interface is at fault meanwhile.
func TestIgnoredCarrier(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		ignores, tracks := fastConfig(51, 150), fastConfig(52, 150)
		ignores.Carrier = vrrp.CarrierIgnore
		s := newBridge(t)
		a := s.plug("192.0.2.1", ignores, tracks)
		b := s.plug("192.0.2.2", fastConfig(51, 100))
		a.awaitState(51, vrrp.Master)
		a.awaitState(52, vrrp.Master)
		s.setPort(a, netlink.LinkSetDown)
		a.awaitState(52, vrrp.Fault)
		b.awaitState(51, vrrp.Master)
		sent := a.counters(51).AdvertsSent
		nstest.Eventually(t, "it goes on", func() bool { return a.counters(51).AdvertsSent >= sent+3 })
		if got := a.notified(51); got[len(got)-1].State != vrrp.Master || got[len(got)-1].Counters.SendErrors != 0 {
			t.Errorf("without a carrier: %+v", got[len(got)-1].Status)
		}
		s.setPort(a, netlink.LinkSetUp)
		b.awaitState(51, vrrp.Backup)
		a.awaitState(52, vrrp.Master)
		if n := a.counters(51).BecameMaster; n != 1 {
			t.Errorf("it became master %d times", n)
		}
	})
}

func TestShutdownHandsOver(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51, 52)
		// One of them is heard to be announced by its successor, the other one is not.
		var announced time.Time
		a.whenTold(func(s vrrp.Status) {
			if s.VRID == 51 && s.Successor == addrB && announced.IsZero() {
				announced = time.Now()
				a.loop.Announced("router 51")
			}
		})
		a.loop.Shutdown()
		<-a.over
		if a.err != nil {
			t.Errorf("Run: %v", a.err)
		}
		for vrid, want := range map[uint8]time.Duration{51: vrrp.Linger, 52: vrrp.Linger + 100*time.Millisecond} {
			took := b.awaitState(vrid, vrrp.Master)
			if took.Reason != "priority 0 heard from 192.0.2.1" {
				t.Errorf("b: %q", took.Reason)
			}
			all := a.notified(vrid)
			offered, left, gone := all[len(all)-3], all[len(all)-2], all[len(all)-1]
			if offered.State != vrrp.Master || !offered.Holding || !offered.HandingOver || offered.Reason != "shutdown" {
				t.Errorf("offering: %+v", offered.Status)
			}
			if left.State != vrrp.Initialize || !left.Holding || !left.HandingOver || left.Successor != addrB || left.Reason != "192.0.2.2 took over" {
				t.Errorf("leaving: %+v", left.Status)
			}
			if gone.State != vrrp.Initialize || gone.Holding || gone.HandingOver || gone.Successor.IsValid() || gone.Reason != "192.0.2.2 took over" {
				t.Errorf("gone: %+v", gone.Status)
			}
			if limit := 100*time.Millisecond + 200*time.Millisecond; left.at.Sub(offered.at) > limit {
				t.Errorf("the hand-over took %s, more than a skew time", left.at.Sub(offered.at))
			}
			heard := left.Since // the successor, by the loop's own clock
			if vrid == 51 {
				heard = announced
			}
			if lingered := gone.at.Sub(heard); lingered < want || lingered > want+200*time.Millisecond {
				t.Errorf("VRID %d: let go %s after the successor was heard, want %s", vrid, lingered, want)
			}
		}
		heard, quiet := a.notified(51), a.notified(52)
		if between := quiet[len(quiet)-1].at.Sub(heard[len(heard)-1].at); between < 50*time.Millisecond {
			t.Errorf("let go of the addresses whose successor is quiet %s after the others, want about 100 ms", between)
		}
		if left := a.loop.Status(); len(left) != 0 {
			t.Errorf("still there: %+v", left)
		}
	})
}

// TestSuccessorWaitsForItsVIPs: a successor with a virtual MAC address advertises when it is told that it has its VIPs, or 20 ms later.
func TestSuccessorWaitsForItsVIPs(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		config := func(vrid, priority uint8) vrrp.Config {
			c := fastConfig(vrid, priority)
			c.VirtualMAC = true
			return c
		}
		s := newBridge(t)
		a := s.plug("192.0.2.1", config(51, 150), config(52, 150))
		b := s.plug("192.0.2.2", config(51, 100), config(52, 100))
		for _, vrid := range []uint8{51, 52} {
			b.await(vrid, "backup of a", func(s vrrp.Status) bool { return s.State == vrrp.Backup && s.Master == addrA })
		}
		b.whenTold(func(s vrrp.Status) {
			if s.VRID == 51 && s.State == vrrp.Master {
				b.loop.Placed(s.Name)
			}
		})
		a.loop.Shutdown()
		<-a.over
		const waits = 20 * time.Millisecond
		for _, vrid := range []uint8{51, 52} {
			all := a.notified(vrid)
			waited := all[len(all)-2].Since.Sub(b.awaitState(vrid, vrrp.Master).Since)
			if told := vrid == 51; told == (waited >= waits) {
				t.Errorf("VRID %d: advertised %s after it became master; told that it has its VIPs: %v", vrid, waited, told)
			}
		}
	})
}

func TestShutdownWithoutSuccessor(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		a := newBridge(t).plug("192.0.2.1", fastConfig(51, 150))
		a.awaitState(51, vrrp.Master)
		stopped := time.Now()
		a.loop.Shutdown()
		<-a.over
		all := a.notified(51)
		if gone := all[len(all)-1]; gone.Holding || gone.Reason != "nobody took over" {
			t.Errorf("gone: %+v", gone.Status)
		}
		if took, limit := time.Since(stopped), 300*time.Millisecond+200*time.Millisecond; took > limit {
			t.Errorf("took %s, more than %s", took, limit)
		}
	})
}

func TestShutdownOfABackupIsImmediate(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		b.loop.Shutdown()
		<-b.over
		if all := b.notified(51); all[len(all)-1].State != vrrp.Initialize || all[len(all)-1].Reason != "shutdown" {
			t.Errorf("gone: %+v", all[len(all)-1].Status)
		}
		if c := a.counters(51); c.AdvertsReceived != 0 {
			t.Errorf("the backup sent something: %+v", c)
		}
	})
}

func TestEndOfContextIsAbrupt(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		_, a, b := pair(t, 51)
		if err := a.kill(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := b.awaitState(51, vrrp.Master); !strings.HasPrefix(took.Reason, "no advertisement for ") {
			t.Errorf("b: %q", took.Reason)
		}
		if c := b.counters(51); c.PriorityZeroReceived != 0 {
			t.Error("a said good-bye")
		}
	})
}

func TestTwoHundredRouters(t *testing.T) {
	nstest.Undisturbed(t, func(t testing.TB) {
		var vrids []uint8
		for vrid := range 200 {
			vrids = append(vrids, uint8(vrid+10))
		}
		_, a, b := pair(t, vrids...)
		if n := len(a.loop.Status()); n != 200 {
			t.Fatalf("%d routers", n)
		}
		before := b.loop.Status()
		nstest.Eventually(t, "adverts of all keep coming", func() bool {
			for i, s := range b.loop.Status() {
				if s.Counters.AdvertsReceived == before[i].Counters.AdvertsReceived {
					return false
				}
			}
			return true
		})
		stalls, killed := nstest.WatchStalls(t), time.Now()
		if err := a.kill(); err != nil {
			t.Fatal(err)
		}
		for _, vrid := range vrids {
			b.awaitState(vrid, vrrp.Master)
		}
		stalled := stalls()
		limit := bound(fastConfig(51, 100)) + stalled
		for _, vrid := range vrids {
			if took := b.awaitState(vrid, vrrp.Master).at.Sub(killed); took > limit {
				t.Errorf("VRID %d was taken over after %s, more than %s; the machine stalled for %s", vrid, took, limit, stalled)
			}
		}
	})
}

func TestStalledBackupReadsBeforeItActs(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		s := newBridge(t)
		a := s.plug("192.0.2.1", fastConfig(51, 150))
		a.awaitState(51, vrrp.Master)
		stalled, goOn, once := make(chan struct{}), make(chan struct{}), sync.Once{}
		// The loop's thread is stopped for longer than its Active_Down_Interval, while it reports that it is backup.
		b := s.plugWith("192.0.2.2", func(st vrrp.Status) {
			if st.State == vrrp.Backup && !st.Master.IsValid() {
				once.Do(func() {
					close(stalled)
					<-goOn
				})
			}
		}, fastConfig(51, 100))
		<-stalled
		sent := a.counters(51).AdvertsSent
		nstest.Eventually(t, "a sent adverts meanwhile", func() bool { return a.counters(51).AdvertsSent >= sent+8 })
		close(goOn)
		b.await(51, "b hears a", func(s vrrp.Status) bool { return s.Master == addrA })
		received := b.counters(51).AdvertsReceived
		nstest.Eventually(t, "b goes on", func() bool { return b.counters(51).AdvertsReceived > received+3 })
		if n := b.counters(51).BecameMaster; n != 0 {
			t.Errorf("b became master %d times", n)
		}
	})
}

func TestLoopNeedsPrivilege(t *testing.T) {
	result := make(chan error)
	go func() {
		// The thread is not unlocked: it ends with this goroutine and its lack of privilege.
		runtime.LockOSThread()
		header, none := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
		if err := unix.Capset(&header, &none[0]); err != nil {
			result <- err
			return
		}
		result <- New("eth0", Options{}).Run(t.Context())
	}()
	if err := <-result; !strings.Contains(fmt.Sprint(err), "raw socket") || !errors.Is(err, unix.EPERM) {
		t.Errorf("Run: %v, want EPERM", err)
	}
}

func TestLoopLeavesNothing(t *testing.T) {
	s := newBridge(t)
	descriptors := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	// The bridge, the namespace and the watcher of the peer are there before and after.
	p := s.plug("192.0.2.1")
	p.loop.Shutdown()
	<-p.over
	nstest.Eventually(t, "the first loop ended", func() bool { return !slices.ContainsFunc(stacks(), isLoop) })
	before := descriptors()
	for _, end := range []func(*Loop, context.CancelFunc){
		func(l *Loop, _ context.CancelFunc) { l.Shutdown() },
		func(_ *Loop, cancel context.CancelFunc) { cancel() },
	} {
		l := New("eth0", Options{})
		l.Configure([]vrrp.Config{fastConfig(51, 255)})
		p.ns.Do(func() {
			link, err := netlink.LinkByName("eth0")
			if err != nil {
				t.Error(err)
				return
			}
			l.SetLink(vrrp.Link{Name: "eth0", Index: link.Attrs().Index, Up: true, Carrier: true, Addrs: prefixes("192.0.2.1/24")})
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go p.ns.Do(func() { done <- l.Run(ctx) })
		nstest.Eventually(t, "master", func() bool { all := l.Status(); return len(all) == 1 && all[0].State == vrrp.Master })
		end(l, cancel)
		if err := <-done; err != nil {
			t.Error(err)
		}
		cancel()
		if l.Shutdown(); l.event != -1 {
			t.Errorf("descriptor %d, closed, would still be written to", l.event)
		}
	}
	nstest.Eventually(t, "goroutines ended", func() bool { return !slices.ContainsFunc(stacks(), isLoop) })
	nstest.Eventually(t, "descriptors closed", func() bool { return descriptors() <= before })
}

func stacks() []string {
	b := make([]byte, 1<<20)
	return strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n")
}

func isLoop(stack string) bool {
	return strings.Contains(stack, "speaker.(*Loop)") || strings.Contains(stack, "speaker.(*ratelog)")
}
