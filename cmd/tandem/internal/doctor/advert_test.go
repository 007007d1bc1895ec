// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// advertFrame returns an Ethernet frame with an advertisement.
func advertFrame(src, dst string, vrid uint8) []byte {
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	vip := netip.MustParseAddr("192.0.2.100")
	if from.Is6() {
		vip = netip.MustParseAddr("2001:db8::100")
	}
	p := vrrp.Packet{Version: 3, VRID: vrid, Priority: 100, Interval: time.Second, VIPs: []netip.Addr{vip}}
	payload := p.AppendTo(nil, from, to)
	var ip []byte
	if from.Is4() {
		ip = make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, 255, 112
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(payload)))
		copy(ip[12:], from.AsSlice())
		copy(ip[16:], to.AsSlice())
	} else {
		ip = make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, 112, 255
		binary.BigEndian.PutUint16(ip[4:], uint16(len(payload)))
		copy(ip[8:], from.AsSlice())
		copy(ip[24:], to.AsSlice())
	}
	return append(append(make([]byte, 14), ip...), payload...)
}

func TestParseAdvert(t *testing.T) {
	four := Advert{Header: vrrp.Header{Source: netip.MustParseAddr("192.0.2.3"), Destination: vrrp.Group4, TTL: 255}, VRID: 51, VIPs: []netip.Addr{netip.MustParseAddr("192.0.2.100")}}
	six := Advert{Header: vrrp.Header{Source: netip.MustParseAddr("fe80::3"), Destination: vrrp.Group6, TTL: 255}, VRID: 52, VIPs: []netip.Addr{netip.MustParseAddr("2001:db8::100")}}
	for _, tt := range []struct {
		name   string
		frame  []byte
		change func([]byte) []byte
		want   Advert
		ok     bool
	}{
		{name: "IPv4", frame: advertFrame("192.0.2.3", "224.0.0.18", 51), want: four, ok: true},
		{name: "IPv4, padded", frame: advertFrame("192.0.2.3", "224.0.0.18", 51), change: func(b []byte) []byte { return append(b, 0, 0, 0, 0) },
			want: four, ok: true},
		{name: "IPv6", frame: advertFrame("fe80::3", "ff02::12", 52), want: six, ok: true},
		{name: "another protocol", frame: advertFrame("192.0.2.3", "224.0.0.18", 51), change: func(b []byte) []byte { b[23] = 6; return b }},
		{name: "wrong checksum", frame: advertFrame("192.0.2.3", "224.0.0.18", 51), change: func(b []byte) []byte { b[36]++; return b }},
		{name: "cut short", frame: advertFrame("192.0.2.3", "224.0.0.18", 51), change: func(b []byte) []byte { return b[:40] }},
		{name: "empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change != nil {
				tt.frame = tt.change(tt.frame)
			}
			got, ok := parseAdvert(tt.frame)
			if ok {
				header := ethernetLen + ipv4HeaderLen
				if got.Source.Is6() {
					header = ethernetLen + ipv6HeaderLen
				}
				tt.want.Message = tt.frame[header : header+len(got.Message)]
			}
			if ok != tt.ok || ok && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %t, want %+v, %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func FuzzParseAdvert(f *testing.F) {
	f.Add(advertFrame("192.0.2.3", "224.0.0.18", 51))
	f.Add(advertFrame("fe80::3", "ff02::12", 52))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := parseAdvert(b); ok && !a.Source.IsValid() {
			t.Errorf("%+v has no source", a)
		}
	})
}
