// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"slices"
	"testing"
	"time"
)

// TestDelays: when a backup becomes master, to the nanosecond.
func TestDelays(t *testing.T) {
	const down = 3*time.Second + skewOf100
	with := func(change func(*Config)) Config { c := testConfig(100); change(&c); return c }
	preempt := with(func(c *Config) { c.PreemptDelay = 10 * time.Second })
	startup := with(func(c *Config) { c.StartupDelay = 10 * time.Second })
	both := with(func(c *Config) { c.StartupDelay, c.PreemptDelay = 10*time.Second, 20*time.Second })
	noPreempt := with(func(c *Config) { c.Preempt = false })
	owner := testConfig(255)
	owner.StartupDelay = 10 * time.Second
	slow := hear(addrA, 50)
	slow.Interval = 2 * time.Second
	type heard struct {
		at time.Duration
		ev Event
	}
	// every hears the event each second from the first second to the last.
	every := func(ev Event, first, last int) (all []heard) {
		for s := first; s <= last; s++ {
			all = append(all, heard{time.Duration(s) * time.Second, ev})
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		config Config
		heard  []heard
		want   time.Duration
		reason string
	}{
		{"no delay, a lower master", testConfig(100), every(hear(addrA, 50), 1, 60), down, "own priority 100 is higher than 50 of 192.0.2.1"},
		{"preempt delay, a lower master", preempt, every(hear(addrA, 50), 1, 60), 11 * time.Second, "own priority 100 is higher than 50 of 192.0.2.1"},
		{"preempt delay, nobody", preempt, nil, down, "no advertisement for 3.609s"},
		{"preempt delay, the lower master dies", preempt, every(hear(addrA, 50), 1, 4), 4*time.Second + down, "no advertisement for 3.609s from 192.0.2.1"},
		{"preempt delay, a slow lower master dies", preempt, []heard{{time.Second, slow}, {3 * time.Second, slow}},
			3*time.Second + 2*down, "no advertisement for 7.219s from 192.0.2.1"},
		{"preempt delay, the lower master leaves", preempt, slices.Concat(every(hear(addrA, 50), 1, 4), []heard{{4 * time.Second, hear(addrA, 0)}}),
			4*time.Second + skewOf100, "priority 0 heard from 192.0.2.1"},
		{"preempt delay, the master becomes a lower one", preempt, slices.Concat(every(hear(addrA, 200), 1, 5), every(hear(addrA, 50), 6, 60)),
			16 * time.Second, "own priority 100 is higher than 50 of 192.0.2.1"},
		{"preempt delay, a higher master comes between", preempt,
			slices.Concat(every(hear(addrA, 50), 1, 5), every(hear(addrC, 200), 6, 6), every(hear(addrA, 50), 7, 60)),
			17 * time.Second, "own priority 100 is higher than 50 of 192.0.2.1"},
		{"preempt delay, another lower master goes on", preempt, slices.Concat(every(hear(addrA, 50), 1, 5), every(hear(addrC, 60), 6, 60)),
			11 * time.Second, "own priority 100 is higher than 60 of 192.0.2.3"},
		{"startup delay, nobody", startup, nil, 10 * time.Second, "no advertisement for 10s"},
		{"startup delay, a lower master", startup, every(hear(addrA, 50), 1, 60), 10 * time.Second, "own priority 100 is higher than 50 of 192.0.2.1"},
		{"startup delay, the master leaves", startup, every(hear(addrA, 0), 2, 2), 10 * time.Second, "priority 0 heard from 192.0.2.1"},
		{"startup delay, the master dies late", startup, every(hear(addrA, 200), 1, 9), 9*time.Second + down, "no advertisement for 3.609s from 192.0.2.1"},
		{"both delays, a lower master", both, every(hear(addrA, 50), 1, 60), 21 * time.Second, "own priority 100 is higher than 50 of 192.0.2.1"},
		{"startup delay of the owner", owner, every(hear(addrA, 50), 1, 60), 10 * time.Second, "own priority 255 is higher than 50 of 192.0.2.1"},
		{"no preemption, a lower master", noPreempt, every(hear(addrA, 50), 1, 60), 60*time.Second + down, "no advertisement for 3.609s from 192.0.2.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := backup(tt.config)
			for _, h := range tt.heard {
				if due := epoch.Add(h.at); due.After(m.Deadline()) {
					break
				}
				m.Step(epoch.Add(h.at), h.ev)
			}
			due := m.Deadline()
			if m.Step(due, Event{Kind: EventTimer}); m.State() != Master || due.Sub(epoch) != tt.want || m.Cause().String() != tt.reason {
				t.Errorf("%s after %s: %q; want master after %s: %q", m.State(), due.Sub(epoch), m.Cause().String(), tt.want, tt.reason)
			}
		})
	}
}

func TestStartupDelayIsCountedOnce(t *testing.T) {
	c := testConfig(100)
	c.StartupDelay = time.Minute
	up, fault := Event{Kind: EventUp, Source: addrB}, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "no carrier"}}
	m := NewMachine(c)
	due := func(at time.Duration, ev Event) time.Duration {
		m.Step(epoch.Add(at), ev)
		return m.Deadline().Sub(epoch)
	}
	due(0, fault)
	// The time without a link does not count as listening.
	if got := due(time.Hour, up); got != time.Hour+time.Minute {
		t.Errorf("due after %s", got)
	}
	shorter, longer := c, c
	shorter.StartupDelay, longer.StartupDelay = 30*time.Second, 10*time.Hour
	if got := due(time.Hour, Event{Kind: EventConfig, Config: &shorter}); got != time.Hour+30*time.Second {
		t.Errorf("due after %s with a shorter delay", got)
	}
	due(2*time.Hour, fault)
	if got := due(2*time.Hour, up); got != 2*time.Hour+3*time.Second+skewOf100 {
		t.Errorf("due after %s when a fault is over", got)
	}
	if got := due(2*time.Hour, Event{Kind: EventConfig, Config: &longer}); got != 2*time.Hour+3*time.Second+skewOf100 {
		t.Errorf("due after %s with a delay that came too late", got)
	}
	m = NewMachine(c)
	if got := spell(m.Step(epoch, Event{Kind: EventResume, Source: addrB})); got != "advert 100, master: resumed" {
		t.Errorf("%s: the delay held up a master that resumed", got)
	}
	due(time.Second, fault)
	if got := due(time.Second, up); got != time.Second+3*time.Second+skewOf100 {
		t.Errorf("due after %s: a master that resumed was started long ago", got)
	}
}

// TestStandbyRearms: time that counted towards a preemption does not count when standby has forbidden the preemption.
func TestStandbyRearms(t *testing.T) {
	c := testConfig(100)
	c.PreemptDelay = time.Minute
	noPreempt := testConfig(100)
	noPreempt.Preempt = false
	for _, tt := range []struct {
		name  string
		event Event
		skew  uint8
	}{
		{"standby", Event{Kind: EventStandby, On: true}, 1},
		{"lower by tracking", Event{Kind: EventTracking, Delta: -60}, 40},
		{"no preemption any more", Event{Kind: EventConfig, Config: &noPreempt}, 100},
	} {
		m := backup(c)
		for s := range 50 {
			m.Step(epoch.Add(time.Duration(s)*time.Second), hear(addrA, 50))
		}
		m.Step(epoch.Add(49*time.Second), tt.event)
		if want := epoch.Add(52*time.Second + Skew(tt.skew, time.Second)); !m.Deadline().Equal(want) || m.Master() != addrA {
			t.Errorf("%s: due %s, want %s", tt.name, m.Deadline(), want)
		}
	}
}
