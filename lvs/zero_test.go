// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"net/netip"
	"testing"
	"time"
)

// A server of weight 0 leaves the table at the end of its time, and not before. A server that has a weight stays.
func TestTimeAtZero(t *testing.T) {
	noon := time.Unix(43200, 0)
	for _, c := range []struct {
		name    string
		in      WeightInput
		limit   time.Duration
		zero    time.Time
		present bool
	}{
		{"no limit", WeightInput{Health: HealthDown}, 0, noon.Add(-time.Hour), true},
		{"not known since when", WeightInput{Health: HealthDown}, time.Minute, time.Time{}, true},
		{"not yet", WeightInput{Health: HealthDown}, time.Minute, noon.Add(-time.Minute + 1), true},
		{"failed", WeightInput{Health: HealthDown}, time.Minute, noon.Add(-time.Minute), false},
		{"drained", WeightInput{Health: HealthUp, Configured: 3, Draining: true}, time.Minute, noon.Add(-time.Minute), false},
		{"weight 0", WeightInput{Health: HealthUp}, time.Minute, noon.Add(-time.Minute), false},
		{"serves", WeightInput{Health: HealthUp, Configured: 3}, time.Minute, noon.Add(-time.Minute), true},
	} {
		c.in.ZeroSince = c.zero
		addr := netip.MustParseAddr("192.0.2.11")
		out := Pool(PoolInput{
			Members: []Member{{Server: Server{ServerID: ServerID{Addr: addr, Port: 80}}, Input: c.in}},
			Now:     noon, OnFailure: WeightZero, RemoveAfter: c.limit,
		})
		if got := len(out.Servers) == 1; got != c.present {
			t.Errorf("%s: in the table: %v, want %v", c.name, got, c.present)
		}
		var next time.Time
		if c.name == "not yet" {
			next = noon.Add(1)
		}
		if !out.Next.Equal(next) {
			t.Errorf("%s: next %s, want %s", c.name, out.Next, next)
		}
	}
}

// While the sorry server serves, healthy servers of weight 0 do not leave the table.
func TestSorryServerDoesNotTakeTime(t *testing.T) {
	noon := time.Unix(43200, 0)
	id := func(addr string) Server { return Server{ServerID: ServerID{Addr: netip.MustParseAddr(addr), Port: 80}} }
	out := Pool(PoolInput{
		Members: []Member{{Server: id("192.0.2.11"), Input: WeightInput{Health: HealthUp, Configured: 1}}},
		Now:     noon, OnFailure: WeightZero, RemoveAfter: time.Second, Quorum: 2, Sorry: id("192.0.2.20"),
	})
	if len(out.Servers) != 2 || out.Servers[0].Weight != 0 || !out.Sorry {
		t.Errorf("%+v", out)
	}
}
