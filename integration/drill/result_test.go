// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestJudge(t *testing.T) {
	const ms = time.Millisecond
	n := func(served int) *int { return &served }
	ms50, all := within(50*ms, ""), everyone("")
	for _, tt := range []struct {
		name  string
		bound bound
		f     figure
		want  verdict
	}{
		{"at the bound", ms50, figure{Outage: 50 * ms}, pass},
		{"above it", ms50, figure{Outage: 51 * ms}, fail},
		{"above it by the machine's stall", ms50, figure{Outage: 80 * ms, Stall: 30 * ms}, pass},
		{"above it by more than the stall", ms50, figure{Outage: 81 * ms, Stall: 30 * ms}, fail},
		{"a long stall excuses nothing", ms50, figure{Outage: 900 * ms, Stall: time.Second}, undecided},
		{"a long stall explains only so much", ms50, figure{Outage: 3100 * ms, Stall: time.Second}, fail},
		{"a long stall does no harm", ms50, figure{Outage: 10 * ms, Stall: time.Second}, pass},
		{"not over", ms50, figure{Outage: 10 * ms, Open: true}, fail},
		{"not measured", ms50, figure{Error: "it was not"}, fail},
		{"not measured, and a stall", ms50, figure{Error: "it was not", Stall: time.Second}, undecided},
		{"not put back", ms50, figure{NotBack: "a has no VIP"}, fail},
		{"clients where milliseconds are wanted", ms50, figure{Served: n(40)}, fail},
		{"all served", all, figure{Served: n(40)}, pass},
		{"one not served", all, figure{Served: n(39)}, fail},
		{"one not served, and a stall", all, figure{Served: n(39), Stall: time.Second}, undecided},
		{"nothing counted", all, figure{}, fail},
	} {
		if got := tt.bound.judge(tt.f); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// example has a row of each kind, as the inner run tells them.
func example(t *testing.T) result {
	t.Helper()
	n := func(served int) *int { return &served }
	r := result{Revision: "v1.0.0", Seed: 1, Advert: "100ms", Took: "19m12s"}
	for _, m := range []message{
		{Machine: &report.Machine{Place: "vm", Processor: "Example CPU", CPUs: 2, Kernel: "6.1.0",
			Tandem: "v1.0.0", Keepalived: "Keepalived v2.2.7"}},
		{Row: &outcome{Place: "direct", Group: "kill", Name: "master stopped", Bound: "50 ms", Verdict: pass,
			Tandem: &figure{}, Keepalived: &figure{Outage: 63 * time.Millisecond}}},
		{Row: &outcome{Place: "direct", Group: "kill", Name: "planned failover", Bound: "50 ms", Verdict: fail, NoPeer: noCommand,
			Tandem: &figure{Outage: 71 * time.Millisecond}}},
		{Row: &outcome{Place: "vm", Group: "kernel", Name: "VIP deleted", Bound: "200 ms", Verdict: fail,
			Tandem:     &figure{Outage: 4 * time.Millisecond, NotBack: "director-a has no VIP\nand more"},
			Keepalived: &figure{Outage: 10 * time.Second, Open: true}}},
		{Row: &outcome{Place: "vm", Group: "kernel", Name: "link renamed", Bound: "461 ms", Verdict: undecided,
			Tandem: &figure{Outage: 900 * time.Millisecond, Stall: 800 * time.Millisecond}, Keepalived: &figure{Error: "no link"}}},
		{Row: &outcome{Place: "vm", Group: "machine", Name: "clock", Bound: "50 ms",
			Skipped: "it needs a kernel of its own: TANDEM_LAB=vm"}},
		{Row: &outcome{Place: "vm", Group: "pools", Name: "sh, a server without power", Bound: "40 of 40", Verdict: pass, Seconds: 12.4,
			Tandem: &figure{Served: n(40), Cells: []cell{{"tcp", 40, 2.8}, {"udp", 40, 3}, {"udp, same port", 40, 0}}},
			Keepalived: &figure{Served: n(27), Note: "connection refused",
				Cells: []cell{{"tcp", 27, 4.2}, {"udp", 40, 3}, {"udp, same port", 26, 0}}}}},
		{Row: &outcome{Place: "vm", Group: "soak", Name: "2 faults", Bound: "3361 ms", Verdict: pass, Note: "one; two",
			Tandem: &figure{Outage: 400 * time.Millisecond}, Keepalived: &figure{Outage: time.Second, NotBack: "x"}}},
	} {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.take(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if r.take([]byte("no result")) == nil {
		t.Error("a text that is no result was taken")
	}
	return r
}

// TestTable compares the table in text and in Markdown with testdata.
func TestTable(t *testing.T) {
	r := example(t)
	var text, markdown bytes.Buffer
	r.print(&text)
	if err := r.markdown(&markdown); err != nil {
		t.Fatal(err)
	}
	for file, got := range map[string]string{"testdata/table.txt": text.String(), "testdata/table.md": markdown.String()} {
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
		}
	}
	if r.count(fail) != 2 || r.count(undecided) != 1 || r.count(pass) != 3 {
		t.Errorf("%s; want 3 passed, 2 failed, 1 undecided", r.summary())
	}
}

// TestJSON: what is written as JSON is read as the same.
func TestJSON(t *testing.T) {
	r := example(t)
	var first, second bytes.Buffer
	var again result
	if err := r.writeJSON(&first); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(first.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if err := again.writeJSON(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("%s\nbecame\n%s", first.String(), second.String())
	}
}

// TestRows: there are enough rows, and each is whole and has its own name.
func TestRows(t *testing.T) {
	rows := allRows(1, 12)
	if len(rows) < 50 {
		t.Errorf("%d rows, want 50 or more", len(rows))
	}
	names := map[string]bool{}
	for _, r := range rows {
		if names[r.String()] {
			t.Errorf("%s: there are two", r)
		}
		names[r.String()] = true
		if r.fault == nil || r.bound.why == "" || (r.bound.most > 0) == (r.bound.served > 0) {
			t.Errorf("%s: it needs a fault, and a bound with its reason: %+v", r, r.bound)
		}
		if r.bound.served > 0 && r.measure == nil {
			t.Errorf("%s: its bound is clients, and it measures milliseconds", r)
		}
		if strings.Contains(r.name, "|") {
			t.Errorf("%s: the name breaks a table in Markdown", r)
		}
	}
}

// TestSoak: a seed always gives the same faults, and another seed gives others.
func TestSoak(t *testing.T) {
	draw := func(seed uint64) string {
		rows := allRows(seed, 12)
		return rows[len(rows)-1].note
	}
	if a, b := draw(7), draw(7); a != b {
		t.Errorf("seed 7 gave %q, and then %q", a, b)
	}
	if a, b := draw(7), draw(8); a == b {
		t.Errorf("seeds 7 and 8 both gave %q", a)
	}
}
