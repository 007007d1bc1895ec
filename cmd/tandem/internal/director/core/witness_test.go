// SPDX-License-Identifier: Apache-2.0

package core

import (
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
