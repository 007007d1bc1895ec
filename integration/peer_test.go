// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const peerKey = "hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// withPeer adds the channel to a configuration.
func withPeer(config, other string) string {
	return config + fmt.Sprintf("\n[peer]\naddress = \"%s:8474\"\nkey = \"%s\"\n", other, peerKey)
}

// TestOrdersReachThePeer: a drain on the master is in force in the backup's kernel when the command returns, and a failover keeps it.
// An order that is given while the peer has no power gets there when the peer is back.
func TestOrdersReachThePeer(t *testing.T) {
	t.Parallel()
	p := lab.NewPair(t, patient)
	p.A.Configure(withPeer(patient.Config(p.A.Name, lab.PriorityA), "192.0.2.3"))
	p.B.Configure(withPeer(patient.Config(p.B.Name, lab.PriorityB), "192.0.2.2"))
	p.Launch()
	of := func(d *lab.Director, weight int) bool {
		return strings.Contains(d.Table(), fmt.Sprintf("  -> 192.0.2.11:80 Route %d\n", weight))
	}
	awaitPeer(p, p.A)

	out := tandem(t, p.A, "drain", "www/192.0.2.11")
	if !strings.Contains(out, "in force here and on "+p.B.Name) || !of(p.A, 0) || !of(p.B, 0) {
		t.Fatalf("%s\non director-a:\n%son director-b:\n%s", out, p.A.Table(), p.B.Table())
	}
	tandem(t, p.A, "failover")
	p.AwaitMaster(p.B)
	for range 4 {
		if body, err := p.Client.Get(vipURL); err != nil || strings.TrimSpace(body) != "web2" {
			t.Errorf("after the failover: %v, answered by %q, want web2", err, body)
		}
	}
	tandem(t, p.A, "release")
	p.AwaitMaster(p.A)

	p.B.PowerOff()
	p.Eventually(15*time.Second, "the answer says that the order did not reach the peer", func() error {
		out = tandem(t, p.A, "undrain", "www/192.0.2.11")
		if !strings.Contains(out, "in force here; "+p.B.Name+" did not get it: the channel is lost since ") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	p.B.PowerOn()
	p.Eventually(20*time.Second, "the order has reached the peer", func() error {
		if !of(p.B, 1) {
			return fmt.Errorf("%s", p.B.Table())
		}
		return nil
	})
	awaitPeer(p, p.A)
	if out := tandem(t, p.A, "status", "--pair"); !strings.Contains(out, "configurations, real servers and orders: no difference") {
		t.Error(out)
	}
}

// awaitPeer waits until a director is connected to its peer in both directions.
func awaitPeer(p *lab.Pair, d *lab.Director) {
	p.Eventually(15*time.Second, "the directors are connected", func() error {
		if out, err := d.TryRun(lab.Tandem.Path(), "status", "--pair", "--socket", d.Socket); err != nil || !strings.Contains(out, " · connected for ") {
			return fmt.Errorf("%v\n%s", err, out)
		}
		return nil
	})
}
