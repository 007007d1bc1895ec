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

// planIsEmpty checks that the director has its file in force.
func planIsEmpty(t *testing.T, d *lab.Director) {
	t.Helper()
	if out := tandem(t, d, "plan"); !strings.Contains(out, "a reload changes nothing") {
		t.Errorf("%s: %s", d.Name, out)
	}
}

// TestApplyOnThePair: one command plans on both directors, applies on the backup, waits, and applies on the master; clients notice
// nothing. A configuration with which the backup is not well is rolled back, and the master never gets it. If the backup loses its
// power in the middle, the master goes back at once, and the backup when it is up again.
func TestApplyOnThePair(t *testing.T) {
	t.Parallel()
	p := lab.NewPair(t, patient)
	configure := func(vrid, weight int) {
		text := func(d *lab.Director, priority int, other string) string {
			return strings.Replace(withPeer(patient.Config(d.Name, priority, weight), other), "vrid = 51", fmt.Sprintf("vrid = %d", vrid), 1)
		}
		p.A.Configure(text(p.A, lab.PriorityA, "192.0.2.3"))
		p.B.Configure(text(p.B, lab.PriorityB, "192.0.2.2"))
	}
	configure(51, 1)
	p.Launch()
	awaitPeer(p, p.A)
	p.AwaitMaster(p.A)
	weight := func(d *lab.Director, is int) bool {
		return strings.Contains(d.Table(), fmt.Sprintf("  -> 192.0.2.11:80 Route %d\n", is))
	}

	configure(51, 3)
	out := tandem(t, p.A, "apply", "--pair")
	first, second := strings.Index(out, p.B.Name+": in force as revision"), strings.Index(out, p.A.Name+": in force as revision")
	if first < 0 || second < first || !weight(p.A, 3) || !weight(p.B, 3) {
		t.Fatalf("%s\non director-a:\n%son director-b:\n%s", out, p.A.Table(), p.B.Table())
	}
	if _, err := p.Client.Get(vipURL); err != nil {
		t.Error(err)
	}
	for _, d := range []*lab.Director{p.A, p.B} {
		planIsEmpty(t, d)
	}

	configure(52, 5) // the other director does not hear the master any more
	if out, err := p.A.TryRun(lab.Tandem.Path(), "apply", "--pair", "--wait", "8s", "--socket", p.A.Socket); err == nil ||
		!strings.Contains(out, "is not healthy after 8s: both directors are master of") || !weight(p.A, 3) || !weight(p.B, 3) {
		t.Errorf("%v\n%s\non director-a:\n%son director-b:\n%s", err, out, p.A.Table(), p.B.Table())
	}
	p.AwaitMaster(p.A)

	configure(51, 5)
	tandem(t, p.A, "apply", "--pair", "--confirm", "15s", "--wait", "10s")
	if !weight(p.A, 5) || !weight(p.B, 5) {
		t.Errorf("on director-a:\n%son director-b:\n%s", p.A.Table(), p.B.Table())
	}
	p.B.PowerOff()
	p.Eventually(20*time.Second, "the other one cannot be asked to confirm", func() error {
		out, err := p.A.TryRun(lab.Tandem.Path(), "confirm", "--pair", "--socket", p.A.Socket)
		if err == nil || !strings.Contains(out, "was not asked") {
			return fmt.Errorf("%v\n%s", err, out)
		}
		return nil
	})
	p.B.PowerOn()
	p.Eventually(60*time.Second, "both have the former configuration", func() error {
		if !weight(p.A, 3) || !weight(p.B, 3) {
			return fmt.Errorf("on director-a:\n%son director-b:\n%s", p.A.Table(), p.B.Table())
		}
		return nil
	})
}
