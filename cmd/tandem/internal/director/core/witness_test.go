// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/vrrp"
)

// witnessed returns a director with one router that has two witnesses, and lets go after 10 s without them and the peer.
func witnessed(release time.Duration) *State {
	cfg := &configs.Config{Name: "lb1", Routers: []configs.Router{{
		Config: vrrp.Config{Name: "web", Interface: "eth0", VRID: 51, Witnessed: true}, WitnessRelease: release,
	}}}
	for kind, addrs := range map[configs.TrackKind][]string{
		configs.TrackWitness: {"192.0.2.1", "198.51.100.7"}, configs.TrackPeer: {"192.0.2.3"},
	} {
		for _, a := range addrs {
			check := healthcheck.DefaultConfig(healthcheck.Ping)
			check.Address = netip.MustParseAddr(a)
			cfg.Tracks = append(cfg.Tracks, configs.Track{Router: "web", Kind: kind, Name: kind.String() + " " + a, Check: &check})
		}
	}
	return started(cfg)
}

func TestWitnesses(t *testing.T) {
	s := witnessed(10 * time.Second)
	now := noon.Add(time.Hour)
	answer := func(name string, health healthcheck.Health) {
		now = now.Add(time.Second)
		s.Step(now, Verdict{ID: name, Status: healthcheck.TargetStatus{Health: health, Reason: "test"}})
	}
	want := func(what string, noWitness bool, fault string) {
		t.Helper()
		is := s.tracking["web"]
		if is.NoWitness != noWitness || (is.Fault == "") != (fault == "") || !strings.Contains(is.Fault, fault) || is.Unclear || is.LastResort {
			t.Errorf("%s: %+v", what, is)
		}
	}
	want("nothing is known", true, "")
	answer("witness 192.0.2.1", down)
	want("one does not answer, the other one is not known", true, "")
	answer("witness 198.51.100.7", up)
	want("one answers", false, "")
	answer("witness 198.51.100.7", down)
	want("none answers", true, "")
	now = now.Add(time.Hour)
	s.Step(now, Tick{})
	want("of the peer nothing is known", true, "")
	answer("peer 192.0.2.3", up)
	now = now.Add(time.Hour)
	s.Step(now, Tick{})
	want("the peer answers", true, "")
	answer("peer 192.0.2.3", down)
	want("nobody answers", true, "")
	if next := s.next(); !next.Equal(now.Add(10 * time.Second)) {
		t.Errorf("the next step is at %s, want %s", next, now.Add(10*time.Second))
	}
	now = now.Add(10*time.Second - time.Nanosecond)
	s.Step(now, Tick{})
	want("not for long enough", true, "")
	now = now.Add(time.Nanosecond)
	s.Step(now, Tick{})
	want("for 10s", true, "isolated: none of these has answered for 10s: ")
	answer("peer 192.0.2.3", up)
	want("the peer is back", true, "")
	answer("witness 192.0.2.1", up)
	want("a witness is back", false, "")

	s = witnessed(0)
	answer("witness 192.0.2.1", down)
	answer("witness 198.51.100.7", down)
	answer("peer 192.0.2.3", down)
	now = now.Add(time.Hour)
	s.Step(now, Tick{})
	want("without witness_release nothing more happens", true, "")
}

// The witnesses are asked once more when the master has fallen silent, and only then.
func TestWitnessesAreAskedAtOnce(t *testing.T) {
	s := witnessed(0)
	at := noon.Add(time.Hour)
	var asked []string
	report := func(silent bool) {
		at = at.Add(time.Second)
		out := s.Step(at, Report{message.Report{Routers: []vrrp.Status{{Name: "web", Interface: "eth0", State: vrrp.Backup, Silent: silent}}}})
		slices.Sort(out.Hurry)
		asked = append(asked, strings.Join(out.Hurry, " "))
	}
	for _, silent := range []bool{false, true, true, false, true} {
		report(silent)
	}
	const both = "witness 192.0.2.1 witness 198.51.100.7"
	if want := []string{"", both, "", "", both}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestWitnessesInTheHistory(t *testing.T) {
	s := witnessed(0)
	var said []string
	for i, health := range []healthcheck.Health{down, down, up, down} {
		for _, name := range []string{"witness 192.0.2.1", "witness 198.51.100.7"} {
			out := s.Step(noon.Add(time.Hour+time.Duration(i)*time.Second), Verdict{ID: name, Status: healthcheck.TargetStatus{Health: health, Reason: "test"}})
			for _, l := range out.Lines {
				if strings.Contains(l.Message, "witness") {
					said = append(said, l.Message)
				}
			}
		}
	}
	lost, back := "no witness answers: this director does not take over from a silent master", "a witness answers again"
	if want := []string{lost, back, lost}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

// witnessedGroup returns a director with a sync group of two routers, which has one witness, and lets go after 10 s.
func witnessedGroup() *State {
	cfg := &configs.Config{Name: "lb1"}
	for i, name := range []string{"out", "in"} {
		cfg.Routers = append(cfg.Routers, configs.Router{WitnessRelease: 10 * time.Second, Config: vrrp.Config{
			Name: name, Interface: "eth" + string(rune('0'+i)), VRID: 51, Witnessed: true, SyncGroup: "gateway", AdvertInterval: time.Second,
		}})
		for kind, a := range map[configs.TrackKind]string{configs.TrackWitness: "192.0.2.1", configs.TrackPeer: "192.0.2.3"} {
			check := healthcheck.DefaultConfig(healthcheck.Ping)
			check.Address = netip.MustParseAddr(a)
			cfg.Tracks = append(cfg.Tracks, configs.Track{Router: name, Group: "gateway", Kind: kind, Name: kind.String() + " " + a, Check: &check})
		}
	}
	return started(cfg)
}

// TestWitnessOfAGroup: a sync group has one question for all of its members. Its loss is said once, and is in the history of each.
func TestWitnessOfAGroup(t *testing.T) {
	s := witnessedGroup()
	now := noon.Add(time.Hour)
	var said, recorded []string
	step := func(events ...Event) Effects {
		out := s.Step(now, events...)
		for _, l := range out.Lines {
			if strings.Contains(l.Message, "witness") {
				said = append(said, fmt.Sprint(l.Message, l.Pairs))
			}
		}
		if out.History != nil {
			for _, ev := range out.History.Events {
				recorded = append(recorded, ev.Name+" "+ev.What)
			}
		}
		return out
	}
	answer := func(name string, health healthcheck.Health) {
		now = now.Add(100 * time.Millisecond)
		step(Verdict{ID: name, Status: healthcheck.TargetStatus{Health: health, Reason: "test"}})
	}
	want := func(what string, noWitness, isolated bool) {
		t.Helper()
		for _, name := range []string{"out", "in"} {
			if is := s.tracking[name]; is.NoWitness != noWitness || strings.Contains(is.Fault, "isolated") != isolated {
				t.Errorf("%s: %s: %+v", what, name, is)
			}
		}
	}
	if n := len(s.probes); n != 2 {
		t.Errorf("%d questions, want one to the witness and one to the peer: %+v", n, s.probes)
	}
	want("nothing is known", true, false)
	answer("witness 192.0.2.1", up)
	answer("peer 192.0.2.3", up)
	want("it answers", false, false)

	var asked []string
	report := func(after time.Duration, out, in bool) {
		now = now.Add(after)
		effects := step(Report{message.Report{Routers: []vrrp.Status{
			{Name: "out", Interface: "eth0", State: vrrp.Backup, Silent: out}, {Name: "in", Interface: "eth1", State: vrrp.Backup, Silent: in},
		}}})
		asked = append(asked, strings.Join(effects.Hurry, " "))
	}
	report(time.Second, false, false)
	report(time.Second, true, false)
	report(900*time.Millisecond, true, true) // the masters of both fall silent together
	report(time.Second, false, true)
	report(time.Second, true, true)
	const question = "witness 192.0.2.1"
	if want := []string{"", question, "", "", question}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}

	said, recorded = nil, nil
	answer("witness 192.0.2.1", down)
	want("it does not answer", true, false)
	answer("peer 192.0.2.3", down)
	now = now.Add(10 * time.Second)
	step(Tick{})
	want("nor does the peer", true, true)
	answer("witness 192.0.2.1", up)
	want("it answers again", false, false)
	if want := []string{
		"no witness answers: this director does not take over from a silent master[sync-group gateway]", "a witness answers again[sync-group gateway]",
	}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	if want := []string{"out reaches no witness", "in reaches no witness", "out reaches a witness again", "in reaches a witness again"}; !slices.Equal(recorded, want) {
		t.Errorf("recorded %q, want %q", recorded, want)
	}
}
