// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestRestartUnderLoad: the master is restarted, replaced in place, and reloaded with one changed weight, under 200 requests a second, each on a
// new connection. No request fails, not even in flight. Older connections continue. The only write to the kernel's table is
// that of the weight.
func TestRestartUnderLoad(t *testing.T) {
	p := lab.NewPair(t, patient)
	for _, web := range p.Webs {
		serveLines(t, web)
		serveRequests(t, web)
	}
	p.A.Configure(loaded(p.A.Name, lab.PriorityA, 1))
	p.B.Configure(loaded(p.B.Name, lab.PriorityB, 1))
	p.Launch()
	talk := converse(t, openLines(t, p.Client, 20), time.Second)
	talk.goesOn(t, p.Lab, "at first", 2)
	tap := p.A.TapNetlink()
	load := hammer(t, p.Client)

	stop(t, p)
	p.A.Launch()
	p.AwaitMaster(p.A)
	talk.phase()
	talk.goesOn(t, p.Lab, "after the restart", 2)
	if got := tableWrites(tap); len(got) > 0 {
		t.Errorf("a restart wrote %v, want nothing", got)
	}

	if out := tandem(t, p.A, "upgrade", "--in-place"); !strings.Contains(out, "replaced in place") || p.A.State() != "master" {
		t.Errorf("tandem upgrade --in-place: %q, and the state is %s", out, p.A.State())
	}
	talk.phase()
	talk.goesOn(t, p.Lab, "after an upgrade in place", 2)
	if got := tableWrites(tap); len(got) > 0 {
		t.Errorf("an upgrade in place wrote %v, want nothing", got)
	}

	p.A.Configure(loaded(p.A.Name, lab.PriorityA, 3))
	reload(t, p)
	p.Eventually(5*time.Second, "the weight is set", func() error {
		if !strings.Contains(p.A.Table(), "  -> 192.0.2.11:"+requestsPort+" Route 3\n") {
			return errors.New(p.A.Table())
		}
		return nil
	})
	talk.phase()
	talk.goesOn(t, p.Lab, "after the reload", 2)
	if got, want := tableWrites(tap), []string{"IPVS command 6"}; !slices.Equal(got, want) {
		t.Errorf("a reload with one changed weight wrote %v, want %v", got, want)
	}
	// A busy machine may have to catch up first.
	p.Eventually(30*time.Second, "200 requests a second are answered, taken over all", func() error {
		if rate := load.rate(); rate < 200 {
			return fmt.Errorf("%.0f", rate)
		}
		return nil
	})
	rate, took := load.rate(), time.Since(load.begun)
	load.end()
	p.Logf("%d requests in %s, %.0f answered a second, %d failed; 20 connections went on; 1 write to the table",
		load.asked, took.Round(time.Millisecond), rate, len(load.failed))
	for _, err := range load.failed {
		t.Error(err)
	}
}

// loaded returns a director's configuration with a service for lines and one for requests, of which web1 has the weight.
func loaded(name string, priority, weight int) string {
	return lined(name, priority, bySourceAndPort, 1, 1) + fmt.Sprintf(`
[[service]]
name = "requests"
virtual = "%s:%s"
%s
server = [{ address = "192.0.2.11", weight = %d }, { address = "192.0.2.12" }]
`, vip, requestsPort, bySourceAndPort, weight)
}

// tableWrites returns the writes to the kernel's IPVS so far.
func tableWrites(tap *lab.Tap) []string {
	return slices.DeleteFunc(tap.Writes(), func(w string) bool { return !strings.HasPrefix(w, "IPVS") })
}

// reset ends a connection by RST. The kernel soon forgets such a connection; after a close it remembers it for two minutes.
func reset(l *line) error {
	return errors.Join(l.conn.(*net.TCPConn).SetLinger(0), l.conn.Close())
}
