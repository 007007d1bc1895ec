// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// TestReconcileSeesMoreThanTheLook: a pass finds details that the text does not show, and repairs them with one write.
func TestReconcileSeesMoreThanTheLook(t *testing.T) {
	b := newBench(t)
	b.kernel.blind = true
	sticky, tunnel := entry(www, "sh", limited(100, 50)), entry(six, "rr", server("[2001:db8::11]:80", lvs.Tunnel, 1))
	sticky.Persist(time.Minute, 24)
	sticky.Flags |= lvs.SourcePort
	tunnel.Servers[0].Tunnel = lvs.Encapsulation{Type: lvs.GUE, Port: 6080}
	want := []lvs.Entry{sticky, tunnel}
	b.pass(t, want, 4, 0)
	for _, change := range []func(){
		func() { b.fake.find(id(www)).Timeout = time.Second },
		func() { b.fake.find(id(www)).Prefix = 0 },
		func() { b.fake.find(id(www)).Flags ^= lvs.SourcePort },
		func() { b.fake.find(id(www)).servers[0].UpperThreshold = 0 },
		func() { b.fake.find(id(six)).servers[0].Tunnel = lvs.Encapsulation{} },
	} {
		change()
		b.drifted(t, false)
		writes := b.kernel.Writes()
		b.pass(t, want, 1, 1)
		if n := b.kernel.Writes() - writes; n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
	}
}

// TestReconcileReadsAnIPv6OnePacketServiceAsItIs: a pass sees the flag of an IPv6 service, which the text does not show.
func TestReconcileReadsAnIPv6OnePacketServiceAsItIs(t *testing.T) {
	b := newBench(t)
	b.kernel.blind = true
	v4, v6 := entry(dns, "rr"), entry("udp [2001:db8::100]:53", "rr")
	v4.Flags, v6.Flags = lvs.OnePacket, lvs.OnePacket
	want := []lvs.Entry{v4, v6}
	b.pass(t, want, 2, 0)
	b.drifted(t, false)
	b.fake.find(id(dns)).Flags = 0
	b.drifted(t, true)
}

// TestLookIsNotFooledTwice: rows that the text lacks cause one pass only, and other rows are still seen.
func TestLookIsNotFooledTwice(t *testing.T) {
	b := newBench(t)
	b.pass(t, wanted(), 12, 0)
	b.kernel.omit = 2
	b.drifted(t, true)
	b.pass(t, wanted(), 0, 0)
	b.drifted(t, false)
	b.drifted(t, false)

	b.fake.services[0].Scheduler = "lc"
	b.drifted(t, true)
	b.pass(t, wanted(), 1, 1)
	b.drifted(t, true)
	b.pass(t, wanted(), 0, 0)
	b.drifted(t, false)

	b.kernel.omit = 1
	b.drifted(t, true)
}

// TestLookGuessesTheFamily: a firewall mark without servers counts as the wanted one.
func TestLookGuessesTheFamily(t *testing.T) {
	v4, v6 := "fwmark 7 (ipv4)", "fwmark 7 (ipv6)"
	for _, c := range []struct {
		kernel, want []lvs.Entry
		drifted      bool
	}{
		{[]lvs.Entry{entry(v6, "rr")}, []lvs.Entry{entry(v6, "rr")}, false},
		{[]lvs.Entry{entry(v4, "rr"), entry(v6, "rr")}, []lvs.Entry{entry(v4, "rr"), entry(v6, "rr")}, false},
		{[]lvs.Entry{entry(v6, "rr")}, []lvs.Entry{entry(v6, "rr", server("[2001:db8::11]:0", lvs.DR, 1))}, true},
		{[]lvs.Entry{entry(v4, "rr", server("192.0.2.11:0", lvs.DR, 1)), entry(v6, "rr")},
			[]lvs.Entry{entry(v4, "rr", server("192.0.2.11:0", lvs.DR, 1)), entry(v6, "rr")}, false},
		{[]lvs.Entry{entry(v6, "rr")}, nil, false},
	} {
		b := newBench(t)
		if _, err := b.Reconcile(t.Context(), c.want); err != nil {
			t.Fatal(err)
		}
		b.fake.services = nil
		fill(t, b.kernel.IPVS, c.kernel)
		got, err := glance(b.Table)
		if got != c.drifted || err != nil {
			t.Errorf("kernel %v, want %v: drifted %v, %v", c.kernel, c.want, got, err)
		}
	}
}

func TestLookReportsAnAbsentKernel(t *testing.T) {
	k, f := newFake(t)
	k.path = filepath.Join(t.TempDir(), "ip_vs")
	table := NewTable(k, mustOpen(t, new(fakeStore[Owned])), hclog.NewNullLogger())
	if _, err := table.Reconcile(t.Context(), wanted()); err != nil {
		t.Fatal(err)
	}
	f.commands()
	if _, err := table.Look(t.Context()); !errors.Is(err, ErrAbsent) {
		t.Error(fmt.Errorf("got %w, want ErrAbsent", err))
	}
}

// TestLookSeesDetails: details that the text does not show are found, service by service.
func TestLookSeesDetails(t *testing.T) {
	b := newBench(t)
	b.kernel.blind = true
	want := bigTable(50, 2)
	b.pass(t, want, 150, 0)
	for _, change := range []func(*fakeService){
		func(s *fakeService) { s.Prefix = 24 },
		func(s *fakeService) { s.servers[1].UpperThreshold = 5 },
		func(s *fakeService) { s.servers[0].Tunnel.Type = lvs.GRE; s.servers[0].Method = lvs.Tunnel },
	} {
		if drifted, err := lookAround(t, b.Table); drifted || err != nil {
			t.Errorf("drifted %v, %v", drifted, err)
		}
		change(b.fake.services[37])
		if drifted, err := lookAround(t, b.Table); !drifted || err != nil {
			t.Errorf("drifted %v, %v", drifted, err)
		}
		b.pass(t, want, 1, 1)
	}
}

func TestLooksCostWhatTheyMay(t *testing.T) {
	b := newBench(t)
	if drifted, err := b.Look(t.Context()); drifted || err != nil || b.NextLook() != idlePause || b.kernel.looks != 0 {
		t.Errorf("an empty table: drifted %v, %v, next in %s after %d looks", drifted, err, b.NextLook(), b.kernel.looks)
	}
	b.pass(t, []lvs.Entry{weighing(www, 1).Set[0]}, 2, 0)
	if _, err := b.Look(t.Context()); err != nil || b.NextLook() < minPause {
		t.Errorf("next in %s, %v", b.NextLook(), err)
	}
	b.looks.cost = 100 * time.Millisecond
	if got := b.NextLook(); got != minPause {
		t.Errorf("a small table on a slow machine is looked at every %s", got)
	}
	b.pass(t, bigTable(smallTable/10, 10), smallTable/10*11+1, 0)
	b.looks.cost = 100 * time.Millisecond
	if got := b.NextLook(); got < 10*time.Second {
		t.Errorf("looks of 100 ms at a large table are taken every %s", got)
	}
}

// TestSmallTablesComeRound: even on a slow machine, a round takes a fixed number of looks.
func TestSmallTablesComeRound(t *testing.T) {
	b := newBench(t)
	b.pass(t, bigTable(1000, 9), 10000, 0)
	looks := 0
	for b.Table.looks.round < 2 {
		if _, err := b.lookAtText(-time.Hour); err != nil { // which is long ago
			t.Fatal(err)
		}
		looks++
	}
	if looks < roundLooks/2 || looks > roundLooks+1 {
		t.Errorf("%d looks a round, want about %d", looks, roundLooks)
	}
}

// TestSlowKernelDoesNotStretchTheRoundOfASmallTable: even on an overloaded machine, changes that the text does not show are
// repaired within 30 s.
func TestSlowKernelDoesNotStretchTheRoundOfASmallTable(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	b.now = func() time.Time { return now }
	b.pass(t, bigTable(smallDetails, 2), 3*smallDetails, 0)
	if drifted, err := lookAround(t, b.Table); drifted || err != nil {
		t.Fatalf("drift %v, %v", drifted, err)
	}
	b.fake.services[0].Timeout = time.Minute
	b.fake.slow = 2 * time.Millisecond
	changed := now
	for drifted := false; !drifted; now = now.Add(minPause) {
		var err error
		if drifted, err = b.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := now.Sub(changed); took > 30*time.Second+minPause {
			t.Fatalf("not seen within %s", took)
		}
	}
}
