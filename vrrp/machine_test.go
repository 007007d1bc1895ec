// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testConfig(priority uint8) Config {
	return Config{
		Name: "web", Interface: "eth0", VRID: 51, Version: 3, Priority: priority, AdvertInterval: time.Second,
		Preempt: true, VIPs: []netip.Prefix{netip.PrefixFrom(vip, 24)},
	}
}

func hear(source netip.Addr, priority uint8) Event {
	return Event{Kind: EventAdvert, Source: source, Priority: priority, Interval: time.Second}
}

// spell writes actions as in the tests' tables: adverts as "advert 100", transitions as "backup: startup", remarks as
// "stays: standby".
func spell(actions []Action) string {
	var out []string
	for _, a := range actions {
		switch a.Kind {
		case ActionAdvertise:
			out = append(out, fmt.Sprintf("advert %d", a.Priority))
		case ActionTransition:
			out = append(out, fmt.Sprintf("%s: %s", a.To, a.Cause.String()))
		case ActionRemark:
			out = append(out, "stays: "+a.Cause.String())
		case ActionRelease:
			out = append(out, "release: "+a.Cause.String())
		}
	}
	return strings.Join(out, ", ")
}

// backup returns a machine at 192.0.2.2 that has been backup since the epoch. master returns the same as master.
func backup(c Config) *Machine {
	m := NewMachine(c)
	m.Step(epoch, Event{Kind: EventUp, Source: addrB})
	return m
}

func master(c Config) *Machine {
	start := epoch.Add(-3*c.AdvertInterval - Skew(c.Priority, c.AdvertInterval))
	m := NewMachine(c)
	m.Step(start, Event{Kind: EventUp, Source: addrB})
	m.Step(epoch, Event{Kind: EventTimer})
	return m
}

func faulty(c Config) *Machine {
	m := NewMachine(c)
	m.Step(epoch, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "interface eth0 is down"}})
	return m
}

// resumed returns a master that started by EventResume.
func resumed(c Config) *Machine {
	m := NewMachine(c)
	m.Step(epoch, Event{Kind: EventResume, Source: addrB})
	return m
}

func handingOver(c Config) *Machine {
	m := master(c)
	m.Step(epoch, Event{Kind: EventStop, Cause: &Cause{Kind: CauseShutdown}})
	return m
}

// skewOf100 is the skew time at priority 100 and interval 1 s: 156/256 s.
const skewOf100 = 609375 * time.Microsecond

// TestFloodIsAnsweredAtABoundedRate: each advertisement of a lower priority, and each of priority 0, asks for an answer at once.
func TestFloodIsAnsweredAtABoundedRate(t *testing.T) {
	for _, priority := range []uint8{0, 1} {
		m, sent, now := master(testConfig(100)), 0, epoch
		const flood = 10_000
		for i := range flood {
			now = epoch.Add(time.Duration(i+1) * time.Second / flood)
			for _, a := range m.Step(now, hear(addrA, priority)) {
				if sent++; a.Kind != ActionAdvertise || a.Priority != 100 {
					t.Errorf("%+v", a)
				}
			}
			if i == 0 && sent != 1 {
				t.Error("the first is not answered")
			}
		}
		if sent > answersPerInterval || m.Withheld() != flood-uint64(sent) {
			t.Errorf("priority %d: %d answers to %d advertisements in an interval, %d withheld", priority, sent, flood, m.Withheld())
		}
		if due := m.Deadline(); due.Sub(now) > time.Second || priority > 0 && due != epoch.Add(time.Second) {
			t.Errorf("priority %d: the next regular one is due in %s", priority, due.Sub(now))
		}
	}
}

// TestStep goes through RFC 9568, section 6.4, row by row, and through what this machine adds to it.
func TestStep(t *testing.T) {
	noPreempt, owner := testConfig(100), testConfig(255)
	noPreempt.Preempt = false
	timer, stop := Event{Kind: EventTimer}, Event{Kind: EventStop, Cause: &Cause{Kind: CauseShutdown}}
	up := Event{Kind: EventUp, Source: addrB}
	fault := Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "interface eth0 is down"}}
	gentle := Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "script /x: exit code 1"}, Gentle: true}
	const never = time.Duration(-1)
	const down100 = 3*time.Second + skewOf100
	for _, tt := range []struct {
		name     string
		machine  *Machine
		at       time.Duration
		event    Event
		actions  string
		state    State
		deadline time.Duration
	}{
		{"6.4.1: startup", NewMachine(testConfig(100)), 0, up, "backup: startup", Backup, down100},
		{"6.4.1: startup of the owner", NewMachine(owner), 0, up, "advert 255, master: startup", Master, time.Second},
		{"initialize hears nothing", NewMachine(testConfig(100)), 0, hear(addrA, 200), "", Initialize, never},
		{"initialize has no timer", NewMachine(testConfig(100)), 0, timer, "", Initialize, never},
		{"initialize stops silently", NewMachine(testConfig(100)), 0, stop, "", Initialize, never},
		{"initialize may be faulty", NewMachine(testConfig(100)), 0, fault, "fault: interface eth0 is down", Fault, never},

		{"6.4.2: shutdown", backup(testConfig(100)), time.Second, stop, "initialize: shutdown", Initialize, never},
		{"6.4.2: down timer early", backup(testConfig(100)), down100 - 1, timer, "", Backup, down100},
		{"6.4.2: down timer", backup(testConfig(100)), down100, timer,
			"advert 100, master: no advertisement for 3.609s", Master, down100 + time.Second},
		{"6.4.2: priority zero", backup(testConfig(100)), time.Second, hear(addrA, 0), "", Backup, time.Second + skewOf100},
		{"6.4.2: higher priority", backup(testConfig(100)), time.Second, hear(addrA, 101), "", Backup, time.Second + down100},
		{"6.4.2: equal priority", backup(testConfig(100)), time.Second, hear(addrA, 100), "", Backup, time.Second + down100},
		{"6.4.2: lower priority, preempting", backup(testConfig(100)), time.Second, hear(addrA, 99), "", Backup, down100},
		{"6.4.2: lower priority, not preempting", backup(noPreempt), time.Second, hear(addrA, 1), "", Backup, time.Second + down100},
		{"6.4.2: learned interval", backup(testConfig(100)), time.Second,
			Event{Kind: EventAdvert, Source: addrA, Priority: 200, Interval: 256 * centisecond}, "", Backup,
			time.Second + 3*2560*time.Millisecond + 1560*time.Millisecond},
		{"backup and fault", backup(testConfig(100)), time.Second, fault, "fault: interface eth0 is down", Fault, never},
		{"backup and late advert", backup(testConfig(100)), time.Minute, hear(addrA, 200), "", Backup, time.Minute + down100},

		{"6.4.3: advert timer early", master(testConfig(100)), time.Second - 1, timer, "", Master, time.Second},
		{"6.4.3: advert timer", master(testConfig(100)), time.Second, timer, "advert 100", Master, 2 * time.Second},
		{"6.4.3: advert timer a bit late", master(testConfig(100)), 1300 * time.Millisecond, timer, "advert 100", Master, 2 * time.Second},
		{"6.4.3: advert timer very late", master(testConfig(100)), 3900 * time.Millisecond, timer, "advert 100", Master, 4900 * time.Millisecond},
		{"6.4.3: priority zero", master(testConfig(100)), time.Second / 2, hear(addrA, 0), "advert 100", Master, 1500 * time.Millisecond},
		{"6.4.3: higher priority", master(testConfig(100)), time.Second / 2, hear(addrA, 101),
			"advert 100, backup: higher priority 101 heard from 192.0.2.1", Backup, time.Second + Linger},
		{"6.4.3: equal priority, higher address", master(testConfig(100)), time.Second / 2, hear(addrC, 100),
			"advert 100, backup: equal priority 100 and higher address heard from 192.0.2.3", Backup, time.Second + Linger},
		{"6.4.3: addresses compare as unsigned", master(testConfig(100)), time.Second / 2, hear(netip.MustParseAddr("9.255.255.255"), 100),
			"advert 100", Master, time.Second},
		{"6.4.3: equal priority, lower address", master(testConfig(100)), time.Second / 2, hear(addrA, 100), "advert 100", Master, time.Second},
		{"6.4.3: lower priority", master(testConfig(100)), time.Second / 2, hear(addrC, 99), "advert 100", Master, time.Second},
		{"6.4.3: shutdown", master(testConfig(100)), time.Second / 2, stop, "advert 0, stays: shutdown", Master, 2 * time.Second},
		{"master and fault", master(testConfig(100)), time.Second / 2, fault, "advert 0, fault: interface eth0 is down", Fault, never},
		{"master and preempt mode off", master(noPreempt), time.Second / 2, hear(addrA, 101),
			"advert 100, backup: higher priority 101 heard from 192.0.2.1", Backup, time.Second + Linger},

		{"handing over, successor heard", handingOver(testConfig(100)), time.Second, hear(addrA, 1),
			"initialize: 192.0.2.1 took over", Initialize, 2*time.Second + Linger},
		{"handing over, another leaves too", handingOver(testConfig(100)), time.Second, hear(addrA, 0), "", Master, 1500 * time.Millisecond},
		{"handing over, second offer", handingOver(testConfig(100)), 1500 * time.Millisecond, timer, "advert 0", Master,
			(&Config{AdvertInterval: time.Second}).OfferTime()},
		{"handing over, woken too late", handingOver(testConfig(100)), time.Minute, timer, "initialize: nobody took over", Initialize, never},
		{"handing over and fault", handingOver(testConfig(100)), time.Second, fault,
			"release: interface eth0 is down, initialize: interface eth0 is down", Initialize, never},
		{"handing over and gentle fault", handingOver(testConfig(100)), time.Second, gentle, "", Master, 1500 * time.Millisecond},
		{"handing over, stopped again", handingOver(testConfig(100)), time.Second, stop, "", Master, 1500 * time.Millisecond},
		{"handing over, told to stay", handingOver(testConfig(100)), time.Second, up,
			"advert 100, stays: told to stay before anybody took over", Master, 2 * time.Second},

		{"a stalled master hears who took over", master(testConfig(100)), 3 * time.Second, hear(addrA, 1),
			"backup: 192.0.2.1 took over while this router stood still", Backup, 3*time.Second + down100},
		{"a late master answers", master(testConfig(100)), 3*time.Second - 1, hear(addrA, 1), "advert 100", Master, time.Second},
		{"a stalled master listens", master(testConfig(100)), time.Minute, timer,
			"stays: it stood still for 59s: listening for another master before it has the addresses again",
			Master, 61*time.Second + skewOf100},
		{"a stalled owner goes on", master(testConfig(255)), time.Minute, timer, "advert 255", Master, 61 * time.Second},
		{"a stalled master hears another leave", master(testConfig(100)), 3 * time.Second, hear(addrA, 0), "advert 100", Master, 4 * time.Second},

		{"fault hears nothing", faulty(testConfig(100)), time.Second, hear(addrA, 0), "", Fault, never},
		{"fault has no timer", faulty(testConfig(100)), time.Second, timer, "", Fault, never},
		{"fault and another", faulty(testConfig(100)), time.Second, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked, Text: "interface eth0 is missing"}}, "", Fault, never},
		{"fault stops silently", faulty(testConfig(100)), time.Second, stop, "initialize: shutdown", Initialize, never},
		{"fault is over", faulty(testConfig(100)), time.Second, up, "backup: fault is over: interface eth0 is down", Backup, time.Second + down100},
		{"fault of the owner is over", faulty(owner), time.Second, up, "advert 255, master: fault is over: interface eth0 is down", Master, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.machine
			if got := spell(m.Step(epoch.Add(tt.at), tt.event)); got != tt.actions {
				t.Errorf("actions %q, want %q", got, tt.actions)
			}
			if m.State() != tt.state {
				t.Errorf("state %s, want %s", m.State(), tt.state)
			}
			want := epoch.Add(tt.deadline)
			if tt.deadline == never {
				want = time.Time{}
			}
			if !m.Deadline().Equal(want) {
				t.Errorf("deadline %s, want %s", m.Deadline(), want)
			}
		})
	}
}

func TestReasonForTakingOver(t *testing.T) {
	for _, tt := range []struct {
		name  string
		heard []Event
		want  string
	}{
		{"silent master", []Event{hear(addrA, 200)}, "no advertisement for 3.609s from 192.0.2.1"},
		{"master left", []Event{hear(addrA, 200), hear(addrA, 0)}, "priority 0 heard from 192.0.2.1"},
		{"silent master of lower priority", []Event{hear(addrA, 50)}, "no advertisement for 3.609s from 192.0.2.1"},
		{"master of lower priority", []Event{hear(addrA, 50), hear(addrA, 50)}, "own priority 100 is higher than 50 of 192.0.2.1"},
		{"master was lowered, then silent", []Event{hear(addrA, 50), hear(addrA, 200)}, "no advertisement for 3.609s from 192.0.2.1"},
		{"nobody", nil, "no advertisement for 3.609s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := backup(testConfig(100))
			for i, ev := range tt.heard {
				m.Step(epoch.Add(time.Duration(i)*time.Second), ev)
			}
			m.Step(m.Deadline(), Event{Kind: EventTimer})
			if m.State() != Master || m.Cause().String() != tt.want {
				t.Errorf("%s for %q, want %q", m.State(), m.Cause().String(), tt.want)
			}
		})
	}
}

func TestMasterAddress(t *testing.T) {
	m := NewMachine(testConfig(100))
	for _, tt := range []struct {
		at    time.Duration
		event Event
		want  netip.Addr
	}{
		{0, Event{Kind: EventUp, Source: addrB}, netip.Addr{}},
		{0, hear(addrA, 50), addrA}, // of lower priority, but it is the master for now
		{0, hear(addrC, 200), addrC},
		{0, hear(addrA, 50), addrC},
		{0, hear(addrC, 0), netip.Addr{}},
		{time.Second, Event{Kind: EventTimer}, addrB},
		{time.Second, Event{Kind: EventUp, Source: addrA}, addrA}, // our own address changed
		{time.Second, hear(addrC, 200), addrC},
		{time.Second, Event{Kind: EventFault, Cause: &Cause{Kind: FaultTracked}}, netip.Addr{}},
	} {
		if m.Step(epoch.Add(tt.at), tt.event); m.Master() != tt.want {
			t.Errorf("after %s of %s: master %s, want %s", tt.event.Kind, tt.event.Source, m.Master(), tt.want)
		}
	}
}

func TestChangesUnderWay(t *testing.T) {
	slow, fast, strong, old := testConfig(100), testConfig(100), testConfig(200), testConfig(100)
	old.Version, old.AdvertInterval = 2, 10*time.Second
	slow.AdvertInterval, fast.AdvertInterval = 10*time.Second, 100*time.Millisecond
	skewOf := func(p uint8) time.Duration { return Skew(p, time.Second) }
	heard := func(ev Event) *Machine {
		m := backup(testConfig(100))
		m.Step(epoch, ev)
		return m
	}
	for _, tt := range []struct {
		name     string
		machine  *Machine
		event    Event
		state    State
		priority uint8
		deadline time.Duration
	}{
		{"backup gets another priority", backup(testConfig(100)), Event{Kind: EventTracking, Delta: 100}, Backup, 200, 3*time.Second + skewOf(200)},
		{"backup gets another configured priority", backup(testConfig(100)), Event{Kind: EventConfig, Config: &strong}, Backup, 200, 3*time.Second + skewOf(200)},
		{"backup after priority 0 gets another priority", heard(hear(addrA, 0)), Event{Kind: EventTracking, Delta: 100}, Backup, 200, skewOf(200)},
		{"backup that knows no master gets another interval", backup(testConfig(100)), Event{Kind: EventConfig, Config: &fast}, Backup, 100,
			300*time.Millisecond + Skew(100, 100*time.Millisecond)},
		{"backup gets version 2, whose skew is a part of a second", backup(testConfig(100)), Event{Kind: EventConfig, Config: &old}, Backup, 100,
			30*time.Second + skewOf100},
		{"backup that learned an interval keeps it", heard(hear(addrA, 200)), Event{Kind: EventConfig, Config: &fast}, Backup, 100, 3*time.Second + skewOf100},
		{"master gets another priority", master(testConfig(100)), Event{Kind: EventTracking, Delta: -50}, Master, 50, time.Second},
		{"master advertises more often", master(testConfig(100)), Event{Kind: EventConfig, Config: &fast}, Master, 100, 100 * time.Millisecond},
		{"master advertises less often, its peers learn it in time", master(testConfig(100)), Event{Kind: EventConfig, Config: &slow}, Master, 100, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.machine
			if got := m.Step(epoch, tt.event); len(got) != 0 {
				t.Errorf("actions %q", spell(got))
			}
			if m.State() != tt.state || m.Priority() != tt.priority || !m.Deadline().Equal(epoch.Add(tt.deadline)) {
				t.Errorf("%s at priority %d until %s, want %s at %d until %s",
					m.State(), m.Priority(), m.Deadline().Sub(epoch), tt.state, tt.priority, tt.deadline)
			}
		})
	}
}

func TestEffectivePriority(t *testing.T) {
	for _, tt := range []struct {
		configured uint8
		delta      int
		want       uint8
	}{
		{100, 0, 100}, {100, -50, 50}, {100, 20, 120},
		{100, -99, 1}, {100, -100, 1}, {100, -1 << 40, 1},
		{100, 154, 254}, {100, 155, 254}, {100, 1 << 40, 254},
		{255, -253, 255}, {255, 1, 255}, // the owner of the addresses
	} {
		m := backup(testConfig(tt.configured))
		if m.Step(epoch, Event{Kind: EventTracking, Delta: tt.delta}); m.Priority() != tt.want {
			t.Errorf("%d%+d: %d, want %d", tt.configured, tt.delta, m.Priority(), tt.want)
		}
	}
	m, strong := backup(testConfig(100)), testConfig(200)
	m.Step(epoch, Event{Kind: EventTracking, Delta: -7})
	if m.Step(epoch, Event{Kind: EventConfig, Config: &strong}); m.Priority() != 193 {
		t.Errorf("priority %d, want 200-7", m.Priority())
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	m, b := master(testConfig(100)), backup(testConfig(100))
	now := epoch
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Second)
		m.Step(now, Event{Kind: EventTimer})
		m.Step(now, hear(addrA, 50))
		b.Step(now, hear(addrA, 200))
		b.Step(now, Event{Kind: EventTimer})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if m.State() != Master || b.State() != Backup {
		t.Errorf("%s and %s are not the steady state", m.State(), b.State())
	}
}

func TestStatusAsJSON(t *testing.T) {
	in := Status{
		Name: "web", Interface: "eth0", VRID: 51, Version: 3, Family: 4, State: Backup, Priority: 100, EffectivePriority: 50, Master: addrA,
		Since: epoch, Reason: "startup", AdvertInterval: time.Second, VIPs: []netip.Prefix{netip.PrefixFrom(vip, 24)},
		Counters: Counters{AdvertsSent: 1},
	}
	in.Counters.Drops[DropWrongTTL] = 2
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"web","interface":"eth0","vrid":51,"version":3,"family":4,"state":"backup","holding":false,"priority":100,` +
		`"effective_priority":50,"master":"192.0.2.1","since":"2026-01-01T00:00:00Z","reason":"startup",` +
		`"advert_interval":1000000000,"vips":["192.0.2.100/24"],"counters":{"adverts_sent":1,"adverts_received":0,` +
		`"priority_zero_sent":0,"priority_zero_received":0,"send_errors":0,"became_master":0,` +
		`"lateness":{"counts":[0,0,0,0,0,0,0,0,0,0,0],"sum":0},"longest_gap":0,"drops":{"wrong_ttl":2}}}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	var out Status
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(out); err != nil || string(again) != want {
		t.Errorf("came back as %s (%v)", again, err)
	}
	if err := json.Unmarshal([]byte(`{"state":"leader"}`), &out); err == nil {
		t.Error("an unknown state was accepted")
	}
	if _, err := json.Marshal(Status{}); err == nil {
		t.Error("the zero state was marshalled")
	}
}

func BenchmarkMachineStep(b *testing.B) {
	m, now := backup(testConfig(100)), epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		m.Step(now, hear(addrA, 200))
	}
}
