// SPDX-License-Identifier: Apache-2.0

package native

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestLogUnread: the standard error of a director and its election is a full pipe that nobody reads. The VIP still moves:
// away from this director on command, and to it when its peer is lost. When the pipe is read again, the log continues.
func TestLogUnread(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	d.Launch()
	d.A.Process().LeaveUnread()
	watch := d.Client.WatchARP(vip, 20*time.Millisecond)
	delays := watchDelays(d, d.A)

	if out, err := tandem(d.A, "failover"); err != nil {
		t.Errorf("tandem failover: %q, %v", out, err)
	}
	d.AwaitMaster(d.B)
	d.A.AwaitState(5*time.Second, "backup")

	probe := d.Steady()
	d.B.Cut()
	awaitHas(d.Lab, 5*time.Second, d.A.Host, vip, true)
	d.Answers(probe)
	out := probe.Stop()
	stalled, locked := delays.stop()
	d.Logf("director-a took over: %s; the machine stalled for %s, and kept addresses from being changed for %s", out, stalled, locked)
	if limit := d.MasterDown(1) + 200*time.Millisecond; out.Longest > limit+stalled+locked {
		t.Errorf("the client saw an outage of %s, want at most %s", out.Longest, limit)
	}
	if overlap := lab.LongestOverlap(watch.Stop()); overlap > 200*time.Millisecond+stalled+locked {
		t.Errorf("two directors answered for the VIP for %s, want at most 200ms", overlap)
	}
	d.A.AwaitState(5*time.Second, "master")

	d.A.Process().ReadAgain()
	if out, err := tandem(d.A, "release"); err != nil {
		t.Errorf("tandem release: %q, %v", out, err)
	}
	d.A.Process().AwaitOutput(5*time.Second, "virtual router is master: router=web")
}
