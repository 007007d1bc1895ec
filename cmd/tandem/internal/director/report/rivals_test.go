// SPDX-License-Identifier: Apache-2.0

package report

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/lvs"
)

func TestRivalWarnings(t *testing.T) {
	web, vip := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.100")
	services := []configs.Service{{Name: "www", Servers: []configs.Server{{Server: lvs.Server{ServerID: lvs.ServerID{Addr: web, Port: 80}}}}}}
	rival := garp.Rival{Address: vip, Hardware: "02:00:00:00:00:11", How: "ARP reply"}
	known, stranger := rival, rival
	known.Neighbours = []netip.Addr{web}
	stranger.Neighbours = []netip.Addr{netip.MustParseAddr("192.0.2.77")}
	const unknown = "check that VRRP passes between the directors (IP protocol 112); if that machine is not a director, remove the address from it"
	for _, tt := range []struct {
		name   string
		rivals []garp.Rival
		want   []string
	}{
		{"none", nil, nil},
		{"nobody knows it", []garp.Rival{rival}, []string{
			"eth0: another machine claims 192.0.2.100: 02:00:00:00:00:11, by ARP reply; " + unknown}},
		{"a real server", []garp.Rival{known}, []string{
			"eth0: another machine claims 192.0.2.100: 02:00:00:00:00:11 (192.0.2.11, real server of www), by ARP reply; run `tandem realserver apply --vip 192.0.2.100` on it"}},
		{"a neighbour", []garp.Rival{stranger}, []string{
			"eth0: another machine claims 192.0.2.100: 02:00:00:00:00:11 (192.0.2.77), by ARP reply; " + unknown}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := rivalWarnings(message.Report{Interfaces: []message.Interface{{Name: "eth0", Rivals: tt.rivals}}}, services)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
