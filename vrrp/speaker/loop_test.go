// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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
	"github.com/tandem-lvs/tandem/vrrp/link"
)

// fastConfig is a virtual router at an interval that a test can wait for.
func fastConfig(vrid, priority uint8) vrrp.Config {
	c := testConfig(priority)
	c.Name, c.VRID, c.AdvertInterval = fmt.Sprintf("router %d", vrid), vrid, 100*time.Millisecond
	c.VIPs = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, vrid}), 24)}
	return c
}

// bound is the longest time in which a router replaces a silent master, with room for a slow machine.
func bound(c vrrp.Config) time.Duration {
	return 3*c.AdvertInterval + vrrp.Skew(c.Priority, c.AdvertInterval) + 200*time.Millisecond
}

// A segment is a bridge in a namespace of its own. Peers are connected to it.
type segment struct {
	t  *testing.T
	ns *nstest.NS
}

func newBridge(t *testing.T) *segment {
	t.Helper()
	s := &segment{t, nstest.New(t)}
	nstest.Command(t, s.ns, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "br0"
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return err
		}
		return nstest.Device("br0", netlink.LinkSetUp)()
	})
	return s
}

// A peer is a loop on eth0 of a namespace of its own, with a Watcher of eth0.
type peer struct {
	t    *testing.T
	ns   *nstest.NS
	port string // the bridge's side of the cable
	loop *Loop
	kill func() error  // ends Run's context and waits
	over chan struct{} // closed when Run has returned
	err  error         // of Run, once over

	mu   sync.Mutex
	told []sighting
}

type sighting struct {
	at time.Time
	vrrp.Status
}

// plug makes a machine with the address addr, "" for none, and starts its loop.
func (s *segment) plug(addr string, routers ...vrrp.Config) *peer {
	s.t.Helper()
	return s.plugWith(addr, nil, routers...)
}

// plugWith is plug with an observer, which is called on the loop's thread.
func (s *segment) plugWith(addr string, observe func(vrrp.Status), routers ...vrrp.Config) *peer {
	s.t.Helper()
	return s.plugLoop(addr, Options{Notify: observe}, func(l *Loop) { l.Configure(routers) })
}

// plugLoop is plug with options, and with a function that is called before the loop runs.
func (s *segment) plugLoop(addr string, o Options, first func(*Loop)) *peer {
	s.t.Helper()
	p := &peer{t: s.t, ns: nstest.New(s.t), port: "to-" + addr, over: make(chan struct{})}
	nstest.Veth(s.t, p.ns, "eth0", s.ns, p.port)
	nstest.Command(s.t, s.ns, nstest.Device(p.port, func(l netlink.Link) error {
		br, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		return netlink.LinkSetMaster(l, br)
	}))
	if addr != "" {
		nstest.Command(s.t, p.ns, nstest.AddTo("eth0", addr+"/24"))
	}
	observe := o.Notify
	o.Notify = func(st vrrp.Status) {
		p.note(st)
		if observe != nil {
			observe(st)
		}
	}
	p.loop = New("eth0", o)
	first(p.loop)
	w := link.NewWatcher(nil, p.loop.SetLink)
	w.Watch([]string{"eth0"})
	nstest.RunIn(s.t, p.ns, w.Run)
	p.kill = nstest.RunIn(s.t, p.ns, func(ctx context.Context) error {
		defer close(p.over)
		p.err = p.loop.Run(ctx)
		return p.err
	})
	return p
}

func (p *peer) note(s vrrp.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, sighting{time.Now(), s})
}

// notified returns the statuses of a router so far.
func (p *peer) notified(vrid uint8) (all []sighting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.told {
		if s.VRID == vrid {
			all = append(all, s)
		}
	}
	return all
}

// await waits for a status of the router that satisfies ok.
func (p *peer) await(vrid uint8, what string, ok func(vrrp.Status) bool) sighting {
	p.t.Helper()
	var last sighting
	nstest.Eventually(p.t, what, func() bool {
		if all := p.notified(vrid); len(all) > 0 {
			last = all[len(all)-1]
		}
		return last.VRID == vrid && ok(last.Status)
	})
	return last
}

func (p *peer) awaitState(vrid uint8, s vrrp.State) sighting {
	p.t.Helper()
	return p.await(vrid, fmt.Sprintf("%s is %s", p.port, s), func(now vrrp.Status) bool { return now.State == s })
}

func (p *peer) counters(vrid uint8) vrrp.Counters {
	for _, s := range p.loop.Status() {
		if s.VRID == vrid {
			return s.Counters
		}
	}
	return vrrp.Counters{}
}

func (s *segment) setPort(p *peer, set func(netlink.Link) error) {
	s.t.Helper()
	nstest.Command(s.t, s.ns, nstest.Device(p.port, set))
}

// pair returns a master at priority 150 and then its backup at 100, for each of the VRIDs.
func pair(t *testing.T, vrids ...uint8) (s *segment, a, b *peer) {
	t.Helper()
	var strong, weak []vrrp.Config
	for _, vrid := range vrids {
		strong, weak = append(strong, fastConfig(vrid, 150)), append(weak, fastConfig(vrid, 100))
	}
	s = newBridge(t)
	a = s.plug("192.0.2.1", strong...)
	for _, vrid := range vrids {
		a.awaitState(vrid, vrrp.Master)
	}
	b = s.plug("192.0.2.2", weak...)
	for _, vrid := range vrids {
		b.await(vrid, "backup of a", func(s vrrp.Status) bool { return s.State == vrrp.Backup && s.Master == addrA })
	}
	return s, a, b
}

func TestLoopsElect(t *testing.T) {
	t.Parallel()
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
}

func TestLoopTakesOverWhenTheCableIsCut(t *testing.T) {
	t.Parallel()
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
}

func TestShutdownHandsOver(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t, 51, 52)
	a.loop.Shutdown()
	<-a.over
	if a.err != nil {
		t.Errorf("Run: %v", a.err)
	}
	for _, vrid := range []uint8{51, 52} {
		took := b.awaitState(vrid, vrrp.Master)
		if took.Reason != "priority 0 heard from 192.0.2.1" {
			t.Errorf("b: %q", took.Reason)
		}
		all := a.notified(vrid)
		offered, left, gone := all[len(all)-3], all[len(all)-2], all[len(all)-1]
		if offered.State != vrrp.Master || !offered.Holding || !offered.HandingOver || offered.Reason != "shutdown" {
			t.Errorf("offering: %+v", offered.Status)
		}
		if left.State != vrrp.Initialize || !left.Holding || !left.HandingOver || left.Reason != "192.0.2.2 took over" {
			t.Errorf("leaving: %+v", left.Status)
		}
		if gone.State != vrrp.Initialize || gone.Holding || gone.HandingOver || gone.Reason != "192.0.2.2 took over" {
			t.Errorf("gone: %+v", gone.Status)
		}
		if limit := 100*time.Millisecond + 200*time.Millisecond; left.at.Sub(offered.at) > limit {
			t.Errorf("the hand-over took %s, more than a skew time", left.at.Sub(offered.at))
		}
		if lingered := gone.at.Sub(took.at); lingered < vrrp.Linger/2 || lingered > vrrp.Linger+200*time.Millisecond {
			t.Errorf("let go %s after the successor was master, want about %s", lingered, vrrp.Linger)
		}
	}
	if left := a.loop.Status(); len(left) != 0 {
		t.Errorf("still there: %+v", left)
	}
}

func TestShutdownWithoutSuccessor(t *testing.T) {
	t.Parallel()
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
}

func TestShutdownOfABackupIsImmediate(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t, 51)
	b.loop.Shutdown()
	<-b.over
	if all := b.notified(51); all[len(all)-1].State != vrrp.Initialize || all[len(all)-1].Reason != "shutdown" {
		t.Errorf("gone: %+v", all[len(all)-1].Status)
	}
	if c := a.counters(51); c.AdvertsReceived != 0 {
		t.Errorf("the backup sent something: %+v", c)
	}
}

func TestEndOfContextIsAbrupt(t *testing.T) {
	t.Parallel()
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
}

func TestTwoHundredRouters(t *testing.T) {
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
	killed := time.Now()
	if err := a.kill(); err != nil {
		t.Fatal(err)
	}
	limit := bound(fastConfig(51, 100))
	for _, vrid := range vrids {
		if took := b.awaitState(vrid, vrrp.Master).at.Sub(killed); took > limit {
			t.Errorf("VRID %d was taken over after %s, more than %s", vrid, took, limit)
		}
	}
}

func TestStalledBackupReadsBeforeItActs(t *testing.T) {
	t.Parallel()
	s := newBridge(t)
	a := s.plug("192.0.2.1", fastConfig(51, 150))
	a.awaitState(51, vrrp.Master)
	stalled, goOn := make(chan struct{}), make(chan struct{})
	// The loop's thread is stopped for longer than its Active_Down_Interval, while it reports that it is backup.
	b := s.plugWith("192.0.2.2", func(st vrrp.Status) {
		if st.State == vrrp.Backup && !st.Master.IsValid() {
			close(stalled)
			<-goOn
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
