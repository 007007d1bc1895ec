// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// pathState returns the state of one path of the first virtual router.
func pathState(d *lab.Director, name string) (string, error) {
	s, err := d.Status()
	if err != nil || len(s.VRRP) == 0 {
		return "", fmt.Errorf("no status: %w", err)
	}
	for _, p := range s.VRRP[0].Paths {
		if p.Name == name {
			return p.State, nil
		}
	}
	return "", fmt.Errorf("no path %s: %+v", name, s.VRRP[0].Paths)
}

func awaitPath(d lab.Duo, x *lab.Director, name, want string) {
	d.Eventually(5*time.Second, fmt.Sprintf("the path %s of %s is %s", name, x.Name, want), func() error {
		if is, err := pathState(x, name); err != nil || is != want {
			return fmt.Errorf("it is %q, %w", is, err)
		}
		return nil
	})
}

// TestTwoPaths: the switch of the VIP loses its multicast, then the cable between the directors breaks. Without a second path, the
// first makes a second master. With it, neither does, and clients notice nothing. The status, the history and a metric name the
// path. When neither path is left, the backup takes over. A master whose interface fails hands over by the other path.
func TestTwoPaths(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	for i, x := range []*lab.Director{d.A, d.B} {
		x.Join("cross", fmt.Sprintf("10.0.0.%d/24", 3-i))
		x.Configure(lab.DuoSettings{Keys: `heartbeat = ["eth1"]`}.Config(x.Name, []int{lab.PriorityA, lab.PriorityB}[i]))
	}
	d.Launch()
	for _, path := range []string{"eth0", "eth1"} {
		awaitPath(d, d.B, path, "heard")
	}
	probe := d.Steady()
	d.B.HoldMulticast()
	awaitPath(d, d.B, "eth0", "silent")
	if out, err := tandem(d.B, "status"); err != nil || !strings.Contains(out, "the master is not heard over eth0") {
		t.Errorf("tandem status: %v\n%s", err, out)
	}
	if out, err := tandem(d.B, "history"); err != nil || !strings.Contains(out, "the master is not heard over eth0") {
		t.Errorf("tandem history: %v\n%s", err, out)
	}
	d.B.PassMulticast()
	awaitPath(d, d.B, "eth0", "heard")
	d.B.IsolateAt("cross")
	awaitPath(d, d.B, "eth1", "silent")
	if d.B.State() != "backup" || d.A.State() != "master" {
		t.Errorf("director-a is %s, director-b %s", d.A.State(), d.B.State())
	}
	wantUnnoticed(t, d, "a path is cut, then the other", probe)

	// Both are cut: the master is alive, and answers for its VIP. Before the backup takes over, it asks, and names it.
	d.B.HoldMulticast()
	d.B.AwaitState(5*time.Second, "master")
	d.Eventually(5*time.Second, "director-b names director-a", func() error {
		s, err := d.B.Status()
		if err != nil || s.VRRP[0].Asked == nil || len(s.VRRP[0].Asked.Answers) != 1 {
			return fmt.Errorf("%+v, %w", s.VRRP, err)
		}
		if a := s.VRRP[0].Asked.Answers[0]; a.Address != vip || a.Hardware != d.A.MAC() || !a.Peer {
			return fmt.Errorf("%+v, want %s at %s", a, vip, d.A.MAC())
		}
		return nil
	})
	if out, err := tandem(d.B, "history"); err != nil || !strings.Contains(out, vip+" is still at "+d.A.MAC()+", the silent master itself") {
		t.Errorf("tandem history: %v\n%s", err, out)
	}
	d.B.PassMulticast()
	d.B.RejoinAt("cross")
	d.B.AwaitState(5*time.Second, "backup")
	awaitPath(d, d.B, "eth1", "heard")

	d.A.Cut()
	d.B.AwaitState(5*time.Second, "master")
	if s, err := d.B.Status(); err != nil || !strings.HasPrefix(s.VRRP[0].Reason, "priority 0 heard from") {
		t.Errorf("director-b took over, but: %q, %v", s.VRRP[0].Reason, err)
	}
}
