// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
)

// drilled takes news, and returns what the history then has. It fails if the news are not answered.
func drilled(t *testing.T, s *State, now time.Time, news ...api.DrillNews) (told []string) {
	t.Helper()
	for i, n := range news {
		out := s.Step(now, DrillTold{Request: Request(i + 1), News: n})
		if len(out.Replies) != 1 || out.Replies[0].Err != nil || len(out.Lines) != 1 {
			t.Fatalf("%s: replies %+v, log %+v", n.Step, out.Replies, out.Lines)
		}
		told = append(told, toldBy(out)...)
	}
	return told
}

func toldBy(out Effects) (told []string) {
	if out.History == nil {
		return nil
	}
	for _, ev := range out.History.Events {
		told = append(told, fmt.Sprintf("%s %s %s: %s (%s), by %s", ev.Time.Sub(noon), ev.Kind, ev.What, ev.Cause, ev.New, ev.By))
	}
	return told
}

func drillNews(step api.DrillStep, at time.Duration, done ...string) api.DrillNews {
	return api.DrillNews{
		Step: step, At: noon.Add(at), Done: done, Until: noon.Add(time.Minute), Forgotten: noon.Add(time.Hour),
		Drill: api.Drill{Kind: "freeze", Began: noon.Add(time.Second), By: "root"},
	}
}

// ended is the news of a drill that ended with an outage of 3.6 s.
func ended(at time.Duration, result string, failures ...string) api.DrillNews {
	n := drillNews(api.DrillEnded, at)
	n.Drill.Ended, n.Drill.Result, n.Drill.Failures = n.At, result, failures
	n.Drill.OutageSeconds, n.Drill.BudgetSeconds = new(3.6), new(4.0)
	return n
}

// TestDrillIsTold: the history has the begin of a drill, its undoing and its end with the figures. The state has the one under way, and
// the last ones.
func TestDrillIsTold(t *testing.T) {
	s := started(&configs.Config{Name: "lb1"})
	told := drilled(t, s, noon, drillNews(api.DrillBegan, time.Second, "stop the director process 7 (SIGSTOP)", "wait 6s"))
	if d := s.Snapshot(noon).Drills; d.UnderWay == nil || d.UnderWay.Kind != "freeze" || !d.UnderWay.Undone.IsZero() || !d.UnderWay.Until.Equal(noon.Add(time.Minute)) {
		t.Errorf("under way: %+v", d.UnderWay)
	}
	told = append(told, drilled(t, s, noon.Add(8*time.Second), drillNews(api.DrillUndone, 7*time.Second, "let the director process 7 go on (SIGCONT)"))...)
	if d := s.Snapshot(noon).Drills; d.UnderWay == nil || !d.UnderWay.Undone.Equal(noon.Add(7*time.Second)) {
		t.Errorf("undone: %+v", d.UnderWay)
	}
	told = append(told, drilled(t, s, noon.Add(9*time.Second), ended(9*time.Second, "passed"))...)
	const want = "1s drill drill freeze began: root ordered it; stop the director process 7 (SIGSTOP); wait 6s (began), by root\n" +
		"7s drill drill freeze undone: let the director process 7 go on (SIGCONT) (undone), by root\n" +
		"9s drill drill freeze ended: passed; outage at most 3.6s, budget 4s (passed), by root"
	if got := strings.Join(told, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	first := s.Snapshot(noon).Drills
	if first.UnderWay != nil || len(first.Last) != 1 || !first.Last[0].LastPassed.Equal(noon.Add(9*time.Second)) {
		t.Errorf("ended: %+v", first)
	}
	// The next one of the kind replaces it. That it passed once is not forgotten.
	told = drilled(t, s, noon.Add(20*time.Second), ended(20*time.Second, "failed", "not as before: x"))
	now := s.Snapshot(noon).Drills
	if len(now.Last) != 1 || now.Last[0].Result != "failed" || !now.Last[0].LastPassed.Equal(noon.Add(9*time.Second)) || !strings.Contains(told[0], "budget 4s: not as before: x (failed)") {
		t.Errorf("failed: %+v, %q", now.Last, told)
	}
	if first.Last[0].Result != "passed" {
		t.Error("an earlier snapshot has changed")
	}
	other := ended(30*time.Second, "passed")
	other.Drill.Kind = "cable"
	drilled(t, s, noon.Add(30*time.Second), other)
	if now = s.Snapshot(noon).Drills; len(now.Last) != 2 || now.Last[0].Kind != "cable" {
		t.Errorf("of another kind: %+v", now.Last)
	}
}

// TestDrillOfADeadDirector: a director that the drill killed hears of it when it runs again, and has the drills of before.
func TestDrillOfADeadDirector(t *testing.T) {
	s := New()
	last := []api.Drill{{Kind: "freeze", Result: "failed", LastPassed: noon.Add(-time.Hour)}}
	s.Step(noon, Start{Config: &configs.Config{Name: "lb1"}, LastDrills: last})
	drilled(t, s, noon, drillNews(api.DrillUndone, -time.Second, "systemctl start tandem.service"))
	if d := s.Snapshot(noon).Drills; d.UnderWay == nil || d.UnderWay.Undone.IsZero() {
		t.Errorf("%+v", d.UnderWay)
	}
	drilled(t, s, noon, ended(time.Second, "failed"))
	if d := s.Snapshot(noon).Drills; len(d.Last) != 1 || !d.Last[0].LastPassed.Equal(noon.Add(-time.Hour)) {
		t.Errorf("%+v", d.Last)
	}
}

// TestDrillWithoutAnEnd: a drill whose end nobody tells is under way for a limited time.
func TestDrillWithoutAnEnd(t *testing.T) {
	s := started(&configs.Config{Name: "lb1"})
	out := s.Step(noon, DrillTold{News: drillNews(api.DrillBegan, 0)})
	if !out.Next.Equal(noon.Add(time.Hour)) {
		t.Errorf("the next step is at %s", out.Next)
	}
	if s.Step(noon.Add(time.Hour-time.Second), Tick{}); s.Snapshot(noon).Drills.UnderWay == nil {
		t.Error("it is forgotten too early")
	}
	out = s.Step(noon.Add(time.Hour), Tick{})
	if told := strings.Join(toldBy(out), "\n"); s.Snapshot(noon).Drills.UnderWay != nil || !strings.Contains(told, "drill freeze: its end is not known") || len(out.Lines) != 1 {
		t.Errorf("told %q, log %+v", told, out.Lines)
	}
	if out = s.Step(noon.Add(2*time.Hour), Tick{}); out.History != nil {
		t.Error("told twice")
	}
}

// TestNonsenseAboutDrills: news that make no sense are refused, and change nothing.
func TestNonsenseAboutDrills(t *testing.T) {
	s := started(&configs.Config{Name: "lb1"})
	for want, n := range map[string]api.DrillNews{
		"lacks its kind": {Step: api.DrillBegan, At: noon}, "or its time": {Step: api.DrillBegan, Drill: api.Drill{Kind: "freeze"}},
		`the step "paused"`: {Step: "paused", At: noon, Drill: api.Drill{Kind: "freeze"}},
	} {
		out := s.Step(noon, DrillTold{News: n})
		if err := out.Replies[0].Err; err == nil || !strings.Contains(err.Error(), want) || out.History != nil || s.Snapshot(noon).Drills.UnderWay != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}
