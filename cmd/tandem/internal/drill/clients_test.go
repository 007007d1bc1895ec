// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

// seen is what a prober reports that began a second before the fault. Its clock is a minute ahead. The outages have a start and a length,
// in ms since the fault.
func seen(outages ...[2]int) Seen {
	ahead := prober.Seconds(time.Minute)
	r := &prober.Report{Target: "http://192.0.2.100:80/", Began: fault.Add(time.Minute - time.Second), ClockAhead: &ahead}
	r.Asked, r.Answered, r.Failed = 100, 97, 3
	for _, o := range outages {
		r.Outages = append(r.Outages, prober.Outage{
			Start: prober.Seconds(time.Second + time.Duration(o[0])*time.Millisecond), Length: prober.Seconds(time.Duration(o[1]) * time.Millisecond),
		})
	}
	return Seen{Address: "192.0.2.50:8475", Report: r}
}

// TestJudgeClients: the budget is about what clients saw, if they were asked, and not about the histories.
func TestJudgeClients(t *testing.T) {
	goesOn := seen([2]int{100, 4000})
	goesOn.Report.Outages[0].GoesOn = true
	broke := seen()
	broke.Report.Flows = &prober.FlowReport{Flows: 200, Unbroken: 197}
	silent := seen()
	silent.Report.Answered, silent.Report.Failed = 0, 100
	for _, c := range []struct {
		what   string
		budget time.Duration
		seen   []Seen
		want   string
	}{
		{
			"clients see less than the histories", time.Second, []Seen{seen([2]int{20, 600})},
			"clients at 192.0.2.50:8475: outage 600ms; first answer 620ms after the failure; 3 of 100 questions failed\n" +
				"freeze: passed; outage at most 3s; clients saw 600ms, budget 1s\n",
		},
		{
			"clients see more", 4 * time.Second, []Seen{seen(), seen([2]int{20, 5000}, [2]int{9000, 100})},
			"clients at 192.0.2.50:8475: no outage, 3 of 100 questions failed\n" +
				"clients at 192.0.2.50:8475: 2 outages, the longest 5s; first answer 5.02s after the failure; 3 of 100 questions failed\n" +
				"failed: clients saw an outage of 5s, which is over the budget of 4s\nfreeze: failed; outage at most 3s; clients saw 5s, budget 4s\n",
		},
		{"an outage of before does not count", 0, []Seen{seen([2]int{-900, 800})}, "no outage, 3 of 100 questions failed\nfreeze: passed; outage at most 3s; clients saw 0s, budget 0s\n"},
		{"one that lasts into the failure counts", -1, []Seen{seen([2]int{-900, 1000})}, "outage 1s; first answer 100ms after the failure"},
		{"it goes on", -1, []Seen{goesOn}, "first answer - after the failure; 3 of 100 questions failed\nfailed: the clients at 192.0.2.50:8475 get no answer any more\n"},
		{"connections break", -1, []Seen{broke}, "; 3 of 200 connections broke\nfailed: 3 of 200 connections of the clients broke: --lose 3 would allow that\n"},
		{"no answer", -1, []Seen{silent}, "failed: the clients at 192.0.2.50:8475 got no answer at all\n"},
		{
			"no report", 4 * time.Second, []Seen{{Address: "192.0.2.50:8475", Problem: "connection refused"}},
			"failed: what the clients at 192.0.2.50:8475 saw is not known: connection refused\nfreeze: failed; outage at most 3s, budget 4s\n",
		},
	} {
		s := well(Freeze)
		s.Order.Budget = c.budget
		r := s.NewReport(fault, "root")
		s.Judge(&r, Observed{Fault: fault, Undone: ms(6000), There: overAt(3000), Seen: c.seen})
		if text := r.Text(); !strings.Contains(text, c.want) || r.Passed != (len(r.Failures) == 0) {
			t.Errorf("%s: got\n%swant\n%s", c.what, text, c.want)
		}
	}
}

// TestClientsInJSON: the report has what clients saw, and the director is told their outage.
func TestClientsInJSON(t *testing.T) {
	s := well(Freeze)
	r := s.NewReport(fault, "root")
	s.Judge(&r, Observed{Fault: fault, Undone: ms(6000), There: overAt(3000), Seen: []Seen{seen([2]int{20, 600})}})
	r.Ended = ms(9000)
	text, err := json.Marshal(r)
	const want = `"outage_seconds":3,"clients":[{"address":"192.0.2.50:8475","target":"http://192.0.2.100:80/","asked":100,"answered":97,"failed":3,` +
		`"resets":0,"not_asked":0,"outages":1,"outage_seconds":0.6,"first_answer_seconds":0.62}],"clients_outage_seconds":0.6`
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%v, got\n%s\nwant\n%s", err, text, want)
	}
	if d := r.Summary(); d.OutageSeconds == nil || *d.OutageSeconds != 0.6 {
		t.Errorf("%+v", d)
	}
}

// TestRefusedProbers: a prober that cannot be used is found before the failure, and one that can allows a budget for any kind.
func TestRefusedProbers(t *testing.T) {
	s := well(Silence)
	s.Order.Budget, s.Probers = time.Second, []Prober{{Address: "192.0.2.50:8475"}}
	if refused := s.Refusals(); len(refused) > 0 {
		t.Errorf("%q", refused)
	}
	s.Probers[0].Problem = "connection refused"
	if refused := s.Refusals(); len(refused) != 1 || refused[0] != "the prober at 192.0.2.50:8475 cannot be used: connection refused" {
		t.Errorf("%q", refused)
	}
}
