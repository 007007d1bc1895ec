// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func addrs(list ...string) []netip.Addr {
	var as []netip.Addr
	for _, s := range list {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

// drive lets time pass until a moment, and returns the frames that were sent: "moment address form".
func drive(s *Schedule, from, until time.Duration) []string {
	sent := []string{}
	now := from
	for {
		for n, ok := s.Next(epoch.Add(now)); ok; n, ok = s.Next(epoch.Add(now)) {
			sent = append(sent, fmt.Sprintf("%v %v %v", now, n.Addr, n.Form))
		}
		due, ok := s.Deadline()
		if !ok || due.After(epoch.Add(until)) {
			return sent
		}
		now = due.Sub(epoch)
	}
}

func TestScheduleMoments(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name   string
		config Config
		addrs  []string
		until  time.Duration
		want   []string
	}{
		{"both forms at once, then the repeats, then the refreshes",
			Config{Repeat: []time.Duration{0, 100 * ms}, Refresh: time.Second}, []string{"192.0.2.1"}, 2500 * ms,
			[]string{"0s 192.0.2.1 ARP request", "0s 192.0.2.1 ARP reply",
				"100ms 192.0.2.1 ARP request", "100ms 192.0.2.1 ARP reply",
				"1.1s 192.0.2.1 ARP request", "1.1s 192.0.2.1 ARP reply",
				"2.1s 192.0.2.1 ARP request", "2.1s 192.0.2.1 ARP reply"}},
		{"one form for IPv6", Config{Repeat: []time.Duration{0}}, []string{"2001:db8::1"}, time.Hour,
			[]string{"0s 2001:db8::1 neighbour advertisement"}},
		{"first announcement later", Config{Repeat: []time.Duration{10 * ms}}, []string{"2001:db8::1"}, time.Hour,
			[]string{"10ms 2001:db8::1 neighbour advertisement"}},
		{"refresh only", Config{Refresh: time.Second}, []string{"2001:db8::1"}, 2 * time.Second,
			[]string{"1s 2001:db8::1 neighbour advertisement", "2s 2001:db8::1 neighbour advertisement"}},
		{"never", Config{}, []string{"192.0.2.1"}, time.Hour, []string{}},
		{"an IPv4 address in IPv6 notation, or an address with a zone", Config{Repeat: []time.Duration{0}},
			[]string{"::ffff:192.0.2.1", "fe80::1%eth0"}, time.Hour,
			[]string{"0s 192.0.2.1 ARP request", "0s 192.0.2.1 ARP reply", "0s fe80::1 neighbour advertisement"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSchedule()
			s.Announce(epoch, tt.config, addrs(tt.addrs...))
			if got := drive(s, 0, tt.until); !slices.Equal(got, tt.want) {
				t.Errorf("sent\n%q, want\n%q", got, tt.want)
			}
		})
	}
}

func TestDefaultConfig(t *testing.T) {
	s := NewSchedule()
	s.Announce(epoch, DefaultConfig(), addrs("2001:db8::1"))
	const form = " 2001:db8::1 neighbour advertisement"
	want := []string{"0s" + form, "1.1s" + form, "2.2s" + form, "4.4s" + form, "1m4.4s" + form}
	if got := drive(s, 0, 2*time.Minute); !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
}

// order returns the addresses of the next frames at one moment.
func order(s *Schedule, now time.Duration, n int) []string {
	var list []string
	for range n {
		if n, ok := s.Next(epoch.Add(now)); ok {
			list = append(list, n.Addr.String())
		}
	}
	return list
}

func TestScheduleOrder(t *testing.T) {
	twice := Config{Repeat: []time.Duration{0, time.Second}}
	tests := []struct {
		name string
		do   func(s *Schedule)
		at   time.Duration
		want []string
	}{
		{"in the order of the call", func(s *Schedule) {
			s.Announce(epoch, twice, addrs("2001:db8::3", "2001:db8::1", "2001:db8::2"))
		}, 0, []string{"2001:db8::3", "2001:db8::1", "2001:db8::2"}},
		{"request and reply of an address together", func(s *Schedule) {
			s.Announce(epoch, twice, addrs("192.0.2.1", "192.0.2.2"))
		}, 0, []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"}},
		{"a small router does not wait for a large one", func(s *Schedule) {
			s.Announce(epoch, twice, addrs("2001:db8::1", "2001:db8::2", "2001:db8::3"))
			s.Next(epoch)
			s.Announce(epoch, twice, addrs("2001:db8::4"))
		}, 0, []string{"2001:db8::4", "2001:db8::2", "2001:db8::3"}},
		{"first announcements before repeats that are overdue", func(s *Schedule) {
			s.Announce(epoch, twice, addrs("2001:db8::1", "2001:db8::2"))
			drive(s, 0, 0)
			s.Announce(epoch.Add(1050*time.Millisecond), twice, addrs("2001:db8::3", "2001:db8::4"))
		}, 1050 * time.Millisecond, []string{"2001:db8::3", "2001:db8::4", "2001:db8::1", "2001:db8::2"}},
		{"withdrawn between its two frames", func(s *Schedule) {
			s.Announce(epoch, twice, addrs("192.0.2.1", "192.0.2.2"))
			s.Next(epoch)
			s.Withdraw(addrs("192.0.2.1", "192.0.2.9"))
		}, time.Hour, []string{"192.0.2.2", "192.0.2.2"}},
		{"announced twice, sent once", func(s *Schedule) {
			s.Announce(epoch, twice, addrs("2001:db8::1", "2001:db8::1"))
			s.Announce(epoch, twice, addrs("2001:db8::1"))
		}, 0, []string{"2001:db8::1"}},
		{"the zero address is ignored", func(s *Schedule) {
			s.Announce(epoch, twice, []netip.Addr{{}, netip.MustParseAddr("2001:db8::1")})
		}, 0, []string{"2001:db8::1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSchedule()
			tt.do(s)
			if got := order(s, tt.at, 10); !slices.Equal(got, tt.want) {
				t.Errorf("sent %v, want %v", got, tt.want)
			}
		})
	}
}

func TestScheduleSkipsWhatWasMissed(t *testing.T) {
	s := NewSchedule()
	c := Config{Repeat: []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second}, Refresh: 10 * time.Second}
	s.Announce(epoch, c, addrs("2001:db8::1"))
	const form = " 2001:db8::1 neighbour advertisement"
	want := []string{"2.5s" + form, "4s" + form, "14s" + form}
	if got := drive(s, 2500*time.Millisecond, 20*time.Second); !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestScheduleStartsAgain(t *testing.T) {
	c := Config{Repeat: []time.Duration{0, time.Second}}
	const form = " 2001:db8::1 neighbour advertisement"
	want := []string{"10s" + form, "11s" + form}
	for name, do := range map[string]func(*Schedule){
		"announced again": func(s *Schedule) { s.Announce(epoch.Add(10*time.Second), c, addrs("2001:db8::1")) },
		"restarted":       func(s *Schedule) { s.Restart(epoch.Add(10 * time.Second)) },
	} {
		for _, lived := range []time.Duration{0, 5 * time.Second} {
			s := NewSchedule()
			s.Announce(epoch, c, addrs("2001:db8::1"))
			drive(s, 0, lived)
			do(s)
			if got := drive(s, 10*time.Second, time.Hour); !slices.Equal(got, want) {
				t.Errorf("%s after %v: sent %q, want %q", name, lived, got, want)
			}
		}
	}
}

func TestReannounceIsBounded(t *testing.T) {
	const ms = time.Millisecond
	slow, quick := []time.Duration{0, 1500 * ms}, []time.Duration{0, 300 * ms, 600 * ms, 1200 * ms}
	tests := []struct {
		name   string
		repeat []time.Duration
		calls  []time.Duration
		want   []time.Duration // the moments of the announcements
	}{
		{"never", slow, nil, []time.Duration{0, 1500 * ms}},
		{"long after", slow, []time.Duration{10 * time.Second}, []time.Duration{0, 1500 * ms, 10 * time.Second, 11500 * ms}},
		{"before the schedule has ended", slow, []time.Duration{1200 * ms}, []time.Duration{0, 1200 * ms, 2700 * ms}},
		{"right after the start it waits", slow, []time.Duration{10 * ms}, []time.Duration{0, time.Second, 2500 * ms}},
		{"many in one second are one", slow, []time.Duration{10 * ms, 20 * ms, 500 * ms, 999 * ms},
			[]time.Duration{0, time.Second, 2500 * ms}},
		{"before the first announcement it changes nothing", slow, []time.Duration{0}, []time.Duration{0, 1500 * ms}},
		{"repeated causes start it once a second", slow,
			[]time.Duration{2000 * ms, 2100 * ms, 2500 * ms, 3100 * ms, 3200 * ms},
			[]time.Duration{0, 1500 * ms, 2000 * ms, 3000 * ms, 4000 * ms, 5500 * ms}},
		{"announcements within the second are not left out", quick, []time.Duration{10 * ms, 20 * ms},
			[]time.Duration{0, 300 * ms, 600 * ms, 1000 * ms, 1300 * ms, 1600 * ms, 2200 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSchedule()
			s.Announce(epoch, Config{Repeat: tt.repeat}, addrs("2001:db8::1"))
			var sent, want []string
			from := time.Duration(0)
			for _, at := range tt.calls {
				if at > 0 {
					sent = append(sent, drive(s, from, at-1)...)
				}
				s.Reannounce(epoch.Add(at), nil)
				from = at
			}
			sent = append(sent, drive(s, from, time.Minute)...)
			for _, at := range tt.want {
				want = append(want, fmt.Sprintf("%v 2001:db8::1 neighbour advertisement", at))
			}
			if !slices.Equal(sent, want) {
				t.Errorf("sent\n%q, want\n%q", sent, want)
			}
		})
	}
}

func TestReannounceNamesAddresses(t *testing.T) {
	s := NewSchedule()
	s.Announce(epoch, Config{Repeat: []time.Duration{0}}, addrs("2001:db8::1", "2001:db8::2", "192.0.2.1"))
	drive(s, 0, 0)
	s.Reannounce(epoch.Add(time.Minute), addrs("2001:db8::2", "::ffff:192.0.2.1", "2001:db8::9"))
	want := []string{"2001:db8::2", "192.0.2.1", "192.0.2.1"}
	if got := order(s, time.Minute, 10); !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
}

func TestScheduleForgetsTheWithdrawn(t *testing.T) {
	s := NewSchedule()
	list := addrs("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.2")
	s.Announce(epoch, DefaultConfig(), list)
	s.Next(epoch)
	s.Withdraw(list)
	s.Restart(epoch)
	if _, ok := s.Deadline(); ok || len(s.entries) > 0 {
		t.Errorf("%d addresses are still scheduled", len(s.entries))
	}
}

// TestRepeatAfterAStall: after a process was stopped, its announcements may be wrong. They wait until its election has
// looked.
func TestRepeatAfterAStall(t *testing.T) {
	start := time.Unix(1000, 0)
	s := NewSchedule()
	addr := netip.MustParseAddr("192.0.2.100")
	s.Announce(start, Config{Repeat: []time.Duration{0, 1100 * time.Millisecond}}, []netip.Addr{addr})
	frames := func(now time.Time) (n int) {
		for {
			if _, ok := s.Next(now); !ok {
				return n
			}
			n++
		}
	}
	if n := frames(start); n != 2 {
		t.Fatalf("%d frames at the takeover, want both forms", n)
	}
	woken := start.Add(5 * time.Second)
	if n := frames(woken); n != 0 {
		t.Errorf("%d frames at the wake", n)
	}
	if due, ok := s.Deadline(); !ok || due != woken.Add(stallPause) {
		t.Errorf("the next is due %v, %t", due.Sub(woken), ok)
	}
	if n := frames(woken.Add(stallPause)); n != 2 {
		t.Errorf("%d frames after the election had its time, want 2", n)
	}

	// Another machine claimed the address, so the schedule was to start again. By now that machine may be the master.
	s.Reannounce(woken, []netip.Addr{addr})
	frames(woken.Add(stallPause))
	s.Reannounce(woken.Add(stallPause), []netip.Addr{addr})
	again := woken.Add(time.Minute)
	if n := frames(again); n != 0 {
		t.Errorf("%d frames of a restart at the wake", n)
	}
	if n := frames(again.Add(stallPause)); n != 2 {
		t.Errorf("%d frames of a restart after the election had its time, want 2", n)
	}

	// A repeat that is only as late as on a busy machine is sent at once.
	s.Announce(start, Config{Repeat: []time.Duration{0, 1100 * time.Millisecond}}, []netip.Addr{addr})
	frames(start)
	if n := frames(start.Add(1150 * time.Millisecond)); n != 2 {
		t.Errorf("%d frames 50 ms late, want 2", n)
	}
}
