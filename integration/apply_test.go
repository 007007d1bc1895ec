// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// An applied is a configuration of TestApplyServes, by what differs.
type applied struct {
	weight    int // of the first server
	secondVIP bool
}

// text is the configuration of a director.
func (a applied) text(d *lab.Director, priority int, other string) string {
	text := withPeer(patient.Config(d.Name, priority, a.weight), other)
	if a.secondVIP {
		text = strings.Replace(text, `vips = ["`, `vips = ["`+secondVIP+`/24", "`, 1)
	}
	return text
}

const secondVIP = "192.0.2.101"

// table is what ipvsadm -Ln says then.
func (a applied) table() string {
	return fmt.Sprintf(`TCP 192.0.2.100:80 wrr
  -> 192.0.2.11:80 Route %[1]d
  -> 192.0.2.12:80 Route 1
UDP 192.0.2.100:7 rr
  -> 192.0.2.11:7 Route %[1]d
  -> 192.0.2.12:7 Route 1
`, a.weight)
}

// addresses are those of eth0, as ip address shows them.
func addresses(d *lab.Director) (all []string) {
	for line := range strings.Lines(d.Run("ip", "-4", "-oneline", "address", "show", "dev", "eth0")) {
		all = append(all, strings.Fields(line)[3])
	}
	slices.Sort(all)
	return all
}

// TestApplyServes: plan, apply, its roll-back when nobody confirms, also after a kill, confirm, rollback and apply --pair on a pair that
// serves 200 new connections a second. The kernels have each time what the configuration says, and every question is answered.
func TestApplyServes(t *testing.T) {
	t.Parallel()
	p := lab.NewPair(t, patient)
	is := applied{weight: 1}
	configure := func(d *lab.Director, a applied) {
		if d == p.A {
			d.Configure(a.text(d, lab.PriorityA, "192.0.2.3"))
		} else {
			d.Configure(a.text(d, lab.PriorityB, "192.0.2.2"))
		}
	}
	configure(p.A, is)
	configure(p.B, is)
	p.Launch()
	awaitPeer(p, p.A)
	has := func(what string, d *lab.Director, a applied) {
		t.Helper()
		want := []string{"192.0.2.2/24", lab.VIP + "/24"}
		if a.secondVIP {
			want = append(want, secondVIP+"/24")
		}
		if d == p.B {
			want = []string{"192.0.2.3/24"}
		}
		slices.Sort(want)
		p.Eventually(20*time.Second, what+", on "+d.Name, func() error {
			if table, all := d.Table(), addresses(d); table != a.table() || !slices.Equal(all, want) {
				return fmt.Errorf("it has %v and\n%swant %v and\n%s", all, table, want, a.table())
			}
			return nil
		})
	}
	has("at first", p.A, is)
	has("at first", p.B, is)
	probe := p.Client.ProbeTCP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort(lab.VIP+":80"), 5*time.Millisecond)

	second := applied{weight: 3, secondVIP: true}
	for _, d := range []*lab.Director{p.B, p.A} {
		configure(d, second)
		if out, err := d.TryRun(lab.Tandem.Path(), "plan", "--socket", d.Socket); err == nil || !strings.Contains(err.Error(), "exit status 2") {
			t.Errorf("%s: a plan that changes something: %v\n%s", d.Name, err, out)
		}
		has("after a plan", d, is)
		tandem(t, d, "apply")
		has("applied", d, second)
		planIsEmpty(t, d)
	}

	third := applied{weight: 5}
	configure(p.A, third)
	tandem(t, p.A, "apply", "--confirm", "5s")
	has("applied, to be confirmed", p.A, third)
	has("rolled back, for nobody confirmed", p.A, second)
	planIsEmpty(t, p.A)

	configure(p.B, third)
	tandem(t, p.B, "apply", "--confirm", "10s")
	has("applied, to be confirmed", p.B, third)
	p.B.KillDirector()
	p.B.Launch()
	has("rolled back after a kill", p.B, second)
	planIsEmpty(t, p.B)

	configure(p.A, third)
	tandem(t, p.A, "apply", "--confirm", "1m")
	tandem(t, p.A, "confirm")
	has("applied and confirmed", p.A, third)
	planIsEmpty(t, p.A)
	tandem(t, p.A, "rollback")
	has("rolled back by command", p.A, second)

	awaitPeer(p, p.A)
	fourth := applied{weight: 7}
	configure(p.A, fourth)
	configure(p.B, fourth)
	tandem(t, p.A, "apply", "--pair")
	for _, d := range []*lab.Director{p.A, p.B} {
		has("applied on the pair", d, fourth)
		planIsEmpty(t, d)
	}

	out := probe.Stop()
	p.Logf("plan, apply, confirm, roll-back: %s, which began at %.3f", out, p.At(out.Began).Seconds())
	if out.Lost > out.Disturbed || out.Sent < 2000 {
		t.Errorf("%d of %d questions have no answer, %d of them near a stall of the machine", out.Lost, out.Sent, out.Disturbed)
	}
	p.AwaitMaster(p.A)
}
