// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
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
			heard := p.Client.Capture("eth0", lab.Frame.IsVRRP)
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
			wantServed(t, p, requests, changesOfMaster(heard.Frames(), killed)...)
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

// changesOfMaster returns the times at which requests may fail: from the kill to the first advertisement after it, and
// whenever the other director began to advertise itself.
func changesOfMaster(heard []lab.Frame, killed time.Time) []span {
	var spans []span
	last := killed
	sender := ""
	for _, f := range heard {
		from := f.Source().String()
		switch {
		case f.VRRPPriority() == 0:
			continue
		case f.When.Before(killed):
		case last.Equal(killed):
			spans = append(spans, span{killed, f.When})
			last = f.When
		case from != sender:
			spans = append(spans, span{f.When, f.When})
		}
		sender = from
	}
	return spans
}
