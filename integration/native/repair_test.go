// SPDX-License-Identifier: Apache-2.0

package native

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestVIPRemoved: another program removes the VIP. The VIP is back and announced within 50 ms, without a change of master.
func TestVIPRemoved(t *testing.T) {
	const limit = 50 * time.Millisecond
	d := lab.NewDuo(t, lab.DuoSettings{})
	d.Launch()
	before, err := d.A.Status()
	if err != nil {
		t.Fatal(err)
	}
	announced := d.Client.Capture("eth0", lab.Frame.IsAnnouncement)
	changes := d.A.WatchAddress(vip)
	probe := d.Steady()
	for range 3 {
		n := len(changes.Changes())
		watch, asked := watchDelays(d, d.A), time.Now()
		d.A.Run("ip", "addr", "del", vip+"/24", "dev", "eth0")
		d.Eventually(5*time.Second, "the VIP is back", func() error {
			if len(changes.Changes()) < n+2 {
				return errNotYet
			}
			return nil
		})
		gone, back := changes.Changes()[n], changes.Changes()[n+1]
		if gone.Added || !back.Added {
			t.Fatalf("netlink tells of %+v, then of %+v", gone, back)
		}
		var heard []lab.Frame
		d.Eventually(5*time.Second, "the VIP is announced", func() error {
			// The event has the time when the watcher ran, and the frame the time of its sending, which may be earlier.
			if heard = from(announced.Frames(), d.A.Host, asked); len(heard) == 0 {
				return errNotYet
			}
			return nil
		})
		stalled, locked := watch.stop()
		took, told := back.When.Sub(gone.When), heard[0].When.Sub(gone.When)
		d.Logf("after the netlink event of its removal the VIP was back in %s and announced in %s",
			took.Round(10*time.Microsecond), told.Round(10*time.Microsecond))
		if most := limit + stalled + locked; took > most || told > most {
			t.Errorf("back in %s, announced in %s, want both within %s; the machine stalled for %s, and its kernel made changes wait for %s",
				took, told, limit, stalled, locked)
		}
	}
	d.Answers(probe)
	d.Logf("the client: %s", probe.Stop())
	now, err := d.A.Status()
	if err != nil {
		t.Fatal(err)
	}
	if was, is := before.VRRP[0], now.VRRP[0]; is.State != "master" || !is.Since.Equal(was.Since) {
		t.Errorf("director-a was master since %s, and is %s since %s", was.Since, is.State, is.Since)
	}
	if d.B.Has(vip) {
		t.Error("director-b has the VIP")
	}
}
