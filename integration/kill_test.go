// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestProcessKilled kills a process of the master by SIGKILL. Two machines never answer for the VIP for longer than 200 ms, no
// VIP is left behind, and clients are still served.
func TestProcessKilled(t *testing.T) {
	p := lab.NewPair(t, lab.PairSettings{})
	p.Launch()
	for _, tt := range []struct {
		name string
		kill func(*lab.Director)
		end  func(*lab.Pair) // restores the pair, if it does not recover by itself
	}{
		{"director", (*lab.Director).KillDirector, directorGone},
		{"election", (*lab.Director).KillElection, func(*lab.Pair) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			awaitUndisturbed(p)
			owners := watchOwners(p)
			load := p.Client.Load(vipURL, 50*time.Millisecond)
			heard := p.Client.Capture("eth0", ofMasters)
			awaitServed(p.Lab, load, time.Now())

			killed := time.Now()
			tt.kill(p.A)
			p.Eventually(20*time.Second, "one director has the VIP", func() error {
				if a, b := p.A.Has(vip), p.B.Has(vip); a == b {
					return fmt.Errorf("director-a: %t, director-b: %t", a, b)
				}
				return nil
			})
			awaitServed(p.Lab, load, time.Now())
			tt.end(p)
			p.AwaitMaster(p.A)
			awaitServed(p.Lab, load, time.Now())
			requests := load.Stop()

			owners.wantOne(t)
			if who := p.Client.WhoHas(vip); len(who) != 1 || who[0] != p.A.MAC() {
				t.Errorf("%v answer for the VIP in the end, want director-a alone, %s", who, p.A.MAC())
			}
			wantServed(t, p, requests, changesAfter(heard.Frames(), killed, p.A.MAC())...)
		})
	}
}

// directorGone waits until A has neither a process of tandem nor the VIP, and starts tandem again.
func directorGone(p *lab.Pair) {
	p.Eventually(20*time.Second, "nothing of tandem is left on director-a", func() error {
		if pids := p.A.Pids(); len(pids) > 0 {
			return fmt.Errorf("processes %v", pids)
		}
		if p.A.Has(vip) {
			return errors.New("the VIP is there")
		}
		return nil
	})
	p.B.AwaitState(10*time.Second, "master")
	p.A.Launch()
}

// changesAfter returns the times at which requests may fail: from the kill of the master sender to the first advertisement after it, and
// all changes of master since.
func changesAfter(heard []lab.Frame, killed time.Time, sender string) []span {
	heard = slices.DeleteFunc(heard, func(f lab.Frame) bool { return f.When.Before(killed) })
	next, ok := first(heard, isAdvert)
	if !ok {
		return nil
	}
	return append([]span{{killed, next.When}}, changesOfMaster(heard, sender)...)
}
