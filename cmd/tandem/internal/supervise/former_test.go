// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
)

// A fakeFormer is a former election.
type fakeFormer struct {
	dead       chan error
	stubborn   bool // it does not leave
	terminated int
	killed     int
}

func (f *fakeFormer) Wait() error                              { return <-f.dead }
func (f *fakeFormer) Spoke(message.RouterID) message.Monotonic { return 0 }
func (f *fakeFormer) Close() error                             { return nil }

func (f *fakeFormer) Terminate() error {
	if f.terminated++; !f.stubborn {
		f.dead <- nil
	}
	return nil
}

func (f *fakeFormer) Kill() error {
	f.killed++
	f.dead <- errors.New("signal: killed")
	return nil
}

// adopted starts a supervisor that has a former election, which is master.
func adopted(t *testing.T) (*bench, *fakeFormer, message.Order) {
	t.Helper()
	f := &fakeFormer{dead: make(chan error, 10)}
	order := oneRouter("eth0", "192.0.2.100/24")
	order.Routers[0].StartupDelay = time.Minute
	b := startAfter(t, order, hclog.NewNullLogger(), func() {}, func(b *bench) {
		former := order
		former.Sequence = 7
		b.Adopt(f, former, master(7, time.Second))
	})
	return b, f, order
}

// TestFormerGoesOn: while no election of this version has taken over, its death removes nothing. The next one is started.
func TestFormerGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, _ := adopted(t)
		for i := range 3 {
			c := b.child(t, i)
			if o := <-c.orders; len(o.Resume) != 0 || o.Sequence != 8 || o.Routers[0].StartupDelay != 0 {
				t.Errorf("order %+v", o)
			}
			c.report(t, message.Report{Problem: "waiting", Succeeding: true})
			c.die(errors.New("exit status 1"))
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if len(b.removed()) != 0 || f.killed+f.terminated != 0 || b.Restarts() != 3 || !strings.Contains(b.Waiting(), "exit status 1") {
			t.Errorf("removed %v, %+v, %d restarts, %q", b.removed(), f, b.Restarts(), b.Waiting())
		}
		if last := b.reports[len(b.reports)-1]; !strings.Contains(last.Problem, "the former version goes on") {
			t.Errorf("%+v", last)
		}
		c := b.child(t, 3)
		<-c.orders
		c.report(t, func() message.Report { r := master(8, time.Second); r.Succeeding = true; return r }())
		time.Sleep(formerTimeout * 2)
		if synctest.Wait(); f.killed != 0 || b.Waiting() == "" {
			t.Error("the former one has not been told yet")
		}
		c.report(t, master(8, time.Second))
		f.dead <- nil
		synctest.Wait()
		if b.Waiting() != "" {
			t.Error(b.Waiting())
		}
		b.end(c)
		if len(b.removed()) != 0 || f.killed+f.terminated != 0 {
			t.Errorf("removed %v, %+v", b.removed(), f)
		}
	})
}

// TestFormerDiesToo: the next election resumes what the former one was master of.
func TestFormerDiesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, _ := adopted(t)
		c := b.child(t, 0)
		<-c.orders
		c.report(t, message.Report{Problem: "waiting", Succeeding: true})
		f.dead <- errors.New("signal: killed")
		c.die(errors.New("exit status 1"))
		c = b.child(t, 1)
		if o := <-c.orders; len(o.Resume) != 1 || len(b.removed()) != 0 {
			t.Errorf("resume %v, removed %v", o.Resume, b.removed())
		}
		c.report(t, master(8, time.Second))
		b.end(c)
	})
}

// TestFormerDoesNotEnd: it is killed when another one has taken over.
func TestFormerDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f, _ := adopted(t)
		c := b.child(t, 0)
		<-c.orders
		c.report(t, master(8, time.Second))
		time.Sleep(formerTimeout + time.Millisecond)
		if synctest.Wait(); f.killed != 1 || b.Waiting() != "" {
			t.Errorf("%+v, %q", f, b.Waiting())
		}
		b.end(c)
	})
}

// TestStopWithFormer: it hands over and leaves with its director. If it does not, it is killed and its addresses are removed.
func TestStopWithFormer(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b, f, _ := adopted(t)
			f.stubborn = stubborn
			c := b.child(t, 0)
			b.end(c)
			if f.terminated != 1 || (f.killed == 1) != stubborn || (len(b.removed()) == 1) != stubborn {
				t.Errorf("%+v, removed %v", f, b.removed())
			}
		})
	}
}

// TestHandOffOfAChild: the election is told to wait for a successor, and is told otherwise when none came.
func TestHandOffOfAChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		order := oneRouter("eth0", "192.0.2.100/24")
		b := start(t, order)
		c := b.child(t, 0)
		<-c.orders
		c.report(t, master(1, time.Second))
		go func() {
			if o := <-c.orders; !o.HandOff {
				t.Errorf("order %+v", o)
			}
			r := master(1, time.Second)
			r.HandOff = true
			_ = json.NewEncoder(c.far).Encode(r)
		}()
		// A fake child has no descriptors.
		if _, _, err := b.HandOff(t.Context()); err == nil || !strings.Contains(err.Error(), "does not run") {
			t.Error(err)
		}
		if o := <-c.orders; o.HandOff {
			t.Error("it still waits for a successor")
		}
		c.report(t, master(1, time.Second))
		if _, _, err := b.HandOff(t.Context()); err == nil || !strings.Contains(err.Error(), "not ready for a successor within 3s") {
			t.Error(err)
		}
		b.end(c)
	})
}

// TestPassAndInherit: an election process that is passed on is the same one, and knows that its director lives.
func TestPassAndInherit(t *testing.T) {
	t.Setenv(childVar, "1")
	child, err := Spawn(false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(child, make([]byte, len("up\n"))); err != nil {
		t.Fatal(err)
	}
	e, end, err := describe(child, oneRouter("eth0", "192.0.2.100/24"), message.Report{}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	inherited := *e
	for _, fd := range []*int{&inherited.Socket, &inherited.Board} { // as if this were another program
		if *fd, err = syscall.Dup(*fd); err != nil {
			t.Fatal(err)
		}
	}
	end()
	if err := child.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Inherit(inherited)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Spoke(message.RouterID{Interface: "eth0", Name: "web"}); got != 51 {
		t.Errorf("the router has last advertised at %d, want 51", got)
	}
	ended := make(chan error, 1)
	go func() { ended <- f.Wait() }()
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := Inherit(handoff.Election{PID: os.Getpid(), Socket: 1 << 20, Board: 1 << 20}); err == nil {
		t.Error("no error without descriptors")
	}
}
