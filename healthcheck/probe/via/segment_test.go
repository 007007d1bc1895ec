// SPDX-License-Identifier: Apache-2.0

package via

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func TestSegments(t *testing.T) {
	four := segment{netip.MustParseAddrPort("192.0.2.2:61000"), netip.MustParseAddrPort("192.0.2.100:80"), 7}
	six := segment{netip.MustParseAddrPort("[2001:db8::2]:61000"), netip.MustParseAddrPort("[2001:db8::100]:80"), 7}
	for _, s := range []segment{four, six} {
		// answer is a packet from an address with the flags that acknowledges a sequence number.
		answer := func(from netip.Addr, flags byte, acknowledged uint32) []byte {
			back := segment{from: netip.AddrPortFrom(from, s.to.Port()), to: s.from}
			b := back.bytes(flags, 99)
			binary.BigEndian.PutUint32(b[len(b)-tcpHeader+8:], acknowledged)
			return b
		}
		vip, stranger := s.to.Addr(), s.to.Addr().Next()
		other := answer(vip, flagSYN|flagACK, 8)
		other[len(other)-tcpHeader+1]++ // from another port
		for name, tt := range map[string]struct {
			packet []byte
			want   any
		}{
			"SYN and ACK":          {answer(vip, flagSYN|flagACK, 8), accepted},
			"RST and ACK":          {answer(vip, flagRST|flagACK, 8), refused},
			"from another address": {answer(stranger, flagSYN|flagACK, 8), strayed},
			"to an earlier SYN":    {answer(vip, flagSYN|flagACK, 7), nothing},
			"RST out of the blue":  {answer(vip, flagRST, 0), nothing},
			"ACK only":             {answer(vip, flagACK, 8), nothing},
			"our own SYN":          {s.bytes(flagSYN, 7), nothing},
			"from another port":    {other, nothing},
			"nothing":              {nil, nothing},
			"cut short":            {answer(vip, flagSYN|flagACK, 8)[:30], nothing},
		} {
			if got := s.answerIn(tt.packet); got != tt.want {
				t.Errorf("%s to %s: %v, want %v", name, s.to, got, tt.want)
			}
		}
		for _, data := range []int{0, 1, 1400} {
			wantWhole(t, s, data)
		}
	}
}

// wantWhole checks the lengths and checksums of a packet with data.
func wantWhole(t *testing.T, s segment, data int) {
	t.Helper()
	b, segmentLen := s.padded(flagSYN, 7, data), tcpHeader+data
	header, length := ipv4Header, int(binary.BigEndian.Uint16(b[2:]))-ipv4Header
	if s.to.Addr().Is6() {
		header, length = ipv6Header, int(binary.BigEndian.Uint16(b[4:]))
	}
	if len(b) != header+segmentLen || length != segmentLen {
		t.Errorf("%d bytes of data: a packet of %d bytes says that it has %d", data, len(b), header+length)
	}
	if s.to.Addr().Is4() && checksum(b[:ipv4Header]) != 0 {
		t.Errorf("checksum of the IP header: % x", b)
	}
	pseudo := append(append(s.from.Addr().AsSlice(), s.to.Addr().AsSlice()...), 0, 6, byte(segmentLen>>8), byte(segmentLen))
	if checksum(append(pseudo, b[header:]...)) != 0 {
		t.Errorf("checksum of the TCP header: % x", b)
	}
}

// FuzzSegment: whatever is on the wire, only an acknowledgement of the SYN is an answer.
func FuzzSegment(f *testing.F) {
	s := segment{netip.MustParseAddrPort("192.0.2.2:61000"), netip.MustParseAddrPort("192.0.2.100:80"), 7}
	back := segment{from: s.to, to: s.from}
	seed := back.bytes(flagSYN|flagACK, 1)
	binary.BigEndian.PutUint32(seed[ipv4Header+8:], 8)
	f.Add(seed)
	f.Add([]byte(nil))
	f.Add(segment{from: netip.MustParseAddrPort("[2001:db8::2]:1"), to: netip.MustParseAddrPort("[2001:db8::3]:2")}.bytes(flagRST, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := s.answerIn(b)
		if got < nothing || got > strayed {
			t.Errorf("%d", got)
		}
		if _, _, tcp, ok := splitIP(b); got != nothing && (!ok || binary.BigEndian.Uint32(tcp[8:]) != 8) {
			t.Errorf("% x is %d", b, got)
		}
	})
}
