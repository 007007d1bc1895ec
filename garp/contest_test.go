// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestContest: after another master was heard, an address is announced at once, and again when the other master has removed
// it, besides its schedule.
func TestContest(t *testing.T) {
	const ms = time.Millisecond
	once := Config{Repeat: []time.Duration{0}}
	for _, tt := range []struct {
		name   string
		config Config
		heard  []time.Duration
		want   []time.Duration
	}{
		{"nobody", once, nil, []time.Duration{0}},
		{"long after the takeover", once, []time.Duration{time.Minute},
			[]time.Duration{0, 60000 * ms, 60060 * ms, 60160 * ms, 61100 * ms, 62200 * ms, 64400 * ms}},
		{"right after the takeover", once, []time.Duration{ms}, []time.Duration{0, ms, 61 * ms, 161 * ms, 1101 * ms, 2201 * ms, 4401 * ms}},
		{"as part of the schedule", Config{Repeat: []time.Duration{0, 100 * ms}, Refresh: 10 * time.Second}, []time.Duration{50 * ms},
			[]time.Duration{0, 50 * ms, 100 * ms, 110 * ms, 210 * ms, 1150 * ms, 2250 * ms, 4450 * ms,
				14450 * ms, 24450 * ms, 34450 * ms, 44450 * ms, 54450 * ms}},
		{"a second time", once, []time.Duration{10 * time.Second, 10100 * ms},
			[]time.Duration{0, 10000 * ms, 10060 * ms, 10100 * ms, 10160 * ms, 10260 * ms, 11200 * ms, 12300 * ms, 14500 * ms}},
		{"before the first announcement", once, []time.Duration{0}, []time.Duration{0, 60 * ms, 160 * ms, 1100 * ms, 2200 * ms, 4400 * ms}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSchedule()
			s.Announce(epoch, tt.config, addrs("2001:db8::1"))
			var sent, want []string
			from := time.Duration(0)
			for _, at := range tt.heard {
				if at > 0 {
					sent = append(sent, drive(s, from, at-1)...)
				}
				s.Contest(epoch.Add(at), addrs("2001:db8::1"))
				from = at
			}
			span := max(from+10*time.Second, time.Minute)
			sent = append(sent, drive(s, from, span)...)
			for _, at := range tt.want {
				want = append(want, fmt.Sprintf("%v 2001:db8::1 neighbour advertisement", at))
			}
			if !slices.Equal(sent, want) {
				t.Errorf("sent\n%q, want\n%q", sent, want)
			}
			if len(s.contests) > 0 {
				t.Errorf("remembers %v", s.contests)
			}
		})
	}
}

// TestContestBeforeTheTakeover: a contest also works if the other master is heard before our address is on the interface.
func TestContestBeforeTheTakeover(t *testing.T) {
	s := NewSchedule()
	s.Contest(epoch, addrs("2001:db8::1", "2001:db8::2"))
	s.Announce(epoch.Add(5*time.Millisecond), Config{Repeat: []time.Duration{0}}, addrs("2001:db8::1"))
	want := []string{
		"5ms 2001:db8::1 neighbour advertisement", "60ms 2001:db8::1 neighbour advertisement",
		"160ms 2001:db8::1 neighbour advertisement", "1.1s 2001:db8::1 neighbour advertisement",
		"2.2s 2001:db8::1 neighbour advertisement", "4.4s 2001:db8::1 neighbour advertisement",
	}
	if got := drive(s, 0, time.Minute); !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
	s.Withdraw(addrs("2001:db8::1", "2001:db8::2"))
	if len(s.contests) > 0 {
		t.Errorf("remembers %v", s.contests)
	}
}
