// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
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

func TestParse(t *testing.T) {
	good := func() []byte {
		p := Packet{Version: 3, VRID: 51, Priority: 150, Interval: 40950 * time.Millisecond, VIPs: []netip.Addr{vip}}
		return p.AppendTo(nil, addrA, Group4)
	}
	// seal corrects the checksum of RFC 9568 (without pseudo-header), so that only the named fault is left.
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
		{"fewer addresses than it has room for", with(3, 0), DropNoAddresses},
		{"version 2 without its authentication data", with(0, 0x21), DropTruncated},
		{"version 1", with(0, 0x11), DropWrongVersion},
		{"version 4", with(0, 0x41), DropWrongVersion},
		{"type 2", with(0, 0x32), DropWrongType},
		{"interval 0", func() []byte { b := good(); b[4], b[5] = 0, 0; return seal(b) }(), DropZeroInterval},
		{"interval 0 but for the reserved bits", func() []byte { b := good(); b[4], b[5] = 0xf0, 0; return seal(b) }(), DropZeroInterval},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Packet
			if got := p.Parse(tt.in, addrA, Group4); got != tt.want {
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
	if got := p.Parse(good(), addrB, Group4); got != DropBadChecksum {
		t.Errorf("pseudo-header of another source: %s", got)
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
	if in[DropWrongTTL] != 3 || Drop(200).String() != "drop(200)" {
		t.Error("an unknown reason is not handled")
	}
}

func TestPacketsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, maxMessage)
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
}

// FuzzParse checks that nothing makes the parser fail, and that what it accepts can be written and read again.
func FuzzParse(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.wire), g.src.Is6())
	}
	full := Packet{Version: 3, VRID: 255, Interval: MaxAdvertInterval, VIPs: slices.Repeat([]netip.Addr{vip}, 255)}
	f.Add(full.AppendTo(nil, addrB, Group4), false)
	full.signer = newSigner(testKey(1))
	f.Add(full.AppendTo(nil, addrB, Group4), false)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		src, dst := addrA, Group4
		if v6 {
			src, dst = linkLocalA, Group6
		}
		var p, q Packet
		if p.Parse(b, src, dst) != 0 {
			return
		}
		if p.Interval < MinAdvertInterval || len(p.VIPs) == 0 || len(p.VIPs) > 255 || p.Len() != len(b) && (p.Trailer == (Trailer{}) || p.Len()+TrailerLen != len(b)) ||
			p.Version == 3 && p.Interval > MaxAdvertInterval || p.Version == 2 && (v6 || p.Interval > MaxAdvertInterval2) {
			t.Fatalf("accepted %+v", p)
		}
		p.Trailer = Trailer{}
		if d := q.Parse(p.AppendTo(nil, src, dst), src, dst); d != 0 {
			t.Fatalf("own packet refused: %s", d)
		}
		if !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v became %+v", p, q)
		}
	})
}
