// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What a file gives is written; what it gives no longer gets its former value back, unless another program has changed it since.
func TestPlanTimeouts(t *testing.T) {
	usual := Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}
	hour := Timeouts{TCP: time.Hour, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}
	changed := map[string]ChangedSetting{"lvs/timeouts/tcp": {Former: "15m0s", Ours: "1h0m0s"}}
	for _, c := range []struct {
		name       string
		have, want Timeouts
		changed    map[string]ChangedSetting
		writes     string
		after      Timeouts
	}{
		{"nothing", usual, Timeouts{}, nil, "", usual},
		{"one", usual, Timeouts{TCP: time.Hour}, nil, "lvs.timeouts.tcp: 15m0s → 1h0m0s", hour},
		{"as it is", hour, Timeouts{TCP: time.Hour}, changed, "", hour},
		{"put back", hour, Timeouts{}, changed, "lvs.timeouts.tcp: 1h0m0s → 15m0s", usual},
		{"changed by others", Timeouts{TCP: time.Minute, TCPFin: time.Minute, UDP: time.Minute}, Timeouts{}, changed, "",
			Timeouts{TCP: time.Minute, TCPFin: time.Minute, UDP: time.Minute}},
		{"all", usual, Timeouts{TCP: time.Second, TCPFin: time.Second, UDP: MaxConnectionTimeout}, nil,
			"lvs.timeouts.tcp: 15m0s → 1s, lvs.timeouts.tcp_fin: 2m0s → 1s, lvs.timeouts.udp: 5m0s → 596h31m23s",
			Timeouts{TCP: time.Second, TCPFin: time.Second, UDP: MaxConnectionTimeout}},
	} {
		p := PlanTimeouts(c.have, c.want, c.changed)
		var writes []string
		for _, w := range append(p.Set, p.Restore...) {
			writes = append(writes, w.String())
		}
		after, err := c.have.After(p)
		if got := strings.Join(writes, ", "); got != c.writes || after != c.after || err != nil {
			t.Errorf("%s: %q, %+v, %v; want %q, %+v", c.name, got, after, err, c.writes, c.after)
		}
	}
	for _, bad := range [][2]string{{timeoutTCP, "-1s"}, {timeoutTCP, "1500ms"}, {timeoutUDP, "600h"}, {timeoutUDP, "soon"}, {"lvs/timeouts/sctp", "1s"}} {
		if _, err := (Timeouts{}).WithSetting(bad[0], bad[1]); !errors.Is(err, ErrInvalid) {
			t.Error(fmt.Sprint(bad), err)
		}
	}
}
