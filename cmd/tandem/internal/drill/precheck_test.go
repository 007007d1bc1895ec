// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
)

var vip = netip.MustParsePrefix("192.0.2.100/24")

// well is a pair on which each drill can be made.
func well(kind Kind) *Situation {
	side := func(name, state string, priority uint8) api.Status {
		return api.Status{
			Name: name, Config: api.Config{Revision: 1, SHA256: "0123456789abcdef"},
			VRRP: []api.Router{{
				Name: "web", Interface: "eth0", AddressInterface: "eth0", State: state, Priority: priority, EffectivePriority: priority, Family: 4,
				VIPs: []netip.Prefix{vip}, AdvertInterval: "1s", DownAdverts: 3, Preempt: true,
			}},
			Services: []api.Service{{Name: "www", Up: 1, Servers: []api.Server{{Address: netip.MustParseAddr("192.0.2.11"), Port: 80, Active: 12, Health: "healthy"}}}},
		}
	}
	s := &Situation{
		Order: Order{Kind: kind, Max: 30 * time.Second, Budget: -1, Flaps: 2},
		Here:  side("lb1", "master", 150), There: side("lb2", "backup", 100),
		Processes: []Process{{DirectorProcess, 100, 7}, {ElectionProcess, 101, 8}}, Unit: "tandem.service", StateDir: "/var/lib/tandem",
		Links: map[string]Link{"eth0": {Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8::2/64")}}},
	}
	s.Here.Peer = &api.Peer{Address: "192.0.2.3:8474", Name: "lb2", To: api.PeerHalf{Up: true}, From: api.PeerHalf{Up: true}}
	s.Here.Sync, s.There.Sync = []api.Sync{{Role: "master", ID: 51}}, []api.Sync{{Role: "backup", ID: 51}}
	if kind == RealServer {
		return withSpare(s)
	}
	return s
}

func TestAPairThatIsWellIsDrilled(t *testing.T) {
	for _, kind := range Kinds() {
		if refused := well(kind).Refusals(); len(refused) > 0 {
			t.Errorf("%s: %q", kind, refused)
		}
	}
}

// TestRefusals: a drill that would hurt is refused, with the reason and what to do.
func TestRefusals(t *testing.T) {
	since := time.Unix(1e9, 0)
	for _, c := range []struct {
		kind   Kind
		broken func(*Situation)
		want   string
	}{
		{Failover, func(s *Situation) { s.UnderWay = true }, "another drill is under way on this director"},
		{Failover, func(s *Situation) { s.Here.Peer = nil }, "there is no peer: this director has no channel"},
		{Failover, func(s *Situation) { s.Lacking = "the channel is lost" }, "the other director cannot be asked: the channel is lost"},
		{Failover, func(s *Situation) { s.Here.Peer.To = api.PeerHalf{Problem: "connection refused"} }, "cannot be asked: connection refused"},
		{Failover, func(s *Situation) { s.Here.VRRP[0].State = "backup" }, "this director is master of no virtual router"},
		{Failover, func(s *Situation) { s.Here.VRRP[0].Standby = true }, "in standby by command: run tandem release first"},
		{Failover, func(s *Situation) { s.Here.VRRP[0].HandingOver = true }, "hands over at this moment"},
		{Failover, func(s *Situation) { s.Here.VRRP[0].TwoMasters.Since = &since }, "has two masters: run tandem doctor"},
		{Failover, func(s *Situation) { s.Here.VRRP[0].Preempt = false }, "would stay on the peer, because it has preempt = false: allow that with --stay"},
		{Failover, func(s *Situation) { s.Here.VRRP[0].EffectivePriority = 90 }, "its priority is lowered from 150 to 90: see tandem why web"},
		{Failover, func(s *Situation) { s.Here.Peer.Drift = []api.PeerDrift{{Wrong: true, Text: "vips of web differ"}} }, "the configurations are unequal: vips of web differ"},
		{Failover, func(s *Situation) { s.There.Config.Waits = new(api.Wait) }, "a configuration of lb2 waits for confirmation"},
		{Failover, func(s *Situation) { s.There.Table = &api.TableFault{Warning: "no IPVS"} }, "the IPVS table of lb2 is not in line: no IPVS"},
		{Failover, func(s *Situation) { s.There.VRRP = nil }, "lb2 has no virtual router web"},
		{Failover, func(s *Situation) { s.There.VRRP[0].State, s.There.VRRP[0].Reason = "fault", "eth0 has no carrier" }, "it is in state fault there, want backup: eth0 has no carrier"},
		{Failover, func(s *Situation) { s.There.VRRP[0].Standby = true }, "it is in standby there: run tandem release there first"},
		{Failover, func(s *Situation) { s.There.VRRP[0].EffectivePriority = 1 }, "its priority there is lowered from 100 to 1"},
		{Failover, func(s *Situation) { s.There.Services[0].Up = 0 }, "lb2 has no healthy server for service www"},
		{Failover, func(s *Situation) { s.There.Services[0].QuorumLost = true }, "service www has lost its quorum on lb2"},
		{Failover, func(s *Situation) { s.There.Services = nil }, "lb2 has no service www"},
		{Failover, func(s *Situation) { s.Here.Sync = nil }, "12 established connections would not survive: no connection sync runs here: see [lvs] sync: allow that with --lose 12"},
		{Failover, func(s *Situation) { s.There.Sync = nil }, "12 established connections would not survive: no connection sync runs on lb2"},
		{Failover, func(s *Situation) { s.There.Sync[0].ID = 9 }, "the connection sync has id 51 here and 9 on lb2"},
		{Failover, func(s *Situation) { s.There.Services[0].Servers[0].Active = 9 }, "3 established connections would not survive: lb2 does not have them yet"},
		{Failover, func(s *Situation) { s.Order.Max = time.Second }, "--max 1s is too short: the fault lasts 2s; give at least 7s"},
		{Freeze, func(s *Situation) { s.Processes = nil }, "the processes of this director are not found"},
		{Freeze, func(s *Situation) { s.Watchdog = 8 * time.Second }, "systemd would kill the stopped director after 6s (WatchdogSec is 8s): give a shorter --hold than 6s"},
		{Crash, func(s *Situation) { s.Unit = "" }, "nothing would start this director again"},
		{Silence, func(s *Situation) { s.Here.VRRP[0].AddressInterface = "vrrp.51" }, "leave from a virtual MAC address"},
		{Silence, func(s *Situation) { s.Order.Budget = time.Second }, "--budget: both directors are master in this drill"},
		{Disk, func(s *Situation) { s.StateDir = "" }, "the state directory is not known"},
		{Flap, func(s *Situation) { s.Order.Flaps = 20 }, "--max 30s is too short: the fault lasts 40s; give at least 45s"},
		{Flap, func(s *Situation) { s.There.Drill = &api.DrillUnderWay{Kind: "cable"} }, "a drill is under way on lb2: cable"},
		{Cable, func(s *Situation) { s.Unfit = "eth0 has a route by several gateways" }, "eth0 has a route by several gateways"},
	} {
		s := well(c.kind)
		c.broken(s)
		if refused := s.Refusals(); !slices.ContainsFunc(refused, func(text string) bool { return strings.Contains(text, c.want) }) {
			t.Errorf("%s: refused for %q, want %q", c.kind, refused, c.want)
		}
	}
}

// TestAllowed: what an operator allows is not refused.
func TestAllowed(t *testing.T) {
	s := well(Crash)
	s.Unit, s.Order.Process = "", ElectionProcess
	s.Here.Sync, s.Order.Lose = nil, 12
	s.Here.VRRP[0].Preempt, s.Order.Stay = false, true
	if refused := s.Refusals(); len(refused) > 0 {
		t.Errorf("%q", refused)
	}
}

// TestPlan: each fault is undone, in the right order.
func TestPlan(t *testing.T) {
	for kind, want := range map[Kind][2]string{
		Failover: {"hand over web; wait 2s", "end the standby of web"},
		Crash:    {"kill the director process 100; kill the election process 101; wait 6s", "systemctl start tandem.service"},
		Freeze: {
			"stop the director process 100 (SIGSTOP); stop the election process 101 (SIGSTOP); wait 6s",
			"let the director process 100 go on (SIGCONT); let the election process 101 go on (SIGCONT)",
		},
		Cable:   {"take eth0 down; wait 6s", "take eth0 up, with its 1 address and 0 routes"},
		Silence: {"drop the advertisements that leave (nftables table inet tandem_drill); wait 6s", "remove the nftables table inet tandem_drill"},
		Flap: {
			"take eth0 down; wait 1s; take eth0 up, with its 1 address and 0 routes; wait 1s; " +
				"take eth0 down; wait 1s; take eth0 up, with its 1 address and 0 routes; wait 1s",
			"take eth0 up, with its 1 address and 0 routes",
		},
		Disk: {
			"make /var/lib/tandem and its files immutable; hand over web; wait 2s",
			"make /var/lib/tandem and its files writable; end the standby of web",
		},
		RealServer: {
			"disable www/192.0.2.11:80 on both directors; wait 2s",
			"enable www/192.0.2.11:80 on both directors, unless somebody else has disabled it",
		},
	} {
		p := well(kind).Plan()
		if fault, undo := sentences(p.Fault), sentences(p.Undo); fault != want[0] || undo != want[1] {
			t.Errorf("%s: %s; undone by %s", kind, fault, undo)
		}
	}
	s := well(Freeze)
	s.Order.Process, s.Order.Hold = ElectionProcess, time.Second
	if got := sentences(s.Plan().Fault); got != "stop the election process 101 (SIGSTOP); wait 1s" {
		t.Error(got)
	}
}

// TestNotes: an operator who cuts the own session is told so.
func TestNotes(t *testing.T) {
	s := well(Cable)
	s.SessionOn = "eth0"
	if notes := s.Notes(); len(notes) != 1 || notes[0] != "your session comes over eth0, and stands still for 6s" {
		t.Errorf("%q", notes)
	}
	if s.SessionOn = "eth9"; len(s.Notes()) > 0 || len(well(Freeze).Notes()) > 0 {
		t.Error("told without a cause")
	}
}

func sentences(actions []Action) string {
	var all []string
	for _, a := range actions {
		all = append(all, a.String())
	}
	return strings.Join(all, "; ")
}

func TestKinds(t *testing.T) {
	for _, k := range Kinds() {
		var read Kind
		if text, err := k.MarshalText(); err != nil || read.UnmarshalText(text) != nil || read != k || k.About() == "" {
			t.Errorf("%s is read as %s, %v", k, read, err)
		}
	}
	// A drill of kind server needs to be told which one.
	want := slices.DeleteFunc(Names(), func(name string) bool { return name == RealServer.String() })
	if all := configs.DrillKinds(); !slices.Equal(all, want) || len(want) != len(Names())-1 {
		t.Errorf("a configuration can schedule %q, want %q", all, want)
	}
	if _, err := ParseKind("fire"); err == nil || !strings.Contains(err.Error(), `no drill "fire": want one of failover, crash`) {
		t.Error(err)
	}
}
