// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAuthTrailer: keepalived 2.4 with auth_hmac adds a trailer of 28 octets after its advertisements. A router without a
// key drops them for a reason of their own, and the warning says what to do.
func TestAuthTrailer(t *testing.T) {
	const trailer = "01020000 6553f100 8000 0007 10ac7c1fa5df2c3d0bb9681de5062573"
	hash := unhex(t, trailer)
	for _, g := range golden {
		signed := append(unhex(t, g.wire), hash...)
		if g.src.Is6() { // there the checksum covers the trailer too
			signed[6], signed[7] = 0, 0
			sum := ^fold(sum(0, signed) + pseudoSum(g.src, g.dst, len(signed)))
			signed[6], signed[7] = byte(sum>>8), byte(sum)
		}
		var p Packet
		if d := p.Parse(signed, g.src, g.dst); d != 0 || p.Trailer.KeyID != 2 || p.Priority != g.want.Priority || !slices.Equal(p.VIPs, g.want.VIPs) {
			t.Errorf("%s: %s, %+v", g.name, d, p)
		}
		damaged := slices.Clone(signed)
		damaged[2] ^= 1
		if d := p.Parse(damaged, g.src, g.dst); d != DropBadChecksum {
			t.Errorf("%s, damaged: %s", g.name, d)
		}
		for name, b := range map[string][]byte{
			"shorter": signed[:len(signed)-1], "longer": append(slices.Clone(signed), 0), "zeroes": append(unhex(t, g.wire), make([]byte, TrailerLen)...),
		} {
			if d := p.Parse(b, g.src, g.dst); d != DropBadLength {
				t.Errorf("%s, %s: %s", g.name, name, d)
			}
		}
	}

	c := testConfig(100)
	r := NewRouter(c)
	r.Machine.Step(epoch, Event{Kind: EventUp, Source: addrB})
	msg := append(unhex(t, "31339601 00640000 c0000264"), hash...)
	plain := Packet{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, VIPs: []netip.Addr{vip}, Checksum: ChecksumPseudoHeader}
	copy(msg, plain.AppendTo(nil, addrA, Group4))
	h := Header{Source: addrA, Destination: Group4, TTL: TTL}
	var p Packet
	d := r.Examine(epoch, h, msg, &p)
	if changed, _ := r.DiagnoseDrop(epoch, h, msg, &p, d); d != DropAuthTrailer || !changed {
		t.Errorf("examined: %s", d)
	}
	if w := r.Warnings(); len(w) != 1 || !strings.Contains(w[0], "192.0.2.1 signs its advertisements of VRID 51") || !strings.Contains(w[0], "same key under hmac") {
		t.Errorf("warnings %q", w)
	}
}

// TestContest: another master is reported at once, and then less and less often while it continues. Its last advertisement
// always counts.
func TestContest(t *testing.T) {
	const ms = time.Millisecond
	every := func(pause, span time.Duration) (all []time.Duration) {
		for at := time.Duration(0); at < span; at += pause {
			all = append(all, at)
		}
		return all
	}
	for _, tt := range []struct {
		name        string
		heard, told []time.Duration
	}{
		{"once", []time.Duration{0}, []time.Duration{0}},
		{"a word, and the last word right after it", []time.Duration{0, ms}, []time.Duration{0, 100 * ms}},
		{"a last word later", []time.Duration{0, 150 * ms}, []time.Duration{0, 150 * ms}},
		{"for long, at any rate", every(ms, 3*time.Second), []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 2500 * ms, 3500 * ms}},
		{"again much later", []time.Duration{0, ms, 10 * time.Second, 10*time.Second + ms},
			[]time.Duration{0, 100 * ms, 10 * time.Second, 10*time.Second + 100*ms}},
	} {
		var c contest
		var told []time.Duration
		note := func() {
			if at := c.told.Sub(epoch); len(told) == 0 || told[len(told)-1] != at {
				told = append(told, at)
			}
		}
		settle := func(until time.Time) {
			if due := c.due(); !due.IsZero() && !due.After(until) {
				c.tell(due)
				note()
			}
		}
		for _, at := range tt.heard {
			now := epoch.Add(at)
			settle(now)
			if c.hear(now) && c.told.Equal(now) {
				note()
			}
		}
		settle(epoch.Add(time.Hour))
		if !slices.Equal(told, tt.told) {
			t.Errorf("%s: told at %v, want %v", tt.name, told, tt.told)
		}
	}
}
