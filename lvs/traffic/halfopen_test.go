// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestHalfOpen: a connection is half open when its client's ACK has not come for 3 s. A handshake that takes less is none.
func TestHalfOpen(t *testing.T) {
	at := netip.MustParseAddrPort
	conn := func(port uint16, s State) Connection {
		return Connection{netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), port), at("192.0.2.100:80"), at("192.0.2.11:80"), s}
	}
	var h HalfOpen
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		at   time.Duration
		look []Connection
		want []uint16 // the clients' ports
	}{
		{0, []Connection{conn(1, Waiting), conn(2, Waiting), conn(3, Answered)}, nil},
		{2900 * time.Millisecond, []Connection{conn(1, Waiting), conn(2, Answered), conn(3, Answered), conn(4, Waiting)}, nil},
		{3 * time.Second, []Connection{conn(1, Waiting), conn(1, Waiting), conn(2, Waiting), conn(4, Waiting)}, []uint16{1}},
		{5 * time.Second, []Connection{conn(2, Waiting), conn(4, Waiting)}, nil}, // the look has missed one
		{6 * time.Second, []Connection{conn(1, Waiting), conn(2, Waiting), conn(4, Waiting)}, []uint16{1, 2, 4}},
		{7 * time.Second, []Connection{conn(1, Answered), conn(4, Waiting)}, []uint16{4}},
		{11 * time.Second, []Connection{conn(1, Waiting), conn(4, Waiting)}, nil}, // nobody has looked for 4 s
		{14 * time.Second, []Connection{conn(1, Waiting), conn(4, Closed)}, []uint16{1}},
	} {
		var got []uint16
		for _, c := range h.See(begin.Add(step.at), step.look) {
			got = append(got, c.Client.Port())
		}
		if fmt.Sprint(got) != fmt.Sprint(step.want) {
			t.Errorf("after %s: %v are half open, want %v", step.at, got, step.want)
		}
	}
}
