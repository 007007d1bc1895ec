// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
)

// A fakeChild is an election process that does what its test wants.
type fakeChild struct {
	net.Conn          // the director's end
	far      net.Conn // the election's end
	born     time.Time
	dead     chan error
	killed   atomic.Bool
	orders   chan Order
	stopped  chan struct{} // closed: no sign of life any more
	stop     func()
}

func newFakeChild() *fakeChild {
	near, far := net.Pipe()
	c := &fakeChild{Conn: near, far: far, born: time.Now(), dead: make(chan error, 1), orders: make(chan Order, 100), stopped: make(chan struct{})}
	c.stop = sync.OnceFunc(func() { close(c.stopped) })
	go func() {
		for {
			select {
			case <-c.stopped:
				return
			case <-time.After(beatInterval):
			}
			if json.NewEncoder(far).Encode(Report{Beat: true}) != nil {
				return
			}
		}
	}()
	go func() {
		in := json.NewDecoder(far)
		for {
			var o Order
			if in.Decode(&o) != nil {
				close(c.orders)
				return
			}
			c.orders <- o
		}
	}()
	return c
}

func (c *fakeChild) Wait() error { return <-c.dead }

func (c *fakeChild) Kill() error {
	c.killed.Store(true)
	c.die(errors.New("signal: killed"))
	return nil
}

func (c *fakeChild) die(err error) {
	c.stop()
	_ = c.far.Close()
	c.dead <- err
}

// A bench is a supervisor with its fake children and what it did.
type bench struct {
	*Supervisor
	cancel context.CancelFunc
	done   chan error

	skipped atomic.Int64 // for how long all processes stood still, in nanoseconds

	mu       sync.Mutex
	children []*fakeChild
	taken    []string
	reports  []Report
}

func start(t *testing.T, order Order) *bench {
	b := &bench{done: make(chan error, 1)}
	b.Supervisor = NewSupervisor(hclog.NewNullLogger(), func() (Child, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		c := newFakeChild()
		b.children = append(b.children, c)
		return c, nil
	}, func(r Report) { b.reports = append(b.reports, r) })
	b.Supervisor.remove = func(routers []vrrp.Config) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range routers {
			b.taken = append(b.taken, c.Interface+" "+c.VIPs[0].String())
		}
		return nil
	}
	epoch := time.Now()
	b.clock = func() monotonic { return monotonic(time.Since(epoch)).add(time.Duration(b.skipped.Load())) }
	b.Configure(order)
	ctx, cancel := context.WithCancel(t.Context())
	b.cancel = cancel
	go func() { b.done <- b.Run(ctx) }()
	synctest.Wait()
	return b
}

// skip lets the clock go on while no process runs.
func (b *bench) skip(d time.Duration) { b.skipped.Add(int64(d)) }

// removed are the addresses that were taken off, sorted.
func (b *bench) removed() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(slices.Values(b.taken))
}

func (b *bench) child(t *testing.T, i int) *fakeChild {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.children) <= i {
		t.Fatalf("%d elections were started, want at least %d", len(b.children), i+1)
	}
	return b.children[i]
}

func oneRouter(iface, vip string) Order {
	return Order{Routers: []Router{{Config: vrrp.Config{
		Name: "web", Interface: iface, VRID: 51, AdvertInterval: time.Second, VIPs: []netip.Prefix{netip.MustParsePrefix(vip)},
	}}}}
}

func TestSupervisorStartsNothingWithoutRouters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Order{})
		time.Sleep(time.Hour)
		if len(b.children) != 0 {
			t.Fatalf("%d elections were started", len(b.children))
		}
		b.Configure(oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		if o := <-c.orders; len(o.Routers) != 1 || o.Leave {
			t.Fatalf("the first order is %+v", o)
		}

		// The last router goes: the election is told to leave, and none is started again.
		b.Configure(Order{})
		if o := <-c.orders; !o.Leave {
			t.Fatalf("the order is %+v, want leave", o)
		}
		c.die(nil)
		time.Sleep(time.Hour)
		if len(b.children) != 1 || len(b.removed()) != 0 {
			t.Fatalf("%d elections, removed %v", len(b.children), b.removed())
		}
		b.cancel()
		if err := <-b.done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestSupervisorCleansUpBehindADeadElectionAndStartsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		wantPauses := []time.Duration{0, 20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond}
		for i, pause := range wantPauses {
			c := b.child(t, i)
			died := time.Now()
			c.die(errors.New("signal: killed"))
			time.Sleep(pause)
			if next := b.child(t, i+1); next.born.Sub(died) != pause {
				t.Errorf("election %d was started %v after the death of the one before, want %v", i+1, next.born.Sub(died), pause)
			}
			if len(b.removed()) != i+1 || b.removed()[i] != "eth0 192.0.2.100/24" {
				t.Fatalf("removed %v after %d deaths", b.removed(), i+1)
			}
		}
		if got := b.Restarts(); got != 4 {
			t.Errorf("%d restarts are counted, want 4", got)
		}

		// One that lived for long has its death forgiven, and the pause never grows beyond its bound.
		time.Sleep(time.Minute)
		b.child(t, 4).die(errors.New("signal: killed"))
		b.child(t, 5)
		for i := 5; i < 20; i++ {
			b.child(t, i).die(errors.New("exit status 1"))
			time.Sleep(maxPause)
		}
		last := b.child(t, 20)
		b.cancel()
		synctest.Wait()
		last.die(nil)
		if err := <-b.done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestSupervisorRemovesWhatTheElectionHadAndTheFileNoLongerHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := oneRouter("eth1", "198.51.100.1/32")
		old.Routers[0].Name = "old"
		b := start(t, old)
		c := b.child(t, 0)
		<-c.orders
		b.Configure(oneRouter("eth0", "192.0.2.100/24"))
		<-c.orders
		c.die(errors.New("signal: killed"))
		synctest.Wait()
		if want := []string{"eth0 192.0.2.100/24", "eth1 198.51.100.1/32"}; !slices.Equal(b.removed(), want) {
			t.Errorf("removed %v, want %v", b.removed(), want)
		}
		b.cancel()
		synctest.Wait()
		b.child(t, 1).die(nil)
		<-b.done
	})
}

func TestSupervisorWaitsForTheHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		<-c.orders
		b.cancel()
		if o := <-c.orders; !o.Leave {
			t.Fatalf("the order is %+v, want leave", o)
		}
		time.Sleep(3 * time.Second)
		select {
		case err := <-b.done:
			t.Fatalf("Run returned %v while the election handed over", err)
		default:
		}
		c.die(nil)
		if err := <-b.done; err != nil || c.killed.Load() || len(b.removed()) != 0 {
			t.Errorf("err %v, killed %v, removed %v", err, c.killed.Load(), b.removed())
		}
	})
}

func TestSupervisorKillsAnElectionThatDoesNotLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		stopped := time.Now()
		b.cancel()
		if err := <-b.done; err == nil {
			t.Error("Run reports success")
		}
		if took := time.Since(stopped); took != 3*time.Second+leaveGrace {
			t.Errorf("it was killed after %v", took)
		}
		if !c.killed.Load() || len(b.removed()) != 1 {
			t.Errorf("killed %v, removed %v", c.killed.Load(), b.removed())
		}
	})
}

func TestSupervisorKillsAnElectionThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := &fakeChild{Conn: near, far: far, dead: make(chan error, 1), stop: func() {}}
		removed := 0
		s := NewSupervisor(hclog.NewNullLogger(), func() (Child, error) { return c, nil }, func(Report) {})
		s.remove = func([]vrrp.Config) error { removed++; return nil }
		s.clock = func() monotonic { return 0 }
		s.Configure(oneRouter("eth0", "192.0.2.100/24"))
		if err := s.runChild(t.Context()); err == nil || !c.killed.Load() {
			t.Errorf("err %v, killed %v", err, c.killed.Load())
		}
		if s.bury(errors.New("killed"), 0); removed != 1 {
			t.Errorf("removed %d", removed)
		}
	})
}

// master is a report that the only router is master.
func master(sequence uint64, interval time.Duration) Report {
	return Report{Sequence: sequence, Routers: []vrrp.Status{{
		Name: "web", Interface: "eth0", State: vrrp.Master, Holding: true, AdvertInterval: interval,
		VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
	}}}
}

func (c *fakeChild) report(t *testing.T, r Report) {
	t.Helper()
	if err := json.NewEncoder(c.far).Encode(r); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func TestSupervisorLetsTheNextElectionResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		if o := <-c.orders; len(o.Resume) != 0 {
			t.Errorf("the first election is to resume %v", o.Resume)
		}
		c.report(t, master(1, time.Second))
		c.die(errors.New("signal: killed"))
		c = b.child(t, 1)
		o := <-c.orders
		if len(o.Resume) != 1 || o.Resume[0].Name != "web" || o.Resume[0].Before > b.clock().add(2*time.Second) || o.Resume[0].Before < b.clock().add(1800*time.Millisecond) {
			t.Errorf("the next election is to resume %v at %v", o.Resume, b.clock())
		}
		if len(b.removed()) != 0 {
			t.Errorf("removed %v", b.removed())
		}

		// It dies before it has done anything: the time left does not begin anew.
		before := o.Resume[0].Before
		c.die(errors.New("signal: killed"))
		time.Sleep(firstPause)
		c = b.child(t, 2)
		if o := <-c.orders; len(o.Resume) != 1 || o.Resume[0].Before != before {
			t.Errorf("the one after that is to resume %v, want before %v", o.Resume, before)
		}
		// And this one does nothing at all: the peer is about to take over.
		time.Sleep(1900 * time.Millisecond)
		synctest.Wait()
		if len(b.removed()) != 0 {
			t.Errorf("removed %v too early", b.removed())
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if len(b.removed()) != 1 {
			t.Errorf("removed %v when it was too late to resume", b.removed())
		}
		b.cancel()
		synctest.Wait()
		c.die(nil)
		<-b.done
	})
}

func TestSupervisorLeavesTheAddressesToAnElectionThatObeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		b.child(t, 0).report(t, master(1, time.Second))
		b.child(t, 0).die(errors.New("signal: killed"))
		c := b.child(t, 1)
		c.report(t, Report{}) // it waits for its place
		c.report(t, master(1, time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(b.removed()) != 0 {
			t.Errorf("removed %v", b.removed())
		}
		b.cancel()
		synctest.Wait()
		c.die(nil)
		<-b.done
	})
}

func TestSupervisorDoesNotLetResumeAtShortIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		b.child(t, 0).report(t, master(1, 10*time.Millisecond))
		b.child(t, 0).die(errors.New("signal: killed"))
		c := b.child(t, 1)
		if o := <-c.orders; len(o.Resume) != 0 || len(b.removed()) != 1 {
			t.Errorf("resume %v, removed %v", o.Resume, b.removed())
		}
		b.cancel()
		synctest.Wait()
		c.die(nil)
		<-b.done
	})
}

func TestSupervisorEndsAnElectionWithoutASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		c.report(t, master(1, time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		if c.killed.Load() {
			t.Fatal("it was killed while it lived")
		}
		c.stop()
		hung := time.Now()
		time.Sleep(hungTimeout + 2*pulseInterval)
		next := b.child(t, 1)
		if took := next.born.Sub(hung); !c.killed.Load() || took < hungTimeout {
			t.Errorf("killed %v, the next was started after %v", c.killed.Load(), took)
		}
		// The peer is master by now: nothing is left to resume, and the address is off.
		if o := <-next.orders; len(o.Resume) != 0 || len(b.removed()) != 1 {
			t.Errorf("resume %v, removed %v", o.Resume, b.removed())
		}
		b.cancel()
		synctest.Wait()
		next.die(nil)
		<-b.done
	})
}

func TestSupervisorDoesNotLetResumeWhatHadBeenStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		c.report(t, master(1, time.Second))
		c.stop()
		time.Sleep(2500 * time.Millisecond)
		c.die(errors.New("signal: killed"))
		c = b.child(t, 1)
		if o := <-c.orders; len(o.Resume) != 0 || len(b.removed()) != 1 {
			t.Errorf("resume %v, removed %v", o.Resume, b.removed())
		}
		b.cancel()
		synctest.Wait()
		c.die(nil)
		<-b.done
	})
}

// The signs of life of an election that stood still come back before it tells who is master now.
func TestSupervisorDoesNotLetResumeWhatWokeUpAndDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		c.report(t, master(1, time.Second))
		c.stop()
		time.Sleep(2500 * time.Millisecond)
		c.report(t, Report{Beat: true})
		c.die(errors.New("signal: killed"))
		c = b.child(t, 1)
		if o := <-c.orders; len(o.Resume) != 0 || len(b.removed()) != 1 {
			t.Errorf("resume %v, removed %v", o.Resume, b.removed())
		}
		b.cancel()
		synctest.Wait()
		c.die(nil)
		<-b.done
	})
}

// The whole machine stood still, or all of its processes: the director does not hold it against the election.
func TestSupervisorSparesAnElectionThatStoodStillWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		c.report(t, master(1, time.Second))
		c.stop()
		// The tick that was due in the stop carries the moment when it was due.
		b.skip(hungTimeout)
		time.Sleep(pulseInterval)
		synctest.Wait()
		if c.killed.Load() {
			t.Error("it was killed")
		}
		time.Sleep(hungTimeout + pulseInterval)
		synctest.Wait()
		if !c.killed.Load() {
			t.Error("it gave no sign of life afterwards, and was not killed")
		}
		b.cancel()
		synctest.Wait()
		b.child(t, 1).die(nil)
		<-b.done
	})
}

func TestSupervisorReportsThatNoElectionRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		c.report(t, master(1, time.Second))
		c.die(errors.New("signal: killed"))
		synctest.Wait()
		if last := b.reports[len(b.reports)-1]; last.Problem == "" || len(last.Routers) != 0 {
			t.Errorf("the last report is %+v", last)
		}
		b.cancel()
		synctest.Wait()
		b.child(t, 1).die(nil)
		<-b.done
	})
}

func TestSupervisorForgetsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := oneRouter("eth0", "192.0.2.100/24")
		b := start(t, old)
		c := b.child(t, 0)
		b.Configure(oneRouter("eth0", "192.0.2.101/24"))
		synctest.Wait()
		r := master(2, time.Second)
		c.report(t, r) // it holds something yet, and may be handing the old address over
		r.Routers[0].Holding, r.Routers[0].State = false, vrrp.Backup
		c.report(t, r)
		c.die(errors.New("signal: killed"))
		synctest.Wait()
		if want := []string{"eth0 192.0.2.101/24"}; !slices.Equal(b.removed(), want) {
			t.Errorf("removed %v, want %v", b.removed(), want)
		}
		b.cancel()
		synctest.Wait()
		b.child(t, 1).die(nil)
		<-b.done
	})
}
