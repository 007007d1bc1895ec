// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

func TestSupervisorRefreshesTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		<-c.orders
		c.report(t, master(1, time.Second))
		before := len(b.reports)
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.Refresh()
		}()
		if o := <-c.orders; !o.Report || len(o.Routers) != 0 || o.Sequence != 0 {
			t.Errorf("asked for a report by %+v", o)
		}
		select {
		case <-done:
			t.Error("returned before there was a report")
		default:
		}
		c.report(t, master(1, time.Second))
		if <-done; len(b.reports) != before+1 {
			t.Errorf("%d reports when it returned, want %d", len(b.reports), before+1)
		}
		b.end(c)
	})
}

func TestSupervisorDoesNotWaitLongForAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		began := time.Now()
		b.Refresh()
		if took := time.Since(began); took != refreshTimeout {
			t.Errorf("returned after %v, want %v", took, refreshTimeout)
		}
		b.end(c)
		began = time.Now()
		if b.Refresh(); time.Since(began) != 0 {
			t.Errorf("waited %v although no election runs", time.Since(began))
		}
	})
}

// A request does not wait for the report of an election that died.
func TestSupervisorDoesNotWaitForTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		began, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			b.Refresh()
		}()
		synctest.Wait()
		b.child(t, 0).die(errors.New("signal: killed"))
		if <-done; time.Since(began) != 0 {
			t.Errorf("waited %v", time.Since(began))
		}
		b.end(b.child(t, 1))
	})
}

// After a silence, a sign of life does not confirm the roles: the supervisor asks for a report.
func TestSupervisorAsksWhatBecameOfAnElectionThatStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		<-c.orders
		c.report(t, master(1, time.Second))
		time.Sleep(10 * message.MaxBeatInterval)
		synctest.Wait()
		select {
		case o := <-c.orders:
			t.Errorf("asked without need: %+v", o)
		default:
		}
		c.stop()
		time.Sleep(maxBeats*message.MaxBeatInterval + message.MaxBeatInterval/2)
		c.beat(t)
		if o := <-c.orders; !o.Report {
			t.Errorf("ordered %+v", o)
		}
		b.end(c)
	})
}
