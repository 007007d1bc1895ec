// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestReferrals: a former master announces an address for its successor, unless it hears an announcement of the successor.
func TestReferrals(t *testing.T) {
	const ms = time.Millisecond
	vips := addrs("192.0.2.100", "2001:db8::100")
	successor, hardware := netip.MustParseAddr("192.0.2.2"), Hardware{2, 0, 0, 0, 0, 2}
	claims := func(addr netip.Addr) Observation {
		return Observation{Claimed: addr, How: Reply, From: hardware, Announced: true}
	}
	answer := claims(vips[0])
	answer.Announced = false
	all := []string{
		"55ms 192.0.2.100 02:00:00:00:00:02", "55ms 2001:db8::100 02:00:00:00:00:02",
		"155ms 192.0.2.100 02:00:00:00:00:02", "155ms 2001:db8::100 02:00:00:00:00:02",
		"1.2s 192.0.2.100 02:00:00:00:00:02", "1.2s 2001:db8::100 02:00:00:00:00:02",
		"2.2s 192.0.2.100 02:00:00:00:00:02", "2.2s 2001:db8::100 02:00:00:00:00:02",
		"4.4s 192.0.2.100 02:00:00:00:00:02", "4.4s 2001:db8::100 02:00:00:00:00:02",
	}
	for _, tt := range []struct {
		name  string
		known bool
		seen  map[time.Duration]Observation
		back  time.Duration // the addresses come back
		want  []string
	}{
		{"nothing is heard", true, nil, 0, all},
		{"it becomes known", false, map[time.Duration]Observation{60 * ms: {Router: successor, From: hardware}}, 0, all[2:]},
		{"the successor announces one address", true, map[time.Duration]Observation{5 * ms: claims(vips[0]), 1105 * ms: claims(vips[0])}, 0,
			[]string{all[1], all[3], all[5], all[7], all[9]}},
		{"it announced it right before", true, map[time.Duration]Observation{-5 * ms: claims(vips[0]), 1095 * ms: claims(vips[0])}, 0,
			[]string{all[1], all[3], all[5], all[7], all[9]}},
		{"it announces it only while strict neighbours refuse that", true, map[time.Duration]Observation{5 * ms: claims(vips[0])}, 0,
			[]string{all[1], all[3], all[4], all[5], all[6], all[7], all[8], all[9]}},
		{"that was long before", true, map[time.Duration]Observation{-5000 * ms: claims(vips[0])}, 0, all},
		{"it announces it late", true, map[time.Duration]Observation{60 * ms: claims(vips[1])}, 0, []string{all[0], all[1], all[2], all[4], all[5], all[6], all[7], all[8], all[9]}},
		{"it answers us", true, map[time.Duration]Observation{5 * ms: answer}, 0, all},
		{"a machine repeated that long before", true, map[time.Duration]Observation{
			-5000 * ms: {Router: successor, From: Hardware{2, 0, 0, 0, 0, 6}}, -4995 * ms: {Router: successor, From: hardware},
		}, 0, all},
		{"a machine repeats that later", true, map[time.Duration]Observation{
			1000 * ms: {Router: successor, From: Hardware{2, 0, 0, 0, 0, 6}}, 1005 * ms: {Router: successor, From: hardware},
		}, 0, all[:4]},
		{"we are master again", true, nil, 100 * ms, all[:2]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReferrals()
			r.SetAddresses(vips)
			if tt.known {
				r.ObserveRouter(epoch, Observation{Router: successor, From: hardware})
			}
			var got []string
			for at := -5 * time.Second; at < 5*time.Second; at += 5 * ms {
				now := epoch.Add(at)
				if at == 0 {
					r.Refer(now, now, vips, successor)
					r.SetAddresses(nil)
				}
				if at == tt.back && at > 0 {
					r.SetAddresses(vips)
				}
				if o, ok := tt.seen[at]; ok {
					r.ObserveRouter(now, o)
					r.Observe(now, o)
				}
				out, next := r.Step(now)
				for _, o := range out {
					got = append(got, fmt.Sprintf("%v %v %v", at, o.Address, o.Hardware))
				}
				if next.IsZero() == r.Waiting() || !next.IsZero() && !next.After(now) {
					t.Fatalf("at %v: next %v, waiting %t", at, next, r.Waiting())
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("announced %q, want %q", got, tt.want)
			}
			if r.Waiting() {
				t.Error("it still waits")
			}
		})
	}
}

// TestReferralsTellRepeats: only an announcement of an address that nobody was heard to announce is not a repeat. There is at most
// one in a hand-over, and none to a successor such as keepalived, which announces at once and then 5 s later.
func TestReferralsTellRepeats(t *testing.T) {
	const ms = time.Millisecond
	vip, successor, hardware := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.2"), Hardware{2, 0, 0, 0, 0, 2}
	for _, tt := range []struct {
		name      string
		announced time.Duration // by the successor
		want      string
	}{
		{"never", time.Hour, "[first 55ms again 155ms again 1.2s again 2.2s again 4.4s]"},
		{"when it took over, before its advertisement was read", -5 * ms, "[again 1.2s again 2.2s again 4.4s]"},
		{"at once", 0, "[again 1.2s again 2.2s again 4.4s]"},
		{"late", 100 * ms, "[first 55ms again 1.2s again 2.2s again 4.4s]"},
	} {
		r := NewReferrals()
		r.SetAddresses([]netip.Addr{vip})
		for handOver := range 2 {
			begin := epoch.Add(time.Duration(handOver) * time.Minute)
			r.ObserveRouter(begin, Observation{Router: successor, From: hardware})
			var got []string
			for at := -10 * ms; at < 6*time.Second; at += 5 * ms {
				now := begin.Add(at)
				if at == tt.announced {
					r.Observe(now, Observation{Claimed: vip, How: Reply, From: hardware, Announced: true})
				}
				if at == 0 {
					r.Refer(now, now, []netip.Addr{vip}, successor)
					r.SetAddresses(nil)
				}
				out, _ := r.Step(now)
				for _, o := range out {
					got = append(got, map[bool]string{false: "first ", true: "again "}[o.Again]+at.String())
				}
			}
			if fmt.Sprint(got) != tt.want {
				t.Errorf("the successor announces %s: %v, want %s", tt.name, got, tt.want)
			}
			r.SetAddresses([]netip.Addr{vip})
		}
	}
}

// TestReferralsOfASuccessorOnAnotherPath: the successor was heard over another path, so nobody knows its hardware address on this
// interface. The addresses are announced as soon as it is heard here, in time or later, unless another machine announces them first.
func TestReferralsOfASuccessorOnAnotherPath(t *testing.T) {
	const ms = time.Millisecond
	vips := addrs("192.0.2.100")
	there, here, hardware := netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("192.0.2.2"), Hardware{2, 0, 0, 0, 0, 2}
	for _, tt := range []struct {
		name      string
		renamed   time.Duration // when it is heard here
		announced time.Duration
		want      string
	}{
		{"it is never heard here", 0, 0, "[]"},
		{"it is heard here at once", 30 * ms, 0, "[85ms 185ms 1.23s 2.23s 4.43s]"},
		{"it is heard here after the time of a referral", 10_000 * ms, 0, "[10.055s 10.155s 11.2s 12.2s 14.4s]"},
		{"it announces the address, and is heard here then", 10_000 * ms, 9000 * ms, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReferrals()
			r.SetAddresses(vips)
			r.Refer(epoch, epoch, vips, there)
			r.SetAddresses(nil)
			var got []time.Duration
			for at := time.Duration(0); at < 20*time.Second; at += 5 * ms {
				now := epoch.Add(at)
				if at == tt.announced && at > 0 {
					r.Observe(now, Observation{Claimed: vips[0], From: hardware, Announced: true})
				}
				if at == tt.renamed && at > 0 {
					r.ObserveRouter(now, Observation{Router: here, From: hardware})
					r.Refer(now, now, vips, here)
				}
				out, next := r.Step(now)
				if len(out) > 0 {
					got = append(got, at)
				}
				if !next.IsZero() && !next.After(now) {
					t.Fatalf("at %v: next %v", at, next)
				}
			}
			if fmt.Sprint(got) != tt.want {
				t.Errorf("announced at %v, want %s", got, tt.want)
			}
			if never := tt.renamed == 0; r.Waiting() != never {
				t.Errorf("waiting: %t, want %t", r.Waiting(), never)
			}
		})
	}
}

// TestReferralsOfAddressesGivenUpToNobody: addresses that were given up without a successor are announced for the master that
// is heard later.
func TestReferralsOfAddressesGivenUpToNobody(t *testing.T) {
	vips := addrs("192.0.2.100", "192.0.2.101")
	successor, hardware := netip.MustParseAddr("192.0.2.2"), Hardware{2, 0, 0, 0, 0, 2}
	later := epoch.Add(10 * time.Second)
	for _, tt := range []struct {
		name  string
		after func(*Referrals) // after the addresses were given up, and before the master is heard
		want  string
	}{
		{"nothing", func(*Referrals) {}, "[192.0.2.100 192.0.2.101]"},
		{"one is announced", func(r *Referrals) {
			r.Observe(epoch, Observation{Claimed: vips[0], From: hardware, Announced: true})
		}, "[192.0.2.101]"},
		{"one is ours again", func(r *Referrals) { r.SetAddresses(vips[1:]); r.SetAddresses(nil) }, "[192.0.2.100]"},
	} {
		r := NewReferrals()
		r.SetAddresses(nil)
		r.GiveUp(vips)
		tt.after(r)
		if !r.Waiting() {
			t.Errorf("%s: it waits for no master", tt.name)
		}
		if out, next := r.Step(epoch.Add(time.Second)); len(out) > 0 || !next.IsZero() {
			t.Errorf("%s: announced %v before a master was heard, next %v", tt.name, out, next)
		}
		r.ObserveRouter(epoch, Observation{Router: successor, From: hardware})
		r.Refer(later, later, vips, successor)
		out, _ := r.Step(later.Add(55 * time.Millisecond))
		got := []netip.Addr{}
		for _, o := range out {
			got = append(got, o.Address)
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%s: announced %v, want %s", tt.name, got, tt.want)
		}
		r.Step(later.Add(time.Minute))
		if r.Waiting() {
			t.Errorf("%s: it still waits", tt.name)
		}
	}
}

// TestReferralsAreBounded: forged advertisements do not fill the memory.
func TestReferralsAreBounded(t *testing.T) {
	r := NewReferrals()
	for i := range 1000 {
		r.ObserveRouter(epoch, Observation{Router: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
		r.Observe(epoch, Observation{Claimed: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Announced: true})
	}
	if len(r.routers) != maxRouters || len(r.announced) != 0 {
		t.Errorf("remembers %d routers and %d announcements", len(r.routers), len(r.announced))
	}
	r.Refer(epoch, epoch, addrs("192.0.2.100"), netip.Addr{})
	if r.Waiting() {
		t.Error("refers an address that was never ours")
	}
}

// TestReferralsOfARouterAtTwoPlaces: while a third machine repeats what the successor says, nothing is announced. Else the address
// would be announced at the hardware address of that machine. When it has ended, the next call of Refer announces.
func TestReferralsOfARouterAtTwoPlaces(t *testing.T) {
	vip, successor := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.2")
	right, wrong := Hardware{2, 0, 0, 0, 0, 2}, Hardware{2, 0, 0, 0, 0, 6}
	r := NewReferrals()
	r.GiveUp([]netip.Addr{vip})
	var out []Referral
	steps := func(from, to time.Duration, repeated bool) {
		for at := from; at < to; at += 10 * time.Millisecond {
			if at%(250*time.Millisecond) == 0 {
				r.ObserveRouter(epoch.Add(at), Observation{Router: successor, From: right})
				r.Refer(epoch.Add(at), epoch.Add(at), []netip.Addr{vip}, successor)
			}
			if repeated {
				r.ObserveRouter(epoch.Add(at), Observation{Router: successor, From: wrong})
			}
			now, _ := r.Step(epoch.Add(at))
			out = append(out, now...)
		}
	}
	steps(0, 20*time.Second, true)
	if len(out) > 0 || !r.Waiting() {
		t.Errorf("announced %v, waiting: %t", out, r.Waiting())
	}
	r.Miss(epoch.Add(20 * time.Second))
	steps(20*time.Second, 25*time.Second, false)
	if len(out) > 0 {
		t.Errorf("announced %v although advertisements were lost", out)
	}
	steps(25*time.Second, 35*time.Second, false)
	if len(out) == 0 || out[0] != (Referral{vip, right, false}) || out[len(out)-1] != (Referral{vip, right, true}) {
		t.Errorf("after the end of it, announced %v", out)
	}
}
