// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/logsink"
	"github.com/tandem-lvs/tandem/vrrp"
)

// unread returns a log whose reader never reads. It is like that of a director whose standard error is a full pipe.
func unread(t *testing.T) hclog.Logger {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() }) // the writer of the log then gets an error
	sink := logsink.New(out)
	log := hclog.New(&hclog.LoggerOptions{Output: sink, Level: hclog.Debug})
	go sink.Run(log) // ends with the process
	for range 100 {
		_, _ = sink.Write(make([]byte, 1000)) // the pipe holds 64 KiB
	}
	return log
}

// An election that lives is not killed, even if the consumer of the reports and the reader of the log hang.
func TestSupervisorSparesAnElectionWhileItsConsumerHangs(t *testing.T) {
	log := unread(t)
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		b := startWith(t, oneRouter("eth0", "192.0.2.100/24"), log, func() { <-hang })
		c := b.child(t, 0)
		for range 100 {
			c.report(t, master(1, time.Second))
			time.Sleep(time.Second)
		}
		b.Configure(oneRouter("eth0", "192.0.2.100/24"))
		began := time.Now()
		b.Refresh()
		if took := time.Since(began); took > refreshTimeout {
			t.Errorf("Refresh took %v", took)
		}
		if c.killed.Load() || b.Restarts() != 0 {
			t.Error("the election was killed")
		}
		if orders := len(c.orders); orders < 2 {
			t.Errorf("%d orders were sent, want 2 and a question", orders)
		}
		close(hang)
		synctest.Wait()
		if len(b.reports) != 2 {
			t.Errorf("%d reports were delivered, want the first and the latest", len(b.reports))
		}
		b.end(c)
	})
}

// If an election hangs or dies, its addresses are removed and the next election starts, even if the consumer of the reports
// hangs.
func TestSupervisorRemovesAddressesWhileItsConsumerHangs(t *testing.T) {
	log := unread(t)
	for _, dies := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			hang := make(chan struct{})
			b := startWith(t, oneRouter("eth0", "192.0.2.100/24"), log, func() { <-hang })
			c := b.child(t, 0)
			standby := master(1, time.Second) // nothing to resume
			standby.Routers[0].State = vrrp.Backup
			c.report(t, standby)
			if dies {
				c.die(errors.New("signal: killed"))
			} else {
				c.stop()
				time.Sleep(hungTimeout + maxLate)
			}
			b.nothingToResume(t, b.child(t, 1))
			b.cancel()
			synctest.Wait()
			b.child(t, 1).die(nil)
			began := time.Now()
			if err := <-b.done; err != nil || time.Since(began) > joinTimeout {
				t.Errorf("Run returned %v after %v", err, time.Since(began))
			}
			close(hang)
		})
	}
}

// If a killed election does not end, because one of its threads waits for a frozen disk, its addresses are removed all the
// same.
func TestSupervisorRemovesTheAddressesOfAProcessThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		c.lingers = true
		c.report(t, master(1, time.Second))
		c.stop()
		time.Sleep(hungTimeout + maxLate + deathTimeout)
		b.nothingToResume(t, b.child(t, 1))
		c.die(errors.New("signal: killed"))
		b.end(b.child(t, 1))
	})
}

// If the start of an election hangs, perhaps on a disk, the addresses of the former election are removed.
func TestSupervisorRemovesAddressesWhileAStartHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		c.report(t, master(1, time.Second))
		hang, spawn := make(chan struct{}), b.spawn
		b.spawn = func() (Child, error) {
			<-hang
			return spawn()
		}
		c.die(errors.New("signal: killed"))
		time.Sleep(2*time.Second + vrrp.Linger)
		synctest.Wait()
		if len(b.removed()) != 1 {
			t.Errorf("removed %v", b.removed())
		}
		close(hang)
		b.nothingToResume(t, b.child(t, 1))
		b.end(b.child(t, 1))
	})
}

// A director that was stopped for 10 s finds the signs of life in the socket when it continues.
func TestSupervisorThatWasStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		c.report(t, master(1, time.Second))
		for range 10 {
			b.skip(10 * time.Second)
			time.Sleep(700 * time.Millisecond)
		}
		if c.killed.Load() || len(b.removed()) != 0 || b.Restarts() != 0 {
			t.Errorf("killed %v, removed %v", c.killed.Load(), b.removed())
		}
		b.end(c)
	})
}

// If a director was stopped while it wrote an order, it does not kill the election when the deadline of the write has passed.
func TestSupervisorThatWasStoppedWhileItWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		b := &bench{}
		b.Supervisor = New(hclog.NewNullLogger(), nil, nil)
		epoch := time.Now()
		b.clock = func() (m message.Monotonic) { return m.Add(time.Since(epoch) + time.Duration(b.skipped.Load())) }
		w := &watch{Supervisor: b.Supervisor, child: &fakeChild{Conn: near}}
		sent := make(chan error, 1)
		go func() { sent <- w.sendLine([]byte("order\n")) }()
		synctest.Wait()
		b.skip(10 * time.Second)
		time.Sleep(sendTimeout + time.Second)
		got := make([]byte, 6)
		if _, err := far.Read(got); err != nil || string(got) != "order\n" {
			t.Errorf("read %q, %v", got, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
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
		time.Sleep(hungTimeout + 2*maxLate)
		next := b.child(t, 1)
		if took := next.born.Sub(hung); !c.killed.Load() || took < hungTimeout {
			t.Errorf("killed %v, the next was started after %v", c.killed.Load(), took)
		}
		// The peer is master by now: there is nothing to resume, and the address is removed.
		b.nothingToResume(t, next)
		b.end(next)
	})
}

// An election that was stopped is not resumed from an old report: it may send signs of life before it reports who is master
// now.
func TestSupervisorDoesNotLetResumeWhatHadBeenStopped(t *testing.T) {
	for _, wakes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, oneRouter("eth0", "192.0.2.100/24"))
			c := b.child(t, 0)
			c.report(t, master(1, time.Second))
			c.stop()
			time.Sleep(2500 * time.Millisecond)
			if wakes {
				c.beat(t)
			}
			c.die(errors.New("signal: killed"))
			c = b.child(t, 1)
			b.nothingToResume(t, c)
			b.end(c)
		})
	}
}

// If the machine was stopped, or all of its processes, the supervisor does not kill the election for its silence.
func TestSupervisorSparesAnElectionThatStoodStillWithIt(t *testing.T) {
	// It is stopped before the election is suspected to hang, and after.
	for _, before := range []time.Duration{0, suspectTimeout + maxLate} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, oneRouter("eth0", "192.0.2.100/24"))
			c := b.child(t, 0)
			c.report(t, master(1, time.Second))
			c.stop()
			time.Sleep(before)
			b.skip(hungTimeout) // neither process ran for a while
			time.Sleep(suspectTimeout)
			synctest.Wait()
			if c.killed.Load() {
				t.Errorf("stopped after a silence of %v: the election was killed", before)
			}
			time.Sleep(hungTimeout + maxLate)
			synctest.Wait()
			if !c.killed.Load() {
				t.Errorf("stopped after a silence of %v: it gave no sign of life afterwards, and was not killed", before)
			}
			b.end(b.child(t, 1))
		})
	}
}
