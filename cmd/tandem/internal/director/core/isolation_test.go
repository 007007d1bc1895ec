// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

var peer = netip.MustParseAddr("192.0.2.3")

// pairOf returns a configuration with a sync group of two virtual routers on these interfaces, and one that is alone.
func pairOf(outside, inside string) *configs.Config {
	cfg := with()
	for _, r := range []vrrp.Config{
		{Name: "outside", Interface: outside, SyncGroup: "nat", AdvertInterval: time.Second},
		{Name: "inside", Interface: inside, SyncGroup: "nat", AdvertInterval: time.Second},
		{Name: "alone", Interface: "eth9", AdvertInterval: time.Second},
	} {
		cfg.Routers = append(cfg.Routers, configs.Router{Config: r})
	}
	return cfg
}

// group returns a report about the two virtual routers. A router that is ready hears no master.
func group(state vrrp.State, ready bool, links map[string]string) Report {
	r := message.Report{Links: links}
	for i, name := range []string{"outside", "inside"} {
		r.Routers = append(r.Routers, vrrp.Status{
			Name: name, Interface: []string{"eth0", "eth1"}[i], State: state, Master: peer, Ready: ready && i == 0,
		})
	}
	return Report{r}
}

// A director that reaches no other machine on one interface of a sync group steps back with the whole group. It does not step
// back for one lost answer, or for an interface on which it knows no machine. A backup without results yet does not preempt.
func TestIsolation(t *testing.T) {
	const back = stepBackDelta
	fault := map[string]string{"eth0": "interface eth0 has no carrier"}
	answer := func(iface string, reach Reach) Event { return SegmentAnswer{Interface: iface, Reach: reach} }
	for _, tt := range []struct {
		name  string
		steps []any // events; a number is seconds that pass
		want  vrrp.Tracking
		next  int // seconds from now until the next Tick; 0: none
	}{
		{"at the start", nil, vrrp.Tracking{Unclear: true}, 0},
		{"both answer", []any{answer("eth0", Reached), answer("eth1", Reached)}, vrrp.Tracking{}, 0},
		{"one answers", []any{answer("eth0", Reached)}, vrrp.Tracking{Unclear: true}, 0},
		{"nobody is known on one", []any{answer("eth0", ReachUnknown), answer("eth1", Reached), 60}, vrrp.Tracking{Unclear: true}, 0},
		{"a master is heard on both", []any{group(vrrp.Backup, false, nil)}, vrrp.Tracking{}, 0},
		{"silent for a moment", []any{answer("eth0", Reached), answer("eth1", Reached), answer("eth0", Isolated), 2}, vrrp.Tracking{}, 1},
		{"and answered", []any{
			answer("eth0", Reached), answer("eth1", Reached), answer("eth0", Isolated), 2, answer("eth0", Reached), 60,
		}, vrrp.Tracking{}, 0},
		{"silent", []any{answer("eth0", Reached), answer("eth1", Reached), answer("eth0", Isolated), 3}, vrrp.Tracking{Delta: back}, 0},
		{"silent from the start", []any{answer("eth0", Isolated), answer("eth1", Reached), 3}, vrrp.Tracking{Delta: back}, 0},
		{"the neighbours left the kernel's table", []any{
			answer("eth0", Isolated), answer("eth1", Reached), 3, answer("eth0", ReachUnknown), 60,
		}, vrrp.Tracking{Delta: back}, 0},
		{"it answers again, for a moment", []any{
			answer("eth0", Isolated), answer("eth1", Reached), 3, answer("eth0", Reached), 2,
		}, vrrp.Tracking{Delta: back}, 1},
		{"it answers again", []any{answer("eth0", Isolated), answer("eth1", Reached), 3, answer("eth0", Reached), 3}, vrrp.Tracking{}, 0},
		{"the backup hears its master on one only, and nobody answers on the other", []any{
			group(vrrp.Backup, false, nil), group(vrrp.Backup, true, nil), answer("eth0", Isolated), 3,
		}, vrrp.Tracking{Delta: back}, 0},
		{"the backup hears its master on one only, and others answer on the other", []any{
			group(vrrp.Backup, false, nil), group(vrrp.Backup, true, nil), answer("eth0", Reached), 60,
		}, vrrp.Tracking{}, 0},
		{"no carrier is the election's business", []any{
			answer("eth0", Isolated), answer("eth1", Reached), 3, group(vrrp.Fault, false, fault),
		}, vrrp.Tracking{Unclear: true}, 0},
	} {
		s := started(pairOf("eth0", "eth1"))
		at := noon
		out := s.Step(at, Tick{})
		for _, step := range tt.steps {
			if n, ok := step.(int); ok {
				at = at.Add(time.Duration(n) * time.Second)
				out = s.Step(at, Tick{})
				continue
			}
			out = s.Step(at, step.(Event))
		}
		want := map[string]vrrp.Tracking{"outside": tt.want, "inside": tt.want, "alone": {}}
		if !reflect.DeepEqual(s.tracking, want) {
			t.Errorf("%s: tracking %+v, want %+v", tt.name, s.tracking, want)
		}
		next := time.Time{}
		if tt.next > 0 {
			next = at.Add(time.Duration(tt.next) * time.Second)
		}
		if !out.Next.Equal(next) {
			t.Errorf("%s: the next tick is at %s, want %s", tt.name, out.Next, next)
		}
		if is := s.Snapshot(at).Isolated; len(is) > 0 != (tt.want.Delta < 0) {
			t.Errorf("%s: isolated on %q", tt.name, is)
		}
	}
}

// On a crossover cable nobody else can answer: nothing is asked there, its silence is no isolation, and its missing carrier does
// not say that the servers cannot be reached. The interface of a VIP does.
func TestCrossoverCable(t *testing.T) {
	cfg := pairOf("eth0", "eth1")
	cfg.Routers[1].Carrier = vrrp.CarrierIgnore
	cfg.Routers[1].VIPInterfaces = map[netip.Addr]string{netip.MustParseAddr("192.0.2.100"): "eth2"}
	s := started(cfg)
	s.Step(noon, Tick{})
	if want := (Segments{"eth0": nil}); !reflect.DeepEqual(s.asked, want) {
		t.Errorf("it asks %v, want %v", s.asked, want)
	}
	s.Step(noon, SegmentAnswer{Interface: "eth0", Reach: Reached})
	s.Step(noon.Add(time.Minute), SegmentAnswer{Interface: "eth1", Reach: Isolated})
	if got := s.tracking["inside"]; got != (vrrp.Tracking{}) {
		t.Errorf("tracking %+v", got)
	}
	for iface, want := range map[string]bool{"eth0": true, "eth1": false, "eth2": true, "eth3": false} {
		s.Step(noon, group(vrrp.Master, false, map[string]string{iface: "no carrier"}))
		if s.linkFault() != want {
			t.Errorf("without %s: link fault %t", iface, !want)
		}
	}
}

// Questions are asked only where a sync group needs the answer and no master is heard. The peers that were heard there are
// asked too, because advertisements do not put them into the kernel's neighbour table.
func TestSegmentsToAsk(t *testing.T) {
	if s := started(pairOf("eth0", "eth0")); s.asked != nil || len(s.segments) > 0 {
		t.Errorf("a group on one interface asks %v", s.asked)
	}
	s := New()
	out := s.Step(noon, Start{Config: pairOf("eth0", "eth1")})
	if want := (Segments{"eth0": nil, "eth1": nil}); !reflect.DeepEqual(out.Segments, want) {
		t.Errorf("at the start it asks %v, want %v", out.Segments, want)
	}
	for _, tt := range []struct {
		ev   Event
		want Segments
	}{
		{group(vrrp.Backup, false, nil), Segments{}},
		{group(vrrp.Backup, true, nil), Segments{"eth0": {peer}}},
		{group(vrrp.Backup, true, nil), nil},
		{group(vrrp.Master, false, nil), Segments{"eth0": {peer}, "eth1": {peer}}},
		{Reload{Config: pairOf("eth0", "eth0")}, Segments{}},
	} {
		if out := s.Step(noon, tt.ev); !reflect.DeepEqual(out.Segments, tt.want) {
			t.Errorf("after %+v it asks %v, want %v", tt.ev, out.Segments, tt.want)
		}
	}
	var seg segment
	for i := range byte(9) {
		seg.met(netip.AddrFrom4([4]byte{192, 0, 2, i}))
	}
	if len(seg.peers) != maxPeers || slices.Contains(seg.peers, netip.AddrFrom4([4]byte{192, 0, 2, 4})) {
		t.Errorf("peers %v, want the last %d", seg.peers, maxPeers)
	}
}
