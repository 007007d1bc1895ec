// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestRepair: the director repairs changes by other programs: a flushed table within 2 s, a removed VIP within 1 s. The
// master stays master.
func TestRepair(t *testing.T) {
	p := lab.NewPair(t, lab.PairSettings{})
	p.Launch()
	for _, d := range []*lab.Director{p.A, p.B} {
		want := d.Table()
		d.Run("ipvsadm", "-C")
		watch, flushed := p.WatchStalls(), time.Now()
		// Wait longer than the bound, so that the test can say by how much it was missed.
		p.Eventually(5*time.Second, "the table of "+d.Name+" is whole again", func() error {
			if len(d.Weights()) != 4 {
				return errors.New("it is not")
			}
			return nil
		})
		took, stall := time.Since(flushed), watch.Stop()
		p.Logf("%s: table back %s after ipvsadm -C", d.Name, took.Round(time.Millisecond))
		if took > 2*time.Second+stall {
			t.Errorf("%s: table back after %s, want at most 2s; the machine itself stalled for %s", d.Name, took, stall)
		}
		if got := d.Table(); got != want {
			t.Errorf("%s: table was\n%sand is\n%s", d.Name, want, got)
		}
	}

	p.A.Run("ip", "addr", "del", vip+"/24", "dev", "eth0")
	watch, deleted := p.WatchStalls(), time.Now()
	p.Eventually(5*time.Second, "the VIP is back", func() error {
		if !p.A.Has(vip) {
			return errors.New("it is not")
		}
		return nil
	})
	took, stall := time.Since(deleted), watch.Stop()
	p.Logf("VIP back %s after it was deleted", took.Round(time.Millisecond))
	if took > time.Second+stall {
		t.Errorf("VIP back after %s, want at most 1s; the machine itself stalled for %s", took, stall)
	}
	if state := p.A.State(); state != "master" {
		t.Errorf("director-a is %q, want it to stay master", state)
	}
	if body, err := p.Client.Get(vipURL); err != nil {
		t.Errorf("the next request: %q, %v", body, err)
	}
}
