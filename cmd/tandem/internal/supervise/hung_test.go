// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestSupervisorDoesNotLetResumeAtShortIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		b.child(t, 0).report(t, master(1, 10*time.Millisecond))
		b.child(t, 0).die(errors.New("signal: killed"))
		c := b.child(t, 1)
		b.nothingToResume(t, c)
		b.end(c)
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

// An election that was stopped may send signs of life before it reports who is master now.
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

// The machine was stopped, or all of its processes: the silence is not the fault of the election.
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
