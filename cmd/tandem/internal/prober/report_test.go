// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPercentilesCountFailures(t *testing.T) {
	r := probe(Options{Every: ms, For: 1000 * ms, Timeout: 50 * ms, Slow: 20 * ms}, func(sent time.Duration) end {
		if n := sent / ms; n%50 == 0 {
			return end{}
		}
		return end{took: 2 * ms}
	})
	for _, p := range r.Percentiles {
		if answered := p.Percent <= 98; (p.Took != nil) != answered || answered && time.Duration(*p.Took).Round(ms) != 2*ms {
			t.Errorf("p%v: %v; of 1000 questions, 20 have failed", p.Percent, p.Took)
		}
	}
}

func TestReportIsJSON(t *testing.T) {
	l := New(usual)
	n, _ := l.Take(0)
	l.Fail(n, ms, Reset, "")
	text, err := json.Marshal(l.Report())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"resets":1`, `"every_seconds":0.001,`, `"outages":[{"start_seconds":0,"length_seconds":0.001,`,
		`"failures":{"connection reset":1}`, `"servers":[]`, `{"percent":50,"seconds":null}`, `"pauses":[]`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

// TestReportSurvivesJSON: a report that another machine sends has everything that a page shows.
func TestReportSurvivesJSON(t *testing.T) {
	r := probe(usual, pausing(time.Second, 1500*ms))
	f := NewFlows(2, ms)
	f.Connected(1, ms)
	f.Broke(1, 3*ms, Reset, "")
	r.Flows, r.Began, r.Target = f.Report(time.Second), time.Date(2026, 11, 22, 10, 0, 0, 1, time.UTC), "x"
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(r, again) {
		t.Errorf("%v, got\n%+v, want\n%+v", err, again, r)
	}
	var rows RowCounts
	if err := json.Unmarshal([]byte(`{"-1": 1, "44": 2, "3": 4}`), &rows); err != nil || rows != (RowCounts{3: 4}) {
		t.Errorf("rows that do not exist: %v, %v", err, rows)
	}
}

// TestManyNames: a service whose answers all have another name costs no memory.
func TestManyNames(t *testing.T) {
	l := New(Options{Every: ms, Timeout: time.Second, Slow: 200 * ms})
	for i := range 500 {
		now := time.Duration(2*i) * ms
		n, _ := l.Take(now)
		l.Answer(n, now, time.Duration(i).String())
		n, _ = l.Take(now + ms)
		l.Fail(n, now+ms, Wrong, time.Duration(i).String())
	}
	r := l.Report()
	last := len(r.Servers) - 1
	if len(r.Servers) != maxNames || r.Servers[last].Name != others || r.Servers[last].Answers != r.Answered-last || len(r.Failures) > maxNames+1 {
		t.Errorf("%d servers, the last one %+v; %d causes", len(r.Servers), r.Servers[last], len(r.Failures))
	}
}

// TestTimeline: its size has a limit, and no question is lost when buckets are joined.
func TestTimeline(t *testing.T) {
	r := probe(Options{Every: 10 * ms, For: 100 * time.Second, Timeout: time.Second, Slow: 200 * ms}, pausing(50*time.Second, 51*time.Second))
	if n := len(r.Timeline.Buckets); n > maxBuckets || n < maxBuckets/2 {
		t.Errorf("%d buckets", n)
	}
	asked, slow := 0, 0
	for i, b := range r.Timeline.Buckets {
		asked += b.Asked
		slow += b.Slow
		if at := time.Duration(i) * time.Duration(r.Timeline.Width); b.Slow > 0 && !between(at, 49900*ms, 51*time.Second) {
			t.Errorf("slow answers at %s", at)
		}
		rows := uint32(0)
		for _, n := range b.Rows {
			rows += n
		}
		if int(rows) != b.Answered || int(b.Servers[0]) != b.Answered {
			t.Errorf("bucket %d: %d answers in rows, %d of the server, want %d", i, rows, b.Servers[0], b.Answered)
		}
	}
	if asked != r.Asked || slow != r.Slow || slow == 0 {
		t.Errorf("%d asked and %d slow, want %+v", asked, slow, r.Counts)
	}
	for i := range Rows {
		if got := row(RowStart(i) + 1); got != i {
			t.Errorf("row %d begins in row %d", i, got)
		}
	}
}

// TestAbandon: a user who ends a probe is not told of failures that were none.
func TestAbandon(t *testing.T) {
	l := New(Options{Every: 100 * ms, Timeout: 10 * time.Second, Slow: 200 * ms})
	for i := range 10 {
		l.Take(time.Duration(i) * 100 * ms)
	}
	l.Abandon(950 * ms)
	if r := l.Report(); r.Asked != 8 || r.Failed != 8 || len(r.Outages) != 1 || !r.Outages[0].GoesOn || !l.Done() {
		t.Errorf("%+v, outages %+v", r.Counts, r.Outages)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 5 * ms: "5 ms", 420 * time.Microsecond: "0.42 ms", 12345 * time.Microsecond: "12.3 ms", 340 * ms: "340 ms",
		999600 * time.Microsecond: "1 s", 3530 * ms: "3.53 s", 10 * time.Second: "10 s", 150 * time.Second: "2m30s",
	} {
		if got := Seconds(d).String(); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestLive(t *testing.T) {
	l := New(usual)
	n, _ := l.Take(0)
	if v := l.Live(100 * ms); v.Silent != 0 || v.Asked != 1 {
		t.Errorf("not slow yet: %+v", v)
	}
	if v := l.Live(300 * ms); v.Silent != Seconds(300*ms) {
		t.Errorf("no answer for 300 ms: %+v", v)
	}
	l.Answer(n, 400*ms, "")
	if v := l.Live(450 * ms); v.Silent != 0 || v.Outages != 1 || v.Longest != Seconds(400*ms) || time.Duration(v.Median).Round(ms) != 400*ms {
		t.Errorf("answered: %+v", v)
	}
}

func TestFlows(t *testing.T) {
	f := NewFlows(3, 200*ms)
	for i := range 3 {
		f.Connected(i, 0)
		f.Asked(i, ms)
	}
	f.Answered(0, 2*ms)
	f.Answered(1, 301*ms) // slowly
	f.Broke(2, 500*ms, Reset, "")
	f.Connected(2, 510*ms)
	f.Asked(2, 600*ms)
	r := f.Report(time.Second)
	if r.Flows != 3 || r.Unbroken != 2 || r.Breaks != 1 || r.Resets != 1 || r.Answers != 2 || r.Stalls != 3 || time.Duration(r.Longest) != 499*ms {
		t.Errorf("%+v", r)
	}
	if b := r.BreakList[0]; b.Flow != 2 || time.Duration(b.At) != 500*ms || time.Duration(b.Age) != 500*ms || b.Cause != "connection reset" {
		t.Errorf("%+v", b)
	}
}

// TestVeryManyStalls: the longest one counts, also if it is not kept.
func TestVeryManyStalls(t *testing.T) {
	f := NewFlows(1, 200*ms)
	now := time.Duration(0)
	f.Connected(0, now)
	for range maxEvents {
		f.Asked(0, now)
		now += 300 * ms
		f.Answered(0, now)
	}
	f.Asked(0, now)
	f.Answered(0, now+10*time.Second)
	if r := f.Report(now + time.Minute); r.Stalls != maxEvents+1 || len(r.StallList) != maxEvents || !r.Incomplete || r.Longest != Seconds(10*time.Second) {
		t.Errorf("%d stalls, %d kept, the longest %s", r.Stalls, len(r.StallList), r.Longest)
	}
}
