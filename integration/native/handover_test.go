// SPDX-License-Identifier: Apache-2.0

package native

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestHandOver: no client notices that a master hands over on command, or stops. The advertisement interval is 1 s. After a
// command it stays in standby, over reload and restart, until it is released.
func TestHandOver(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{Advert: time.Second})
	d.Launch()

	probe := d.Steady()
	out, err := tandem(d.A, "failover")
	if err != nil || !strings.Contains(out, "web") {
		t.Errorf("tandem failover: %q, %v, want success that names the virtual router", out, err)
	}
	d.AwaitMaster(d.B)
	wantUnnoticed(t, d, "tandem failover", probe)

	wantStandby := func(when string) {
		t.Helper()
		d.Eventually(5*time.Second, "director-a stands back "+when, func() error {
			s, err := d.A.Status()
			if err != nil {
				return err
			}
			if r := s.VRRP[0]; r.State != "backup" || r.EffectivePriority != 1 || r.Priority != lab.PriorityA {
				t.Logf("%+v", r)
				return errNotYet
			}
			return nil
		})
	}
	wantStandby("after the command")
	reload(d.Lab, d.A)
	wantStandby("after a reload")
	terminate(t, d.A)
	d.A.Launch()
	wantStandby("after a restart")
	if !d.B.Has(vip) || d.A.Has(vip) {
		t.Error("the restarted director-a did not leave the VIP to director-b")
	}

	probe = d.Steady()
	if out, err := tandem(d.A, "release", "web"); err != nil {
		t.Errorf("tandem release: %q, %v", out, err)
	}
	d.AwaitMaster(d.A)
	d.Answers(probe)
	d.Logf("release, director-a preempts: %s", probe.Stop())

	probe = d.Steady()
	terminate(t, d.A)
	d.AwaitMaster(d.B)
	wantUnnoticed(t, d, "SIGTERM", probe)
}

// TestStandbyTakesOver: a director in standby still takes over if its peer dies.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	d.Launch()
	if out, err := tandem(d.A, "failover", "web"); err != nil {
		t.Fatalf("tandem failover web: %q, %v", out, err)
	}
	d.AwaitMaster(d.B)
	d.B.Cut()
	d.A.AwaitState(5*time.Second, "master")
	awaitHas(d.Lab, time.Second, d.A.Host, vip, true)
}

// TestFailoverWithoutPeer: if nobody takes over, the command fails and says why, and no client notices.
func TestFailoverWithoutPeer(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{Advert: time.Second})
	d.A.Launch()
	d.A.AwaitState(10*time.Second, "master")
	awaitHas(d.Lab, time.Second, d.A.Host, vip, true)
	probe := d.Steady()
	out, err := tandem(d.A, "failover")
	if err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(out, "nobody took over") {
		t.Errorf("tandem failover: %v, %q, want exit status 1 and words", err, out)
	}
	s, err := d.A.Status()
	if err != nil {
		t.Fatal(err)
	}
	if r := s.VRRP[0]; r.State != "master" || r.EffectivePriority != lab.PriorityA {
		t.Errorf("director-a: %+v, want master with its own priority", r)
	}
	wantUnnoticed(t, d, "tandem failover without a peer", probe)
}
