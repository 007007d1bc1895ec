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

var (
	vip    = netip.MustParseAddr("192.0.2.100")
	server = garp.Hardware{2, 0, 0, 0, 0, 0x11}
)

func TestParse(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const head = "ffffffffffff 020000000011 0806 0001 0800 06 04 "
	router := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		name  string
		frame []byte
		want  garp.Observation
		ok    bool
	}{
		{"a request asks, and claims its sender's address", unhex(head + "0001 020000000011 c0000264 000000000000 c0000201"),
			garp.Observation{Claimed: vip, Asked: router, How: garp.Request, From: server}, true},
		{"a probe only asks", unhex(head + "0001 020000000011 00000000 000000000000 c0000264"), garp.Observation{Asked: vip, How: garp.Request, From: server}, true},
		{"gratuitous request", unhex(head + "0001 020000000011 c0000264 000000000000 c0000264"), garp.Observation{Claimed: vip, Asked: vip, How: garp.Request, From: server, Announced: true}, true},
		{"reply", unhex(head + "0002 020000000011 c0000264 020000000001 c0000201"), garp.Observation{Claimed: vip, How: garp.Reply, From: server}, true},
		{"padded reply", unhex(head + "0002 020000000011 c0000264 020000000001 c0000201" + strings.Repeat("00", 18)), garp.Observation{Claimed: vip, How: garp.Reply, From: server}, true},
		{"reverse ARP", unhex(head + "0003 020000000011 c0000264 020000000001 c0000201"), garp.Observation{}, false},
		{"short", unhex(head + "0002 020000000011 c0000264 020000000001 c00002"), garp.Observation{}, false},
		{"empty", nil, garp.Observation{}, false},
		{"an advertisement of a VRRP master", unhex("01005e000012 020000000011 0800 45c00020 5a270000 ff70be71 c0000201 e0000012"),
			garp.Observation{Router: router, From: server}, true},
		{"an advertisement from another link", unhex("01005e000012 020000000011 0800 45c00020 5a270000 fe70be71 c0000201 e0000012"),
			garp.Observation{}, false},
		{"an advertisement cut short", unhex("01005e000012 020000000011 0800 45c00020 5a270000 ff70be71 c0000201 e00000"), garp.Observation{}, false},
		{"an advertisement over IPv6", unhex("333300000012 020000000011 86dd 60000000 0018 70 ff fe800000000000000000000000000001 ff020000000000000000000000000012"),
			garp.Observation{Router: netip.MustParseAddr("fe80::1"), From: server}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parse(tt.frame)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("%+v, %t, want %+v, %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// TestParseReadsWhatWeSend compares the two ends: one tandem must understand what another one announces and asks.
func TestParseReadsWhatWeSend(t *testing.T) {
	hw := net.HardwareAddr(server[:])
	v6 := netip.MustParseAddr("2001:db8::100")
	for _, tt := range []struct {
		form garp.Form
		want garp.Observation
	}{
		{garp.Request, garp.Observation{Claimed: vip, Asked: vip, How: garp.Request, From: server, Announced: true}},
		{garp.Reply, garp.Observation{Claimed: vip, How: garp.Reply, From: server, Announced: true}},
		{garp.Advertisement, garp.Observation{Claimed: v6, How: garp.Advertisement, From: server, Announced: true}},
	} {
		addr := vip
		if tt.form == garp.Advertisement {
			addr = v6
		}
		b, err := frame(tt.form, addr, hw, false)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := parse(b); !ok || got != tt.want {
			t.Errorf("%s: %+v, %t, want %+v", tt.form, got, ok, tt.want)
		}
	}
	to, packet, err := solicitation(v6, netip.MustParseAddr("fe80::1"), hw)
	if err != nil {
		t.Fatal(err)
	}
	b := append(append(append([]byte{}, to...), hw...), 0x86, 0xdd)
	if got, ok := parse(append(b, packet...)); !ok || got != (garp.Observation{Asked: v6, From: server}) || to.String() != "33:33:ff:00:01:00" {
		t.Errorf("solicitation: %+v, %t, to %s", got, ok, to)
	}
}

func FuzzParse(f *testing.F) {
	for _, form := range []garp.Form{garp.Request, garp.Reply, garp.Advertisement} {
		addr := vip
		if form == garp.Advertisement {
			addr = netip.MustParseAddr("2001:db8::100")
		}
		b, err := frame(form, addr, net.HardwareAddr(server[:]), true)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := parse(b)
		if ok && !s.Claimed.IsValid() && !s.Asked.IsValid() {
			t.Errorf("% x says nothing, and was heard", b)
		}
	})
}
