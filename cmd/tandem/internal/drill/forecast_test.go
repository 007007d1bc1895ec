// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// TestForecast: what a failover costs follows from the states of both directors, and what is not known is said to be so.
func TestForecast(t *testing.T) {
	const handOver = "a hand-over by lb1 now: no time without the VIPs, and "
	for _, c := range []struct {
		what   string
		broken func(*Situation)
		want   []string
	}{
		{"all is well", func(*Situation) {}, []string{
			// 3 intervals of 1 s, and the skew time of priority 100.
			"a cable cut or a crash of lb1 now: up to 3.609s without the VIPs, and all 12 connections go on",
			handOver + "all 12 connections go on",
		}},
		{"some are not synced", func(s *Situation) { s.There.Services[0].Servers[0].Active = 9 }, []string{
			"a cable cut or a crash of lb1 now: up to 3.609s without the VIPs, and 3 of 12 connections end: lb2 does not have them yet",
			handOver + "3 of 12 connections end: lb2 does not have them yet",
		}},
		{"no sync", func(s *Situation) { s.Here.Sync = nil }, []string{
			"a cable cut or a crash of lb1 now: up to 3.609s without the VIPs, and 12 of 12 connections end: no connection sync runs on lb1: see [lvs] sync",
			handOver + "12 of 12 connections end: no connection sync runs on lb1: see [lvs] sync",
		}},
		{"no connections", func(s *Situation) { s.Here.Services[0].Servers[0].Active = 0 }, []string{
			"a cable cut or a crash of lb1 now: up to 3.609s without the VIPs, and no connection is established",
			handOver + "no connection is established",
		}},
		{"an interval of 100 ms, and 5 of them", func(s *Situation) {
			s.Here.VRRP[0].AdvertInterval, s.There.VRRP[0].DownAdverts, s.There.VRRP[0].EffectivePriority = "100ms", 5, 1
		}, []string{"a cable cut or a crash of lb1 now: up to 600ms without the VIPs, and all 12 connections go on", handOver + "all 12 connections go on"}},
		{"version 2: the skew time is that of 1 s", func(s *Situation) {
			s.Here.VRRP[0].AdvertInterval, s.There.VRRP[0].Version = "2s", 2
		}, []string{"a cable cut or a crash of lb1 now: up to 6.609s without the VIPs, and all 12 connections go on", handOver + "all 12 connections go on"}},
		{"the slowest virtual router counts", func(s *Situation) {
			slow := s.Here.VRRP[0]
			slow.Name, slow.AdvertInterval = "mail", "10s"
			s.Here.VRRP = append(s.Here.VRRP, slow)
			slow.State, slow.EffectivePriority = "backup", 0
			s.There.VRRP = append(s.There.VRRP, slow)
		}, []string{"a cable cut or a crash of lb1 now: up to 40s without the VIPs, and all 12 connections go on", handOver + "all 12 connections go on"}},
		{"no healthy server there", func(s *Situation) { s.There.Services[0].Up = 0 }, []string{
			"a cable cut or a crash of lb1 now: up to 3.609s without the VIPs, and all 12 connections go on", handOver + "all 12 connections go on",
			"after it, service www would have no healthy server: lb2 sees none",
		}},
		{"nobody takes over", func(s *Situation) { s.There.VRRP[0].State, s.There.VRRP[0].Reason = "fault", "eth0 has no carrier" }, []string{
			"a cable cut or a crash of lb1 now: nobody takes over, because virtual router web is in state fault on lb2: eth0 has no carrier, and 12 of 12 connections end: nobody takes over",
		}},
		{"the other one has no such virtual router", func(s *Situation) { s.There.VRRP = nil }, []string{
			"a cable cut or a crash of lb1 now: nobody takes over, because lb2 has no virtual router web, and 12 of 12 connections end: nobody takes over",
		}},
		{"another version", func(s *Situation) { s.There.VRRP[0].DownAdverts = 0 }, []string{
			"a cable cut or a crash of lb1 now: for how long without the VIPs is not known (the directors are of different versions, and do not tell the " +
				"intervals of virtual router web), and all 12 connections go on",
			handOver + "all 12 connections go on",
		}},
		{"the other one is master", func(s *Situation) { s.Here, s.There = s.There, s.Here; s.Here.Peer = s.There.Peer }, []string{
			"a cable cut or a crash of lb1 now: up to 3.609s without the VIPs, and all 12 connections go on", handOver + "all 12 connections go on",
		}},
		{"nobody is master", func(s *Situation) { s.Here.VRRP[0].State = "backup" }, []string{
			"what a failover would cost is not known: neither director is master of a virtual router",
		}},
		{"the channel is lost", func(s *Situation) { s.Lacking = "it fell silent" }, []string{
			"what a failover would cost is not known: the other director cannot be asked: it fell silent",
		}},
	} {
		s := well(Failover)
		c.broken(s)
		f := Foresee(s.Here, s.There, s.Lacking)
		if got, want := strings.Join(f.Lines(), "\n"), strings.Join(c.want, "\n"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.what, got, want)
		}
		text, err := json.Marshal(f)
		if err != nil || strings.Contains(string(text), "null") != (len(f.Failures) == 1 && (f.Failures[0].Silent == nil || f.Failures[0].HandOver == nil)) {
			t.Errorf("%s: %v, %s", c.what, err, text)
		}
	}
}

// TestForecastOfTwoMasters: each director can be master of a virtual router.
func TestForecastOfTwoMasters(t *testing.T) {
	s := well(Failover)
	here, there := s.Here.VRRP[0], s.There.VRRP[0]
	here.Name, here.State, here.EffectivePriority, there.Name, there.State = "mail", "backup", 50, "mail", "master"
	s.Here.VRRP, s.There.VRRP = append(s.Here.VRRP, here), append(s.There.VRRP, there)
	f := Foresee(s.Here, s.There, "")
	if len(f.Failures) != 2 || f.Failures[1].Director != "lb2" || f.Failures[1].Successor != "lb1" || f.Failures[1].Silent.String() != "3.805s" {
		t.Errorf("%+v", f)
	}
}

// TestForecastDrill: the last drill is that of either director.
func TestForecastDrill(t *testing.T) {
	s := well(Failover)
	if f := Foresee(s.Here, s.There, ""); f.LastDrill != nil || f.LastDrillOf != "" || f.DrillsNotKnown != "" {
		t.Errorf("%+v", f)
	}
	at := time.Unix(1e9, 0)
	s.Here.Drills, s.There.Drills = []api.Drill{{Kind: "cable", Ended: at}}, []api.Drill{{Kind: "freeze", Ended: at.Add(1)}, {Kind: "crash", Ended: at.Add(-1)}}
	if f := Foresee(s.Here, s.There, ""); f.LastDrill == nil || f.LastDrill.Kind != "freeze" || f.LastDrillOf != "lb2" {
		t.Errorf("%+v", f)
	}
	if f := Foresee(s.Here, api.Status{}, "lost"); f.LastDrill == nil || f.LastDrill.Kind != "cable" || f.LastDrillOf != "lb1" || f.DrillsNotKnown != "lost" {
		t.Errorf("%+v", f)
	}
}
