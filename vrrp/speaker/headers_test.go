// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// testAdvert returns an advertisement from src, IP header included.
func testAdvert(src netip.Addr, vrid, priority uint8, interval time.Duration) []byte {
	p := vrrp.Packet{Version: 3, VRID: vrid, Priority: priority, Interval: interval, VIPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, vrid})}}
	return p.AppendTo(appendIPv4Header(nil, src, vrrp.Group4, p.Len()), src, vrrp.Group4)
}

func TestParseIPv4(t *testing.T) {
	good := testAdvert(addrA, 51, 100, time.Second)
	with := func(i int, v byte) []byte { b := slices.Clone(good); b[i] = v; return b }
	options := slices.Concat([]byte{0x46}, good[1:20], []byte{1, 1, 1, 1}, good[20:])
	binary.BigEndian.PutUint16(options[2:], uint16(len(options)))
	for _, tt := range []struct {
		name string
		in   []byte
		want vrrp.Drop
		msg  []byte
	}{
		{"good", good, 0, good[20:]},
		{"options", options, 0, good[20:]},
		{"link layer padding", append(slices.Clone(good), 0, 0, 0), 0, good[20:]},
		{"IPv6", with(0, 0x60), vrrp.DropWrongFamily, nil},
		{"half a header", good[:19], vrrp.DropTruncated, nil},
		{"header length 16", with(0, 0x44), vrrp.DropTruncated, nil},
		{"header length beyond the packet", with(0, 0x4f), vrrp.DropTruncated, nil},
		{"total length beyond the packet", with(3, 200), vrrp.DropTruncated, nil},
		{"total length within the header", with(3, 19), vrrp.DropTruncated, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, msg, d := parseIPv4(tt.in)
			if d != tt.want || !bytes.Equal(msg, tt.msg) {
				t.Fatalf("got %s with message %x, want %s with %x", d, msg, tt.want, tt.msg)
			}
			if d == 0 && (h.Source != addrA || h.Destination != vrrp.Group4 || h.TTL != 255) {
				t.Errorf("header %+v", h)
			}
		})
	}
}

func TestHeadersDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, maxPacket)
	whole := testAdvert(addrA, 51, 100, time.Second)
	if n := testing.AllocsPerRun(100, func() {
		h, msg, _ := parseIPv4(whole)
		appendIPv4Header(buf, h.Source, h.Destination, len(msg))
	}); n != 0 {
		t.Errorf("IPv4 header: %v allocations", n)
	}
}

// FuzzParseIPv4 checks that a message is never longer than its packet.
func FuzzParseIPv4(f *testing.F) {
	good := testAdvert(addrA, 51, 100, time.Second)
	f.Add(good)
	f.Add(good[:24])
	f.Add(append(slices.Clone(good), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, msg, d := parseIPv4(b)
		if d == 0 && (!h.Source.Is4() || !h.Destination.Is4() || len(msg) > len(b)-ipv4HeaderLen) || d != 0 && msg != nil {
			t.Fatalf("%s: %+v with %d octets of %d", d, h, len(msg), len(b))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	wire := testAdvert(addrA, 51, 100, time.Second)
	var p vrrp.Packet
	b.ReportAllocs()
	for b.Loop() {
		h, msg, _ := parseIPv4(wire)
		p.Parse(msg, h.Source, h.Destination)
	}
}
