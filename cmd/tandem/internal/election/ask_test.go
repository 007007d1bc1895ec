// SPDX-License-Identifier: Apache-2.0

package election

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/garp"
)

// TestAnswersOf: the silent master is recognised by its own address, and is no answer by that alone.
func TestAnswersOf(t *testing.T) {
	vip, master := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.2")
	const peer, stranger, virtual = "02:00:00:00:00:02", "02:00:00:00:00:09", "00:00:5e:00:01:33"
	for name, tt := range map[string]struct {
		owners []garp.Owner
		want   []message.Answer
	}{
		"nobody":              {nil, nil},
		"the master is alive": {[]garp.Owner{{Address: master, Hardware: peer}}, nil},
		"it has the VIP":      {[]garp.Owner{{Address: vip, Hardware: peer}, {Address: master, Hardware: peer}}, []message.Answer{{Address: vip, Hardware: peer, Peer: true}}},
		"another has the VIP": {[]garp.Owner{{Address: vip, Hardware: stranger}, {Address: master, Hardware: peer}}, []message.Answer{{Address: vip, Hardware: stranger}}},
		// The master's own address is at its own hardware address.
		"it has the VIP at the virtual MAC address": {[]garp.Owner{{Address: vip, Hardware: virtual}, {Address: master, Hardware: peer}},
			[]message.Answer{{Address: vip, Hardware: virtual, Peer: true}}},
		"both have it": {[]garp.Owner{{Address: vip, Hardware: stranger}, {Address: vip, Hardware: peer}, {Address: master, Hardware: peer}},
			[]message.Answer{{Address: vip, Hardware: stranger}, {Address: vip, Hardware: peer, Peer: true}}},
	} {
		if got := answersOf(tt.owners, master, virtual); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
