// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestDirectorKilled: a director is killed. Its election hands over to the peer. No client notices, though the advertisement
// interval is 1 s.
func TestDirectorKilled(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{Advert: time.Second})
	d.Launch()
	probe := d.Steady()
	d.A.KillDirector()
	awaitHas(d.Lab, 5*time.Second, d.B.Host, vip, true)
	awaitHas(d.Lab, 5*time.Second, d.A.Host, vip, false)
	wantUnnoticed(t, d, "SIGKILL of the director process", probe)
	if who := d.Client.WhoHas(vip); len(who) != 1 || who[0] != d.B.MAC() {
		t.Errorf("%v answer for the VIP, want director-b alone, %s", who, d.B.MAC())
	}
	d.Eventually(5*time.Second, "nothing of tandem is left on director-a", func() error {
		if pids := d.A.Pids(); len(pids) > 0 {
			return fmt.Errorf("processes %v", pids)
		}
		return nil
	})
}

// TestDirectorKilledWithoutPeer: without a peer, the election of a killed director stays master until a restarted director
// takes over the VIPs. The restart may come before or after the end of the offer to the peer.
func TestDirectorKilledWithoutPeer(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{500 * time.Millisecond, 4 * time.Second} {
		t.Run("restarted after "+after.String(), func(t *testing.T) {
			t.Parallel()
			d := lab.NewDuo(t, lab.DuoSettings{Advert: time.Second})
			d.A.Launch()
			d.A.AwaitState(10*time.Second, "master")
			awaitHas(d.Lab, time.Second, d.A.Host, vip, true)
			probe := d.Steady()
			changes := d.A.WatchAddress(vip)
			d.A.KillDirector()
			d.Throughout(after, "the VIP stays", func() error {
				if !d.A.Has(vip) {
					return fmt.Errorf("it is gone")
				}
				return nil
			})
			d.A.Launch()
			d.A.AwaitState(10*time.Second, "master")
			// The election of the killed director has ended. Only the new one runs.
			d.Eventually(5*time.Second, "one director and one election", func() error {
				if pids := d.A.Pids(); len(pids) != 2 {
					return fmt.Errorf("processes %v", pids)
				}
				return nil
			})
			wantUnnoticed(t, d, "SIGKILL of the director process, no peer, restart after "+after.String(), probe)
			if n := changes.Changes(); len(n) > 0 {
				t.Errorf("the VIP came and went: %v", n)
			}
		})
	}
}

// TestElectionKilled: a killed election is started again at once, and is master again before the peer has noticed.
func TestElectionKilled(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{Advert: time.Second})
	d.Launch()
	heard := d.Client.Capture("eth0", lab.Frame.IsVRRP)
	probe := d.Steady()
	old, err := d.A.ElectionPid()
	if err != nil {
		t.Fatal(err)
	}
	watch := d.WatchStalls()
	killed, at := lab.Uptime(), time.Now()
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	fresh := 0
	d.Eventually(5*time.Second, "another election runs", func() error {
		fresh, err = d.A.ElectionPid()
		if err == nil && fresh == old {
			err = errNotYet
		}
		return err
	})
	stall := watch.Stop()
	started, err := lab.StartTime(fresh)
	if err != nil {
		t.Fatal(err)
	}
	d.Eventually(5*time.Second, "director-a advertises itself", func() error {
		if len(from(heard.Frames(), d.A.Host, at)) == 0 {
			return errNotYet
		}
		return nil
	})
	first := from(heard.Frames(), d.A.Host, at)[0]
	took := started - killed
	d.Logf("the election was started again %s after it was killed (start times count in 10 ms), first advertisement after %s",
		took.Round(time.Millisecond), first.When.Sub(at).Round(100*time.Microsecond))
	if took > 50*time.Millisecond+stall {
		t.Errorf("started again after %s, want at most 50ms; the machine itself stalled for %s", took, stall)
	}
	// Past the time in which the backup would have taken over.
	d.Throughout(d.MasterDown(lab.PriorityB)-time.Since(at)+200*time.Millisecond, "director-a has the VIP", func() error {
		if !d.A.Has(vip) || d.B.Has(vip) {
			return fmt.Errorf("VIP on a: %t, on b: %t", d.A.Has(vip), d.B.Has(vip))
		}
		return nil
	})
	wantUnnoticed(t, d, "SIGKILL of the election process", probe)
	d.A.AwaitState(5*time.Second, "master")
	d.B.AwaitState(5*time.Second, "backup")
	if sent := from(heard.Frames(), d.B.Host, at); len(sent) > 0 {
		t.Errorf("director-b sent %d advertisements, want none", len(sent))
	}
}
