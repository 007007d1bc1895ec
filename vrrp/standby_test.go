// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"slices"
	"testing"
	"time"
)

// A router without tracking results preempts nobody, but takes over from a master that is gone. A master stays master.
func TestUnclearTracking(t *testing.T) {
	unclear := Event{Kind: EventTracking, Unclear: true, Delta: 7}
	m := NewMachine(testConfig(200))
	at := epoch
	m.Step(at, unclear)
	m.Step(at, Event{Kind: EventUp, Source: addrB})
	for range 20 {
		at = at.Add(time.Second)
		m.Step(at, hear(addrA, 100))
		if m.State() != Backup || m.Priority() != priorityStandby {
			t.Fatalf("%s at priority %d beside a master of 100", m.State(), m.Priority())
		}
	}
	// With the results it preempts.
	at = at.Add(time.Second)
	m.Step(at, Event{Kind: EventTracking, Delta: 7})
	if m.Priority() != 207 {
		t.Errorf("priority %d once it is clear", m.Priority())
	}
	m.Step(at, unclear)
	at = m.Deadline()
	actions := slices.Clone(m.Step(at, Event{Kind: EventTimer}))
	if m.State() != Master || m.Priority() != 207 || len(actions) == 0 || actions[0].Kind != ActionAdvertise || actions[0].Priority != 207 {
		t.Errorf("%s at priority %d after the master is gone: %+v", m.State(), m.Priority(), actions)
	}
}

// TestHandOver goes through all ways to leave and to return, event by event.
func TestHandOver(t *testing.T) {
	const (
		last = 4*time.Second + 96*time.Millisecond + 93750*time.Nanosecond // when nobody took over
		down = 3*time.Second + skewOf100
	)
	type row struct {
		at      time.Duration
		event   Event
		actions string
		state   State
		holding bool
	}
	timer, stop := Event{Kind: EventTimer}, Event{Kind: EventStop, Cause: &Cause{Kind: CauseShutdown}}
	up, resume := Event{Kind: EventUp, Source: addrB}, Event{Kind: EventResume, Source: addrB}
	on, off := Event{Kind: EventStandby, On: true}, Event{Kind: EventStandby}
	giveWay := Event{Kind: EventJoin, To: Backup, Cause: &Cause{Kind: FaultTracked, Text: "group"}}
	takeOver := Event{Kind: EventJoin, To: Master, Cause: &Cause{Kind: FaultTracked, Text: "group"}}
	hard, gentle := Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "no carrier"}}, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "script"}, Gentle: true}
	announced := Event{Kind: EventAnnounced}
	lingered, quiet := time.Second+Linger, 2*time.Second+Linger
	taken := row{time.Second, hear(addrA, 100), "backup: 192.0.2.1 took over", Backup, true}
	told := row{time.Second, announced, "", Backup, true}
	grouped := testConfig(100)
	grouped.SyncGroup = "pair"
	slow, fast, virtual := testConfig(100), testConfig(100), testConfig(100)
	slow.AdvertInterval, fast.AdvertInterval, virtual.VirtualMAC = 10*time.Second, 10*time.Millisecond, true
	for _, tt := range []struct {
		name    string
		machine *Machine
		rows    []row
	}{
		{"stop, nobody takes over", master(testConfig(100)), []row{
			{0, stop, "advert 0, stays: shutdown", Master, true},
			{1500 * time.Millisecond, timer, "advert 0", Master, true},
			{last - 1, timer, "", Master, true},
			{last, timer, "initialize: nobody took over", Initialize, false},
			{last, hard, "", Initialize, false},
			{last + 1, up, "backup: startup", Backup, false},
		}},
		{"stop, the successor gets time for its addresses", master(testConfig(100)), []row{
			{0, stop, "advert 0, stays: shutdown", Master, true},
			{0, announced, "", Master, true},
			{time.Second, hear(addrA, 100), "initialize: 192.0.2.1 took over", Initialize, true},
			{1460 * time.Millisecond, timer, "", Initialize, true},
			{1460 * time.Millisecond, announced, "", Initialize, true},
			{1500 * time.Millisecond, announced, "", Initialize, true},
			{1460*time.Millisecond + Linger - 1, timer, "", Initialize, true},
			{1460*time.Millisecond + Linger, timer, "release: the successor has them", Initialize, false},
			{1600 * time.Millisecond, announced, "", Initialize, false},
		}},
		{"stop, the successor announces its addresses at the last moment", master(testConfig(100)), []row{
			{0, stop, "advert 0, stays: shutdown", Master, true},
			{time.Second, hear(addrA, 100), "initialize: 192.0.2.1 took over", Initialize, true},
			{quiet - 1, announced, "", Initialize, true},
			{quiet, timer, "release: the successor has them", Initialize, false},
		}},
		{"stop, the successor is not heard to announce its addresses", master(testConfig(100)), []row{
			{0, stop, "advert 0, stays: shutdown", Master, true},
			{time.Second, hear(addrA, 100), "initialize: 192.0.2.1 took over", Initialize, true},
			{quiet - 1, timer, "", Initialize, true},
			{quiet, timer, "release: 192.0.2.1 took over, and was not heard to announce them", Initialize, false},
		}},
		{"stop, at a long interval", master(slow), []row{
			{0, stop, "advert 0, stays: shutdown", Master, true},
			{time.Second, hear(addrA, 100), "initialize: 192.0.2.1 took over", Initialize, true},
			{quiet - 1, timer, "", Initialize, true},
			{quiet, timer, "release: 192.0.2.1 took over, and was not heard to announce them", Initialize, false},
		}},
		{"stop, at a short interval", master(fast), []row{
			{0, stop, "advert 0, stays: shutdown", Master, true},
			{time.Millisecond, hear(addrA, 100), "initialize: 192.0.2.1 took over", Initialize, true},
			{11*time.Millisecond + Linger - 1, timer, "", Initialize, true},
			{11*time.Millisecond + Linger, timer, "release: 192.0.2.1 took over, and was not heard to announce them", Initialize, false},
		}},
		{"stop, with a virtual MAC address", master(virtual), []row{
			{0, stop, "advert 0, stays: shutdown", Master, true},
			{time.Second, hear(addrA, 100), "initialize: 192.0.2.1 took over", Initialize, true},
			{lingered - 1, timer, "", Initialize, true},
			{lingered, timer, "release: the successor has them", Initialize, false},
		}},
		{"stop, and start while lingering", master(testConfig(100)), []row{
			{0, stop, "advert 0, stays: shutdown", Master, true},
			{time.Second, hear(addrA, 100), "initialize: 192.0.2.1 took over", Initialize, true},
			{time.Second, announced, "", Initialize, true},
			{time.Second, up, "backup: startup", Backup, true},
			{lingered, timer, "release: the successor has them", Backup, false},
			{time.Second + down, timer, "advert 100, master: no advertisement for 3.609s", Master, true},
		}},
		{"standby", master(testConfig(100)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			taken,
			told,
			{lingered, timer, "release: the successor has them", Backup, false},
			{2 * time.Second, hear(addrA, 1), "", Backup, false},
			{5 * time.Second, off, "", Backup, false},
			{5 * time.Second, hear(addrA, 50), "", Backup, false},
			{6 * time.Second, timer, "advert 100, master: own priority 100 is higher than 50 of 192.0.2.1", Master, true},
		}},
		{"standby outlives the other", master(testConfig(100)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			taken,
			told,
			{5 * time.Second, timer, "release: the successor has them, advert 1, master: no advertisement for 4s from 192.0.2.1", Master, true},
			{6 * time.Second, timer, "advert 1", Master, true},
			{6 * time.Second, off, "", Master, true},
			{7 * time.Second, timer, "advert 100", Master, true},
		}},
		{"standby, nobody takes over", master(testConfig(100)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			{1500 * time.Millisecond, timer, "advert 0", Master, true},
			{last, timer, "advert 100, stays: nobody took over", Master, true},
			{last + time.Second, timer, "advert 100", Master, true},
		}},
		{"standby, taken back in time", master(testConfig(100)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			{time.Second, off, "advert 100, stays: told to stay before anybody took over", Master, true},
		}},
		{"standby, taken back too late", master(testConfig(100)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			taken,
			told,
			{time.Second, off, "", Backup, true},
			{time.Second + down, timer, "release: the successor has them, advert 100, master: no advertisement for 3.609s from 192.0.2.1", Master, true},
		}},
		{"standby, then stop", master(testConfig(100)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			{time.Second, stop, "stays: shutdown", Master, true},
			{1500 * time.Millisecond, timer, "advert 0", Master, true},
			{last, timer, "initialize: nobody took over", Initialize, false},
		}},
		{"standby, then stop, then wanted again", master(testConfig(100)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			{time.Second, stop, "stays: shutdown", Master, true},
			{time.Second, up, "", Master, true},
			{1500 * time.Millisecond, hear(addrA, 100), "backup: 192.0.2.1 took over", Backup, true},
		}},
		{"standby, then no link", master(testConfig(100)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			{time.Second, hard, "release: no carrier, fault: no carrier", Fault, false},
			{2 * time.Second, up, "backup: fault is over: no carrier", Backup, false},
		}},
		{"standby, then a gentle fault", master(testConfig(100)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			{time.Second, gentle, "fault: script", Fault, true},
			{1500 * time.Millisecond, timer, "advert 0", Fault, true},
			{last, timer, "release: nobody took over", Fault, false},
		}},
		{"standby of the owner", resumed(testConfig(255)), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			taken,
			told,
			{lingered, timer, "release: the successor has them", Backup, false},
			{2 * time.Second, off, "", Backup, false},
			{4 * time.Second, hear(addrA, 200), "", Backup, false},
			{5 * time.Second, timer, "advert 255, master: own priority 255 is higher than 200 of 192.0.2.1", Master, true},
		}},
		{"a gentle fault", master(testConfig(100)), []row{
			{0, gentle, "advert 0, fault: script", Fault, true},
			{time.Second, hear(addrA, 100), "", Fault, true},
			{time.Second, announced, "", Fault, true},
			{lingered, timer, "release: the successor has them", Fault, false},
			{5 * time.Second, up, "backup: fault is over: script", Backup, false},
		}},
		{"a gentle fault, nobody takes over", master(testConfig(100)), []row{
			{0, gentle, "advert 0, fault: script", Fault, true},
			{1500 * time.Millisecond, timer, "advert 0", Fault, true},
			{last, timer, "release: nobody took over", Fault, false},
		}},
		{"a gentle fault that passes", master(testConfig(100)), []row{
			{0, gentle, "advert 0, fault: script", Fault, true},
			{time.Second, up, "advert 100, master: fault was over before anybody took over", Master, true},
		}},
		{"a gentle fault, then no link", master(testConfig(100)), []row{
			{0, gentle, "advert 0, fault: script", Fault, true},
			{time.Second, hard, "release: no carrier", Fault, false},
		}},
		{"a gentle fault, then stop", master(testConfig(100)), []row{
			{0, gentle, "advert 0, fault: script", Fault, true},
			{time.Second, stop, "stays: shutdown", Fault, true},
			{1500 * time.Millisecond, hear(addrA, 100), "initialize: 192.0.2.1 took over", Initialize, true},
		}},
		{"lingering, then no link", master(testConfig(100)), []row{
			{time.Second, hear(addrA, 101), "advert 100, backup: higher priority 101 heard from 192.0.2.1", Backup, true},
			{time.Second, hard, "release: no carrier, fault: no carrier", Fault, false},
		}},
		{"lingering, then a gentle fault", master(testConfig(100)), []row{
			{time.Second, hear(addrA, 101), "advert 100, backup: higher priority 101 heard from 192.0.2.1", Backup, true},
			{time.Second, gentle, "fault: script", Fault, true},
			{time.Second, announced, "", Fault, true},
			{lingered, timer, "release: the successor has them", Fault, false},
		}},
		{"another router preempts, and gets time for its addresses", master(testConfig(100)), []row{
			{200 * time.Millisecond, hear(addrA, 101), "advert 100, backup: higher priority 101 heard from 192.0.2.1", Backup, true},
			{660 * time.Millisecond, announced, "", Backup, true},
			{660*time.Millisecond + Linger - 1, timer, "", Backup, true},
			{660*time.Millisecond + Linger, timer, "release: the successor has them", Backup, false},
		}},
		{"another router preempts, and is not heard to announce its addresses", master(testConfig(100)), []row{
			{200 * time.Millisecond, hear(addrA, 101), "advert 100, backup: higher priority 101 heard from 192.0.2.1", Backup, true},
			{lingered - 1, timer, "", Backup, true},
			{lingered, timer, "release: 192.0.2.1 took over, and was not heard to announce them", Backup, false},
		}},
		{"another router preempts, with a virtual MAC address", master(virtual), []row{
			{200 * time.Millisecond, hear(addrA, 101), "advert 100, backup: higher priority 101 heard from 192.0.2.1", Backup, true},
			{200*time.Millisecond + Linger, timer, "release: the successor has them", Backup, false},
		}},
		{"resume", NewMachine(testConfig(100)), []row{
			{0, resume, "advert 100, master: resumed", Master, true},
			{0, resume, "", Master, true},
			{time.Second, timer, "advert 100", Master, true},
		}},
		{"resume in a group", NewMachine(grouped), []row{{0, resume, "advert 100, master: resumed", Master, true}}},
		{"a member waits for its group", backup(grouped), []row{
			{time.Second, takeOver, "", Backup, false},
			{down, timer, "", Backup, false},
			{down + time.Second, timer, "", Backup, false},
			{down + time.Second, takeOver, "advert 100, master: group", Master, true},
			{down + time.Second, takeOver, "", Master, true},
		}},
		{"a member hears a master meanwhile", backup(grouped), []row{
			{down, timer, "", Backup, false},
			{down, hear(addrA, 100), "", Backup, false},
			{down, takeOver, "", Backup, false},
		}},
		{"a member that preempts keeps waiting", backup(grouped), []row{
			{down - 1, hear(addrA, 50), "", Backup, false},
			{down, timer, "", Backup, false},
			{down + time.Second, hear(addrA, 50), "", Backup, false},
			{down + time.Second, takeOver, "advert 100, master: group", Master, true},
		}},
		{"a member gives way", resumed(grouped), []row{
			{0, giveWay, "advert 0, stays: group", Master, true},
			{0, giveWay, "", Master, true},
			{1500 * time.Millisecond, timer, "advert 0", Master, true},
			{last, timer, "backup: nobody took over", Backup, false},
		}},
		{"the group's word ends an attempt", resumed(grouped), []row{
			{0, on, "advert 0, stays: standby", Master, true},
			{time.Second, giveWay, "", Master, true},
			{last, timer, "backup: nobody took over", Backup, false},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, r := range tt.rows {
				got := spell(tt.machine.Step(epoch.Add(r.at), r.event))
				if got != r.actions || tt.machine.State() != r.state || tt.machine.Holding() != r.holding {
					t.Fatalf("row %d, %s at %s: %q, %s, holding %t; want %q, %s, %t", i, r.event.Kind, r.at,
						got, tt.machine.State(), tt.machine.Holding(), r.actions, r.state, r.holding)
				}
			}
		})
	}
}

func TestStandbyShows(t *testing.T) {
	m := master(testConfig(100))
	for _, tt := range []struct {
		at      time.Duration
		event   Event
		standby bool
		handing bool
	}{
		{0, Event{Kind: EventStandby, On: true}, true, true},
		{5 * time.Second, Event{Kind: EventTimer}, false, false}, // nobody took over
		{5 * time.Second, Event{Kind: EventStandby, On: true}, true, true},
		{6 * time.Second, hear(addrA, 7), true, true},
		{6 * time.Second, Event{Kind: EventAnnounced}, true, true},
		{7 * time.Second, Event{Kind: EventTimer}, true, false},
		{7 * time.Second, Event{Kind: EventStandby}, false, false},
	} {
		m.Step(epoch.Add(tt.at), tt.event)
		if m.Standby() != tt.standby || m.HandingOver() != tt.handing || tt.standby != (m.Priority() == 1) {
			t.Errorf("%s at %s: standby %t, handing over %t, priority %d", tt.event.Kind, tt.at, m.Standby(), m.HandingOver(), m.Priority())
		}
	}
}
