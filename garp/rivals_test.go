// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	vip    = netip.MustParseAddr("192.0.2.100")
	server = hardware{2, 0, 0, 0, 0, 0x11}
)

// TestRivals plays hearings to the core, in milliseconds since the addresses became ours.
func TestRivals(t *testing.T) {
	claim := hearing{claimed: vip, how: formReply, from: server}
	question := hearing{asked: vip, how: formRequest, from: server}
	other := hearing{claimed: netip.MustParseAddr("192.0.2.7"), asked: netip.MustParseAddr("192.0.2.8"), how: formRequest, from: server}
	for _, tt := range []struct {
		name     string
		heard    map[int]hearing
		until    int
		asked    []int // when we asked
		told     []int // when a rival was told of
		rivalsAt map[int]int
	}{
		{name: "alone: asked once the take-over has settled, and now and then", until: 21000, asked: []int{300, 10300, 20300}},
		{name: "others speak of others", heard: map[int]hearing{1000: other, 2000: other}, until: 9000, asked: []int{300}},
		{name: "somebody asks: so do we, at once", heard: map[int]hearing{2000: question}, until: 9000, asked: []int{300, 2000}},
		{name: "many ask: once a second", heard: map[int]hearing{2000: question, 2100: question, 2200: question, 2900: question},
			until: 9000, asked: []int{300, 2000, 3000}},
		{name: "a claim is told of when it can be no mistake", heard: map[int]hearing{2000: claim}, until: 2400,
			asked: []int{300, 2000}, told: []int{2300}, rivalsAt: map[int]int{2299: 0, 2300: 1}},
		{name: "a rival is asked every second, told of once, and forgotten when silent", heard: map[int]hearing{2000: claim, 2500: claim, 3000: claim},
			until: 9000, asked: []int{300, 2000, 3000, 4000, 5000, 6000, 7000, 8000}, told: []int{2300}, rivalsAt: map[int]int{7999: 1, 8000: 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Unix(1000, 0)
			r := newRivals()
			r.set(start, []netip.Addr{vip})
			var asked, told []int
			for ms := 0; ms <= tt.until; ms++ {
				now := start.Add(time.Duration(ms) * time.Millisecond)
				if s, ok := tt.heard[ms]; ok {
					r.see(now, s)
				}
				ask, found, next := r.step(now)
				if len(ask) > 0 {
					asked = append(asked, ms)
				}
				if len(found) > 0 {
					told = append(told, ms)
				}
				if !next.After(now) {
					t.Fatalf("%d ms: the next step is due %v ago", ms, now.Sub(next))
				}
				if want, ok := tt.rivalsAt[ms]; ok && len(r.list()) != want {
					t.Errorf("%d ms: rivals %v, want %d", ms, r.list(), want)
				}
			}
			if !slices.Equal(asked, tt.asked) || !slices.Equal(told, tt.told) {
				t.Errorf("asked at %v and told at %v, want %v and %v", asked, told, tt.asked, tt.told)
			}
		})
	}
}

func TestRivalsOfWhatIsGivenUpAreForgotten(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newRivals()
	r.set(now, []netip.Addr{vip})
	r.see(now, hearing{claimed: vip, how: formReply, from: server})
	// The peer takes over: its announcement was here before the order to let go.
	r.set(now.Add(doubt/2), nil)
	if _, found, _ := r.step(now.Add(time.Second)); len(found) > 0 || len(r.known) > 0 {
		t.Errorf("told of %v", found)
	}
}

func TestRivalsAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newRivals()
	r.set(now, []netip.Addr{vip})
	for i := range 10 * maxRivals {
		r.see(now, hearing{claimed: vip, how: formReply, from: hardware{2, 0, 0, 0, byte(i >> 8), byte(i)}})
	}
	if len(r.known) != maxRivals || r.claims != 10*maxRivals {
		t.Errorf("%d rivals remembered of %d claims", len(r.known), r.claims)
	}
}

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
		want  hearing
		ok    bool
	}{
		{"a request asks, and claims its sender's address", unhex(head + "0001 020000000011 c0000264 000000000000 c0000201"),
			hearing{vip, router, formRequest, server}, true},
		{"a probe only asks", unhex(head + "0001 020000000011 00000000 000000000000 c0000264"), hearing{netip.Addr{}, vip, formRequest, server}, true},
		{"gratuitous request", unhex(head + "0001 020000000011 c0000264 000000000000 c0000264"), hearing{vip, vip, formRequest, server}, true},
		{"reply", unhex(head + "0002 020000000011 c0000264 020000000001 c0000201"), hearing{vip, netip.Addr{}, formReply, server}, true},
		{"padded reply", unhex(head + "0002 020000000011 c0000264 020000000001 c0000201" + strings.Repeat("00", 18)), hearing{vip, netip.Addr{}, formReply, server}, true},
		{"reverse ARP", unhex(head + "0003 020000000011 c0000264 020000000001 c0000201"), hearing{}, false},
		{"short", unhex(head + "0002 020000000011 c0000264 020000000001 c00002"), hearing{}, false},
		{"empty", nil, hearing{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parse(tt.frame)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("%+v, %t, want %+v, %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// TestParseHearsWhatWeSay holds the two ends together: what one tandem announces and asks, another one hears.
func TestParseHearsWhatWeSay(t *testing.T) {
	hw := net.HardwareAddr(server[:])
	v6 := netip.MustParseAddr("2001:db8::100")
	for _, tt := range []struct {
		form form
		want hearing
	}{
		{formRequest, hearing{vip, vip, formRequest, server}},
		{formReply, hearing{vip, netip.Addr{}, formReply, server}},
		{formAdvertisement, hearing{v6, netip.Addr{}, formAdvertisement, server}},
	} {
		addr := vip
		if tt.form == formAdvertisement {
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
	if got, ok := parse(append(b, packet...)); !ok || got != (hearing{asked: v6, from: server}) || to.String() != "33:33:ff:00:01:00" {
		t.Errorf("solicitation: %+v, %t, to %s", got, ok, to)
	}
}

func FuzzParse(f *testing.F) {
	for _, form := range []form{formRequest, formReply, formAdvertisement} {
		addr := vip
		if form == formAdvertisement {
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
		if ok && !s.claimed.IsValid() && !s.asked.IsValid() {
			t.Errorf("% x says nothing, and was heard", b)
		}
	})
}
