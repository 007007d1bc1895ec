// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/netip"
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
	p := Packet{VRID: vrid, Priority: priority, Interval: interval, VIPs: []netip.Addr{vip}}
	return p.AppendTo(appendIPv4Header(nil, src, group4, headerLen+4), src, group4)
}

func TestAppendToGivesTheBytesThatRFC5798Shows(t *testing.T) {
	p := Packet{VRID: 51, Priority: 150, Interval: time.Second, VIPs: []netip.Addr{vip, netip.MustParseAddr("192.0.2.101")}}
	got := p.AppendTo(nil, addrA, group4)
	// Version 3 type 1, VRID 51, priority 150, two addresses, 100 centiseconds, checksum over the pseudo-header
	// c0000201 e0000012 0070 0010 and the message, addresses.
	want := "31339602" + "0064" + "1107" + "c0000264" + "c0000265"
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
}

func TestParse(t *testing.T) {
	good := func() []byte {
		p := Packet{VRID: 51, Priority: 150, Interval: 40950 * time.Millisecond, VIPs: []netip.Addr{vip}}
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
		{"version 2", with(0, 0x21), DropWrongVersion},
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
		{"TTL 254", with(8, 254), DropWrongTTL, good[20:]},
		{"TTL 0", with(8, 0), DropWrongTTL, good[20:]},
		{"unicast", with(16, 192), DropWrongDestination, good[20:]},
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
	wire := testAdvert(addrA, 51, 100, time.Second)
	buf := make([]byte, 0, maxPacket)
	var p Packet
	p.Parse(wire[20:], addrA, group4)
	if n := testing.AllocsPerRun(100, func() {
		h, msg, _ := parseIPv4(wire)
		if p.Parse(msg, h.src, h.dst) != 0 {
			t.Error("refused")
		}
		p.AppendTo(appendIPv4Header(buf, h.src, h.dst, len(msg)), h.src, h.dst)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse holds that nothing makes the parser fall over, and that what it accepts comes out as it went in.
func FuzzParse(f *testing.F) {
	good := testAdvert(addrA, 51, 100, time.Second)
	f.Add(good)
	f.Add(good[:24])
	f.Add(append(slices.Clone(good), 1, 2, 3))
	p2 := Packet{VRID: 255, Priority: 0, Interval: maxAdvertInterval, VIPs: slices.Repeat([]netip.Addr{vip}, 255)}
	f.Add(p2.AppendTo(appendIPv4Header(nil, addrB, group4, headerLen+4*255), addrB, group4))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, msg, d := parseIPv4(b)
		if d != 0 {
			return
		}
		var p, q Packet
		if p.Parse(msg, h.src, h.dst) != 0 {
			return
		}
		if p.Interval < minAdvertInterval || p.Interval > maxAdvertInterval || len(p.VIPs) == 0 || len(p.VIPs) > 255 {
			t.Fatalf("accepted %+v", p)
		}
		if d := q.Parse(p.AppendTo(nil, h.src, h.dst), h.src, h.dst); d != 0 {
			t.Fatalf("own packet refused: %s", d)
		}
		if p.VRID != q.VRID || p.Priority != q.Priority || p.Interval != q.Interval || !slices.Equal(p.VIPs, q.VIPs) {
			t.Fatalf("%+v became %+v", p, q)
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
