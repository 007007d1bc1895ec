// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
)

// TestPathsTable: without -v, only what is wrong is shown.
func TestPathsTable(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	a := netip.MustParseAddr
	routers := []control.Router{{Name: "plain"}, {
		Name: "web",
		Paths: []control.Path{
			{Name: "eth0", State: "silent", Since: now.Add(-90 * time.Second), Master: a("192.0.2.2"), Source: a("192.0.2.3"), Sent: 3, Received: 7},
			{Name: "eth1", State: "heard", Since: now.Add(-time.Hour), Master: a("10.0.0.2"), Source: a("10.0.0.3"), Received: 3600},
			{Name: "10.9.0.2", Unicast: true, State: "down", Reason: "there is no route to 10.9.0.2", SendErrors: 1},
		},
		Asked: &control.Asked{At: now.Add(-2 * time.Hour), Master: a("192.0.2.2"), Answers: []control.Answer{
			{Address: a("192.0.2.100"), Hardware: "02:00:00:00:00:02", Peer: true}, {Address: a("192.0.2.100"), Hardware: "02:00:00:00:00:09"},
		}},
	}, {Name: "mail", Asked: &control.Asked{At: now.Add(-time.Minute), Master: a("192.0.2.2")}}}
	for _, tt := range []struct {
		verbose bool
		want    string
	}{{false, `
ROUTER  PATH      STATE   FOR    MASTER     SENT FROM  SENT  RECEIVED  ERRORS  REASON
web     eth0      silent  1m30s  192.0.2.2  192.0.2.3  3     7         0       -
web     10.9.0.2  down    -      -          -          0     0         1       there is no route to 10.9.0.2
`}, {true, `
ROUTER  PATH      STATE   FOR    MASTER     SENT FROM  SENT  RECEIVED  ERRORS  REASON
web     eth0      silent  1m30s  192.0.2.2  192.0.2.3  3     7         0       -
web     eth1      heard   1h0m   10.0.0.2   10.0.0.3   0     3600      0       -
web     10.9.0.2  down    -      -          -          0     0         1       there is no route to 10.9.0.2

ROUTER  ASKED     SILENT MASTER  WHO STILL HAD ITS VIPS
web     2h0m ago  192.0.2.2      192.0.2.100 at 02:00:00:00:00:02 (the silent master itself), 192.0.2.100 at 02:00:00:00:00:09 (another machine)
mail    1m0s ago  192.0.2.2      nobody
`}} {
		var b bytes.Buffer
		page := &statusPage{verbose: tt.verbose, now: now}
		page.paths(routers)
		page.asked(routers)
		if err := (screen.Device{}).Write(&b, page.lines); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != tt.want {
			t.Errorf("verbose %t:\n%s\nwant:\n%s", tt.verbose, got, tt.want)
		}
	}
}
