// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/garp"
)

func TestFrame(t *testing.T) {
	hardware := net.HardwareAddr{0x02, 0, 0x5e, 0x10, 0x20, 0x30}
	tests := []struct {
		form   garp.Form
		addr   string
		router bool
		want   []string
	}{
		{garp.Request, "192.0.2.100", true, []string{
			"ffffffffffff 02005e102030 0806",
			"0001 0800 06 04 0001",                 // Ethernet, IPv4, request
			"02005e102030 c0000264",                // sender
			"000000000000 c0000264",                // target: the same address
			"000000000000000000000000000000000000", // padding to the least Ethernet frame
		}},
		{garp.Reply, "192.0.2.100", true, []string{
			"ffffffffffff 02005e102030 0806",
			"0001 0800 06 04 0002",
			"02005e102030 c0000264",
			"02005e102030 c0000264", // target: the sender itself
			"000000000000000000000000000000000000",
		}},
		{garp.Advertisement, "2001:db8::100", true, []string{
			"333300000001 02005e102030 86dd",
			"60000000 0020 3a ff",              // 32 bytes of ICMPv6, hop limit 255
			"20010db8000000000000000000000100", // source: the address itself
			"ff020000000000000000000000000001", // destination: all nodes
			"88 00 f8ec a0000000",              // router and override, not solicited
			"20010db8000000000000000000000100", // target
			"02 01 02005e102030",               // its link-layer address
		}},
		{garp.Advertisement, "2001:db8::100", false, []string{
			"333300000001 02005e102030 86dd",
			"60000000 0020 3a ff",
			"20010db8000000000000000000000100",
			"ff020000000000000000000000000001",
			"88 00 78ed 20000000", // override alone
			"20010db8000000000000000000000100",
			"02 01 02005e102030",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.form.String(), func(t *testing.T) {
			got, err := frame(tt.form, netip.MustParseAddr(tt.addr), hardware, tt.router)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(strings.Join(tt.want, ""), " ", "")
			if hex.EncodeToString(got) != want {
				t.Errorf("frame\n%x, want\n%s", got, want)
			}
		})
	}
}

func TestFrameRefuses(t *testing.T) {
	hardware := net.HardwareAddr{0x02, 0, 0x5e, 0x10, 0x20, 0x30}
	tests := []struct {
		form garp.Form
		addr netip.Addr
	}{
		{garp.Request, netip.MustParseAddr("2001:db8::1")},
		{garp.Reply, netip.Addr{}},
		{garp.Advertisement, netip.MustParseAddr("192.0.2.1")},
		{0, netip.MustParseAddr("192.0.2.1")},
	}
	for _, tt := range tests {
		if b, err := frame(tt.form, tt.addr, hardware, true); err == nil {
			t.Errorf("%s for %s: frame %x, want an error", tt.form, tt.addr, b)
		}
	}
}
