// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

func TestSupervisorStartsNothingWithoutRouters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, message.Order{})
		time.Sleep(time.Hour)
		if len(b.children) != 0 || b.Running() {
			t.Fatalf("%d elections were started, running: %v", len(b.children), b.Running())
		}
		b.Configure(oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		if o := <-c.orders; len(o.Routers) != 1 || o.Leave {
			t.Fatalf("the first order is %+v", o)
		}

		if !b.Running() {
			t.Fatal("an election runs, and Running says that none does")
		}

		// The last router is removed: the election is ordered to leave, and no other election is started.
		b.Configure(message.Order{})
		if o := <-c.orders; !o.Leave {
			t.Fatalf("the order is %+v, want leave", o)
		}
		c.die(nil)
		time.Sleep(time.Hour)
		if len(b.children) != 1 || len(b.removed()) != 0 || b.Running() {
			t.Fatalf("%d elections, removed %v, running: %v", len(b.children), b.removed(), b.Running())
		}
		b.cancel()
		if err := <-b.done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestSupervisorCleansUpAfterADeadElectionAndStartsAnother(t *testing.T) {
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

		// The death of an election that lived long counts as the first again. The pause has a bound.
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
		b.end(b.child(t, 1))
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
		if took := time.Since(stopped); took != (&vrrp.Config{AdvertInterval: time.Second}).OfferTime()+leaveGrace {
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
		s := New(hclog.NewNullLogger(), func() (Child, error) { return c, nil }, func(message.Report) {})
		s.remove = func([]vrrp.Config) error { removed++; return nil }
		s.clock = func() message.Monotonic { return 0 }
		s.Configure(oneRouter("eth0", "192.0.2.100/24"))
		if err := s.runChild(t.Context()); err == nil || !c.killed.Load() {
			t.Errorf("err %v, killed %v", err, c.killed.Load())
		}
		if s.cleanUpAfter(errors.New("killed")); removed != 1 {
			t.Errorf("removed %d", removed)
		}
	})
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
		earliest, latest := b.clock().Add(1800*time.Millisecond), b.clock().Add(2*time.Second)
		if len(o.Resume) != 1 || o.Resume[0].Name != "web" || o.Resume[0].Before > latest || o.Resume[0].Before < earliest {
			t.Errorf("the next election is to resume %v at %v", o.Resume, b.clock())
		}
		if len(b.removed()) != 0 {
			t.Errorf("removed %v", b.removed())
		}

		// It dies before it has carried out an order: the deadline for resuming stays the same.
		before := o.Resume[0].Before
		c.die(errors.New("signal: killed"))
		time.Sleep(firstPause)
		c = b.child(t, 2)
		if o := <-c.orders; len(o.Resume) != 1 || o.Resume[0].Before != before {
			t.Errorf("the one after that is to resume %v, want before %v", o.Resume, before)
		}
		// This one carries out no order at all: the peer is about to take over.
		time.Sleep(1900 * time.Millisecond)
		synctest.Wait()
		if len(b.removed()) != 0 {
			t.Errorf("removed %v too early", b.removed())
		}
		time.Sleep(100*time.Millisecond + vrrp.Linger)
		synctest.Wait()
		if len(b.removed()) != 1 {
			t.Errorf("removed %v when it was too late to resume", b.removed())
		}
		b.end(c)
	})
}

func TestSupervisorLeavesTheAddressesToAnElectionThatObeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		b.child(t, 0).report(t, master(1, time.Second))
		b.child(t, 0).die(errors.New("signal: killed"))
		c := b.child(t, 1)
		c.report(t, message.Report{}) // it waits for its predecessor
		c.report(t, master(1, time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(b.removed()) != 0 {
			t.Errorf("removed %v", b.removed())
		}
		b.end(c)
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
		b.end(b.child(t, 1))
	})
}

// A startup delay counts from the start of the director, not from that of an election.
func TestSupervisorDoesNotRestartStartupDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		order := oneRouter("eth0", "192.0.2.100/24")
		order.Routers[0].StartupDelay = 10 * time.Second
		b := start(t, order)
		for i, want := range []time.Duration{10 * time.Second, 4 * time.Second, 0} {
			c := b.child(t, i)
			if o := <-c.orders; o.Routers[0].StartupDelay != want {
				t.Errorf("election %d has a delay of %v, want %v", i, o.Routers[0].StartupDelay, want)
			}
			time.Sleep(6 * time.Second)
			c.die(errors.New("signal: killed"))
			time.Sleep(time.Second)
		}
		b.end(b.child(t, 3))
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
		c.report(t, r) // it still holds addresses: the old one may be among them
		r.Routers[0].Holding, r.Routers[0].State = false, vrrp.Backup
		c.report(t, r)
		c.die(errors.New("signal: killed"))
		synctest.Wait()
		if want := []string{"eth0 192.0.2.101/24"}; !slices.Equal(b.removed(), want) {
			t.Errorf("removed %v, want %v", b.removed(), want)
		}
		b.end(b.child(t, 1))
	})
}
