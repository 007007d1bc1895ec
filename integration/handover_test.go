// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestHandOverServes: no request fails in a hand-over on command, nor in a stop after it. The advertisement interval is 1 s.
// Requests in flight do not fail either: both directors choose the same real server by the client's address, and accept
// connections that began at the other director.
func TestHandOverServes(t *testing.T) {
	settings := lab.PairSettings{Advert: time.Second}
	p := lab.NewPair(t, settings)
	p.A.Configure(bySource(settings.Config(p.A.Name, lab.PriorityA)))
	p.B.Configure(bySource(settings.Config(p.B.Name, lab.PriorityB)))
	p.Launch()
	for _, d := range []*lab.Director{p.A, p.B} {
		d.Sysctl(map[string]string{"net.ipv4.vs.sloppy_tcp": "1"})
	}
	for _, tt := range []struct {
		name  string
		leave func()
		next  *lab.Director
	}{
		{"failover", func() { p.A.Run(lab.Tandem.Path(), "failover", "--socket", p.A.Socket) }, p.B},
		// director-a has been in standby since the command, but takes over nevertheless.
		{"SIGTERM", func() { p.B.Process().Signal(syscall.SIGTERM) }, p.A},
	} {
		load := p.Client.Load(vipURL, 25*time.Millisecond)
		probe := p.Steady()
		awaitServed(p.Lab, load, time.Now())
		tt.leave()
		p.Eventually(10*time.Second, tt.next.Name+" is master alone", func() error {
			if a, b := p.A.Has(vip), p.B.Has(vip); a == b || a != (tt.next == p.A) {
				return fmt.Errorf("VIP on a: %t, on b: %t", a, b)
			}
			return nil
		})
		awaitServed(p.Lab, load, time.Now())
		requests := load.Stop()
		wantServed(t, p, requests)
		out := probe.Stop()
		p.Logf("%s: %d questions in a row unanswered; %s", tt.name, probe.Missed(), out)
		if allowed := 2 + out.Stalled(); probe.Missed() > allowed || out.Open {
			t.Errorf("%s: the client missed %d answers in a row, asking every millisecond; want at most 2, and no more than %d for stalls of the machine",
				tt.name, probe.Missed(), allowed)
		}
	}
}

// bySource makes a configuration schedule by the client's address.
func bySource(config string) string {
	for _, scheduler := range []string{"wrr", "rr"} {
		config = strings.Replace(config, fmt.Sprintf("scheduler = %q", scheduler), `scheduler = "sh"`, 1)
	}
	return config
}

// TestPoolBelowMinimum: the master cannot reach a real server that its peer can reach. It hands over, so that clients have
// the whole pool. When it can reach the server again, it is master again.
func TestPoolBelowMinimum(t *testing.T) {
	t.Parallel()
	p := lab.NewPair(t, patient)
	for d, priority := range map[*lab.Director]int{p.A: lab.PriorityA, p.B: lab.PriorityB} {
		config := patient.Config(d.Name, priority)
		config = strings.Replace(config, "vrid = 51\n", "vrid = 51\ntrack = [{ service = \"www\", weight = -60 }]\n", 1)
		d.Configure(strings.Replace(config, "method = \"dr\"\n", "method = \"dr\"\nmin_up = 2\n", 1))
	}
	p.Launch()
	p.A.Run("ip", "route", "add", "blackhole", "192.0.2.11/32")
	failed := time.Now()
	p.AwaitMaster(p.B)
	p.Logf("director-b is master %s after director-a lost web1", time.Since(failed).Round(time.Millisecond))
	answered := map[string]bool{}
	for range 4 {
		body, err := p.Client.Get(vipURL)
		if err != nil {
			t.Fatal(err)
		}
		answered[body] = true
	}
	if !answered["web1"] || !answered["web2"] {
		t.Errorf("answered by %v, want both servers", answered)
	}
	p.A.Run("ip", "route", "delete", "blackhole", "192.0.2.11/32")
	p.AwaitMaster(p.A)
}
