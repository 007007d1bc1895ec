// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

func TestTrafficWarnings(t *testing.T) {
	server := func(i int, until time.Time) core.Server {
		return core.Server{ID: fmt.Sprintf("www/192.0.2.%d:80", i), Unanswered: &core.Unanswered{
			Finding: traffic.Finding{Unanswered: 37, OthersPercent: 100}, Checked: until.IsZero(), Out: !until.IsZero(), Until: until,
		}}
	}
	services := []*core.Service{{Servers: []core.Server{{ID: "www/192.0.2.10:80"}, server(11, time.Time{}), server(12, time.Unix(9, 0))}}}
	peer := &core.Peer{Channel: core.PeerChannel{Name: "lb2"}, Seen: core.ByName([]message.Server{
		{Name: "www/192.0.2.11:80"}, {Name: "www/192.0.2.12:80", Health: "unhealthy", Reason: "timeout"}})}
	const mend = "; look on it for the VIP, the listener, the default route, the firewall and, with method tunnel, the tunnel"
	want := []string{
		"www/192.0.2.11:80 does not answer clients: 0 of 37 new connections, others 100 %; its own check passes (the check of lb2 passes too)" + mend,
		"www/192.0.2.12:80 does not answer clients: 0 of 37 new connections, others 100 % (lb2's check fails: timeout); it gets no new clients for a while" + mend,
	}
	if got := trafficWarnings(services, peer); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for i := range maxUnanswered {
		services[0].Servers = append(services[0].Servers, server(20+i, time.Time{}))
	}
	if got := trafficWarnings(services, peer); len(got) != 1 || !strings.HasPrefix(got[0], "7 servers do not answer clients") {
		t.Errorf("of many servers: got %q", got)
	}
}
