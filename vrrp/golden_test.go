// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	linkLocalA = netip.MustParseAddr("fe80::ff:fe00:1")
	linkLocalB = netip.MustParseAddr("fe80::ff:fe00:2")
	vip2       = netip.MustParseAddr("192.0.2.101")
)

// golden are advertisements that keepalived 2.2.7 sent: one as master, one as it stopped, of each kind.
var golden = []struct {
	name     string
	wire     string
	src, dst netip.Addr
	want     Packet
}{
	{
		"version 2", "2133960200 01c3fe c0000264c0000265 0000000000000000", addrA, Group4,
		Packet{Version: 2, VRID: 51, Priority: 150, Interval: time.Second, VIPs: []netip.Addr{vip, vip2}},
	},
	{
		"version 2, leaving", "2133000200 0159ff c0000264c0000265 0000000000000000", addrA, Group4,
		Packet{Version: 2, VRID: 51, Interval: time.Second, VIPs: []netip.Addr{vip, vip2}},
	},
	{
		"version 2, password secret", "2133960201 0186b2 c0000264c0000265 7365637265740000", addrA, Group4,
		Packet{Version: 2, VRID: 51, Priority: 150, Interval: time.Second, Auth: textAuth("secret"), VIPs: []netip.Addr{vip, vip2}},
	},
	{
		"version 2, password secret, leaving", "2133000201 011cb3 c0000264c0000265 7365637265740000", addrA, Group4,
		Packet{Version: 2, VRID: 51, Interval: time.Second, Auth: textAuth("secret"), VIPs: []netip.Addr{vip, vip2}},
	},
	{
		"version 3", "3133960200 641107 c0000264c0000265", addrA, Group4,
		Packet{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Checksum: ChecksumPseudoHeader, VIPs: []netip.Addr{vip, vip2}},
	},
	{
		"version 3, leaving", "3133000200 64a707 c0000264c0000265", addrA, Group4,
		Packet{Version: 3, VRID: 51, Interval: time.Second, Checksum: ChecksumPseudoHeader, VIPs: []netip.Addr{vip, vip2}},
	},
	{
		"version 3, unicast", "3133960200 642f17 c0000264c0000265", addrA, addrB,
		Packet{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Checksum: ChecksumPseudoHeader, VIPs: []netip.Addr{vip, vip2}},
	},
	{
		"version 3, IPv6", "3133960200 640cfd fe800000000000000000000000000100 20010db8000000000000000000000100", linkLocalA, Group6,
		Packet{
			Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Checksum: ChecksumPseudoHeader,
			VIPs: []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("2001:db8::100")},
		},
	},
	{
		"version 3, IPv6, leaving", "3133000200 64a2fd fe800000000000000000000000000100 20010db8000000000000000000000100", linkLocalA, Group6,
		Packet{
			Version: 3, VRID: 51, Interval: time.Second, Checksum: ChecksumPseudoHeader,
			VIPs: []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("2001:db8::100")},
		},
	},
}

// unhex reads hexadecimal digits with spaces where they help.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			wire := unhex(t, g.wire)
			var p Packet
			if d := p.Parse(wire, g.src, g.dst); d != 0 || !reflect.DeepEqual(p, g.want) {
				t.Errorf("parsed (%s) %+v, want %+v", d, p, g.want)
			}
			if got := g.want.AppendTo(nil, g.src, g.dst); !slices.Equal(got, wire) || len(got) != g.want.Len() {
				t.Errorf("got %x of %d octets, want %x", got, g.want.Len(), wire)
			}
		})
	}
}

func TestChecksumForms(t *testing.T) {
	p := Packet{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Checksum: ChecksumPacket, VIPs: []netip.Addr{vip, vip2}}
	// The sum of 3133 9602 0064 c000 0264 c000 0265, folded, is 4c64.
	want := "3133960200 64b39b c0000264c0000265"
	wire := p.AppendTo(nil, addrA, Group4)
	if !slices.Equal(wire, unhex(t, want)) {
		t.Errorf("the packet alone: %x, want %s", wire, want)
	}
	var q Packet
	if d := q.Parse(wire, addrB, Group4); d != 0 || q.Checksum != ChecksumPacket {
		t.Errorf("parsed (%s) %+v", d, q)
	}
	p.Checksum = 0
	if d := q.Parse(p.AppendTo(nil, addrA, Group4), addrA, Group4); d != 0 || q.Checksum != ChecksumPseudoHeader {
		t.Errorf("the default, parsed (%s): %+v", d, q)
	}
	// Over IPv6 there is only one form.
	p.Checksum, p.VIPs = ChecksumPacket, []netip.Addr{linkLocalB}
	if d := q.Parse(p.AppendTo(nil, linkLocalA, Group6), linkLocalA, Group6); d != 0 {
		t.Errorf("IPv6: %s", d)
	}
	if d := q.Parse(p.AppendTo(nil, linkLocalA, Group6), linkLocalB, Group6); d != DropBadChecksum {
		t.Errorf("IPv6 from another source: %s", d)
	}
}

func TestParseVersion2(t *testing.T) {
	good := unhex(t, golden[2].wire)
	with := func(i int, v byte) []byte {
		b := slices.Clone(good)
		b[i], b[6], b[7] = v, 0, 0
		binary.BigEndian.PutUint16(b[6:], ^fold(sum(0, b)))
		return b
	}
	for _, tt := range []struct {
		name string
		in   []byte
		src  netip.Addr
		want Drop
	}{
		{"good", good, addrA, 0},
		{"the source is not in its checksum", good, addrB, 0},
		{"over IPv6", good, linkLocalA, DropWrongVersion},
		{"password cut off", good[:23], addrA, DropTruncated},
		{"longer than its password", append(slices.Clone(good), 0), addrA, DropBadLength},
		{"one address more than there is", with(3, 3), addrA, DropTruncated},
		{"one address less", with(3, 1), addrA, DropBadLength},
		{"interval 0", with(5, 0), addrA, DropZeroInterval},
		{"password changed on the way", func() []byte { b := slices.Clone(good); b[16] ^= 1; return b }(), addrA, DropBadChecksum},
	} {
		var p Packet
		if got := p.Parse(tt.in, tt.src, Group4); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	var p Packet
	if p.Parse(with(5, 255), addrA, Group4); p.Interval != 255*time.Second {
		t.Errorf("longest interval %s", p.Interval)
	}
	if p.Parse(with(4, byte(AuthNone)), addrA, Group4); p.Auth != (Auth{}) {
		t.Errorf("without authentication its data is to be ignored: %+v", p.Auth)
	}
}

func TestAuth(t *testing.T) {
	for _, tt := range []struct {
		name         string
		ours, theirs Auth
		want         Drop
	}{
		{"none", textAuth(""), textAuth(""), 0},
		{"the same", textAuth("secret"), textAuth("secret"), 0},
		{"eight octets", textAuth("12345678"), textAuth("12345678"), 0},
		{"another", textAuth("secret"), textAuth("Secret"), DropWrongPassword},
		{"a longer one", textAuth("secret"), textAuth("secrets"), DropWrongPassword},
		{"only they", textAuth(""), textAuth("secret"), DropWrongAuthType},
		{"only we", textAuth("secret"), textAuth(""), DropWrongAuthType},
		{"authentication header", textAuth("secret"), Auth{Type: AuthAH}, DropAuthHeader},
		{"a type that never was", textAuth("secret"), Auth{Type: 3}, DropWrongAuthType},
	} {
		if got := tt.ours.check(tt.theirs); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
