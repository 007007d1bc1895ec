// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
	addrC = netip.MustParseAddr("192.0.2.3")
	vip   = netip.MustParseAddr("192.0.2.100")
)

// testAdvert is a whole packet as it is on the wire, from src at priority.
func testAdvert(src netip.Addr, vrid, priority uint8, interval time.Duration) []byte {
	p := Packet{Version: 3, VRID: vrid, Priority: priority, Interval: interval, VIPs: []netip.Addr{vip}}
	return p.AppendTo(appendIPv4Header(nil, src, group4, headerLen+4), src, group4)
}

func TestParse(t *testing.T) {
	good := func() []byte {
		p := Packet{Version: 3, VRID: 51, Priority: 150, Interval: 40950 * time.Millisecond, VIPs: []netip.Addr{vip}}
		return p.AppendTo(nil, addrA, group4)
	}
	// seal puts the checksum of RFC 9568 (without pseudo-header) right, so that only the named fault is left.
	seal := func(b []byte) []byte {
		b[6], b[7] = 0, 0
		binary.BigEndian.PutUint16(b[6:], ^fold(sum(0, b)))
		return b
	}
	with := func(i int, v byte) []byte { b := good(); b[i] = v; return seal(b) }
	for _, tt := range []struct {
		name string
		in   []byte
		want Drop
	}{
		{"checksum with pseudo-header (RFC 5798)", good(), 0},
		{"checksum without pseudo-header (RFC 9568)", seal(good()), 0},
		{"reserved bits are ignored", with(4, 0xff), 0},
		{"checksum off by one bit", func() []byte { b := good(); b[6] ^= 1; return b }(), DropBadChecksum},
		{"priority changed on the way", func() []byte { b := good(); b[2]++; return b }(), DropBadChecksum},
		{"nothing", nil, DropTruncated},
		{"shorter than the fixed part", good()[:7], DropTruncated},
		{"shorter than its addresses", good()[:11], DropTruncated},
		{"count larger than its addresses", with(3, 2), DropTruncated},
		{"longer than its addresses", append(good(), 0), DropBadLength},
		{"no addresses", with(3, 0), DropNoAddresses},
		{"version 2 without its authentication data", with(0, 0x21), DropTruncated},
		{"version 1", with(0, 0x11), DropWrongVersion},
		{"version 4", with(0, 0x41), DropWrongVersion},
		{"type 2", with(0, 0x32), DropWrongType},
		{"interval 0", func() []byte { b := good(); b[4], b[5] = 0, 0; return seal(b) }(), DropZeroInterval},
		{"interval 0 but for the reserved bits", func() []byte { b := good(); b[4], b[5] = 0xf0, 0; return seal(b) }(), DropZeroInterval},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Packet
			if got := p.Parse(tt.in, addrA, group4); got != tt.want {
				t.Fatalf("Parse gave %s, want %s", got, tt.want)
			}
			if tt.want != 0 {
				return
			}
			if p.VRID != 51 || p.Priority != 150 || p.Interval != 40950*time.Millisecond || !slices.Equal(p.VIPs, []netip.Addr{vip}) {
				t.Errorf("parsed %+v", p)
			}
		})
	}
	var p Packet
	if got := p.Parse(good(), addrB, group4); got != DropBadChecksum {
		t.Errorf("pseudo-header of another source: %s", got)
	}
}

func TestParseIPv4(t *testing.T) {
	good := testAdvert(addrA, 51, 100, time.Second)
	with := func(i int, v byte) []byte { b := slices.Clone(good); b[i] = v; return b }
	options := slices.Concat([]byte{0x46}, good[1:20], []byte{1, 1, 1, 1}, good[20:])
	binary.BigEndian.PutUint16(options[2:], uint16(len(options)))
	for _, tt := range []struct {
		name string
		in   []byte
		want Drop
		msg  []byte
	}{
		{"good", good, 0, good[20:]},
		{"options", options, 0, good[20:]},
		{"link layer padding", append(slices.Clone(good), 0, 0, 0), 0, good[20:]},
		{"IPv6", with(0, 0x60), DropWrongFamily, nil},
		{"half a header", good[:19], DropTruncated, nil},
		{"header length 16", with(0, 0x44), DropTruncated, nil},
		{"header length beyond the packet", with(0, 0x4f), DropTruncated, nil},
		{"total length beyond the packet", with(3, 200), DropTruncated, nil},
		{"total length within the header", with(3, 19), DropTruncated, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, msg, d := parseIPv4(tt.in)
			if d != tt.want || !bytes.Equal(msg, tt.msg) {
				t.Fatalf("got %s with message %x, want %s with %x", d, msg, tt.want, tt.msg)
			}
			if d == 0 && (h.src != addrA || h.dst != group4 || h.ttl != 255) {
				t.Errorf("header %+v", h)
			}
		})
	}
}

func TestDropsAsJSON(t *testing.T) {
	var in, out Drops
	in[DropWrongTTL], in[DropAddressOwner] = 3, 1
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"address_owner":1,"wrong_ttl":3}`; string(b) != want {
		t.Errorf("marshalled to %s, want %s", b, want)
	}
	out[DropBadLength] = 9
	if err := json.Unmarshal([]byte(`{"address_owner":1,"wrong_ttl":3,"from_the_future":7}`), &out); err != nil || out != in {
		t.Errorf("unmarshalled to %v (%v), want %v", out, err, in)
	}
	seen := map[string]bool{}
	for d := range in.All() {
		if seen[d.String()] || d.String() == "" {
			t.Errorf("reason %d has no name of its own: %q", d, d)
		}
		seen[d.String()] = true
	}
	if in.Of(DropWrongTTL) != 3 || in.Of(Drop(200)) != 0 || Drop(200).String() != "drop(200)" {
		t.Error("an unknown reason is not handled")
	}
}

func TestPacketsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, maxPacket)
	for _, g := range golden {
		wire := unhex(t, g.wire)
		var p Packet
		p.Parse(wire, g.src, g.dst)
		if n := testing.AllocsPerRun(100, func() {
			if p.Parse(wire, g.src, g.dst) != 0 {
				t.Error("refused")
			}
			p.AppendTo(buf, g.src, g.dst)
		}); n != 0 {
			t.Errorf("%s: %v allocations", g.name, n)
		}
	}
	whole := testAdvert(addrA, 51, 100, time.Second)
	if n := testing.AllocsPerRun(100, func() {
		h, msg, _ := parseIPv4(whole)
		appendIPv4Header(buf, h.src, h.dst, len(msg))
	}); n != 0 {
		t.Errorf("IPv4 header: %v allocations", n)
	}
}

// FuzzParse holds that nothing makes the parser fall over, and that what it accepts comes out as it went in.
func FuzzParse(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.wire), g.src.Is6())
	}
	full := Packet{Version: 3, VRID: 255, Interval: maxAdvertInterval, VIPs: slices.Repeat([]netip.Addr{vip}, 255)}
	f.Add(full.AppendTo(nil, addrB, group4), false)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		src, dst := addrA, group4
		if v6 {
			src, dst = linkLocalA, group6
		}
		var p, q Packet
		if p.Parse(b, src, dst) != 0 {
			return
		}
		if p.Interval < minAdvertInterval || len(p.VIPs) == 0 || len(p.VIPs) > 255 || p.Len() != len(b) ||
			p.Version == 3 && p.Interval > maxAdvertInterval || p.Version == 2 && (v6 || p.Interval > maxAdvertInterval2) {
			t.Fatalf("accepted %+v", p)
		}
		if d := q.Parse(p.AppendTo(nil, src, dst), src, dst); d != 0 {
			t.Fatalf("own packet refused: %s", d)
		}
		if !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v became %+v", p, q)
		}
	})
}

// FuzzParseIPv4 holds that a message is never longer than what it was taken from.
func FuzzParseIPv4(f *testing.F) {
	good := testAdvert(addrA, 51, 100, time.Second)
	f.Add(good)
	f.Add(good[:24])
	f.Add(append(slices.Clone(good), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, msg, d := parseIPv4(b)
		if d == 0 && (!h.src.Is4() || !h.dst.Is4() || len(msg) > len(b)-ipv4HeaderLen) || d != 0 && msg != nil {
			t.Fatalf("%s: %+v with %d octets of %d", d, h, len(msg), len(b))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	wire := testAdvert(addrA, 51, 100, time.Second)
	var p Packet
	b.ReportAllocs()
	for b.Loop() {
		h, msg, _ := parseIPv4(wire)
		p.Parse(msg, h.src, h.dst)
	}
}
