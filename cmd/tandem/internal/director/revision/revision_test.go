// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// history returns a state in which these digests came into force, one after the other.
func history(own string, digests ...string) (s State) {
	for _, d := range digests {
		s = s.Put(Revision{File: "/etc/t.toml", SHA256: d, Size: 100}, own)
	}
	return s
}

func waits(s State, former int, boot string, end time.Duration) State {
	s.Waiting = &Waiting{Former: former, Until: noon, End: Boot{boot, end}}
	return s
}

// TestStart is the rule of the package comment.
func TestStart(t *testing.T) {
	now := Boot{"b1", time.Hour}
	const late, restarted = "nobody confirmed it until 2026-11-22T12:00:00Z, when no director ran", "the machine was restarted before anybody confirmed it"
	for _, tt := range []struct {
		why  string
		s    State
		own  string
		want Start
	}{
		{"the first start", State{}, "a", Start{}},
		{"nothing has changed", history("a", "a"), "a", Start{}},
		{"the file was edited", history("a", "a"), "b", Start{}},
		{"another file was applied", history("a", "a", "x"), "a", Start{Revision: 2}},
		{"another file was applied, then the own file was edited", history("a", "a", "x"), "b", Start{}},
		{"another file was applied, which is the own file by now", history("a", "a", "x"), "x", Start{}},
		{"rolled back, and the own file is still the bad one", history("b", "a", "b", "a"), "b", Start{Revision: 3}},
		{"rolled back, and the own file was mended", history("b", "a", "b", "a"), "c", Start{}},
		{"the own file waits", waits(history("b", "a", "b"), 1, "b1", time.Hour+time.Minute), "b", Start{Revision: 2, Left: time.Minute}},
		{"another file waits", waits(history("a", "a", "x"), 1, "b1", time.Hour+time.Minute), "a", Start{Revision: 2, Left: time.Minute}},
		{"it waits, and the own file was edited meanwhile", waits(history("b", "a", "b"), 1, "b1", time.Hour+time.Minute), "c", Start{Revision: 2, Left: time.Minute}},
		{"its time is over", waits(history("b", "a", "b"), 1, "b1", time.Hour), "b", Start{Revision: 1, Cause: late}},
		{"its time is over, and it was another file", waits(history("a", "a", "x"), 1, "b1", time.Minute), "a", Start{Cause: late}},
		{"its time is over, and the own file was edited", waits(history("b", "a", "b"), 1, "b1", time.Minute), "c", Start{Cause: late}},
		{"the machine was restarted", waits(history("b", "a", "b"), 1, "b0", 2*time.Hour), "b", Start{Revision: 1, Cause: restarted}},
		{"the boot is not known", waits(history("b", "a", "b"), 1, "", 2*time.Hour), "b", Start{Revision: 1, Cause: restarted}},
		{"back to a revision that was no own file", waits(history("a", "a", "x", "y"), 2, "b0", 0), "a", Start{Revision: 2, Cause: restarted}},
	} {
		if err := tt.s.Validate(); err != nil {
			t.Errorf("%s: %v", tt.why, err)
		}
		if got := tt.s.Start(tt.own, now); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.why, got, tt.want)
		}
	}
}

// TestCounts: a reload takes the director's own files if they have changed.
func TestCounts(t *testing.T) {
	for _, tt := range []struct {
		s    State
		own  string
		want bool
	}{
		{State{}, "a", false}, {history("a", "a"), "a", false}, {history("a", "a"), "b", false},
		{history("a", "a", "x"), "a", true}, {history("a", "a", "x"), "b", false}, {history("b", "a", "b", "a"), "b", true},
	} {
		if got := tt.s.Counts(tt.own); got != tt.want {
			t.Errorf("%+v with %s: %t", tt.s, tt.own, got)
		}
	}
}

// TestKeeps: the last revisions are kept, in number and in bytes.
func TestKeeps(t *testing.T) {
	var s State
	for i := range 3 * Keep {
		s = s.Put(Revision{SHA256: fmt.Sprint(i), Size: 10}, "a")
	}
	if len(s.Revisions) != Keep || s.Revisions[0].Number != 2*Keep+1 || s.Current().Number != 3*Keep || len(s.Digests()) != Keep {
		t.Errorf("%d are kept, from %d to %d", len(s.Revisions), s.Revisions[0].Number, s.Current().Number)
	}
	again := s.Put(Revision{SHA256: s.Current().SHA256}, "b")
	if again.Current().Number != 3*Keep || again.Own != "b" || s.Own != "a" {
		t.Errorf("the same files again: %+v", again.Current())
	}
	s = s.Put(Revision{SHA256: "large", Size: MaxBytes - 50}, "a")
	if n := len(s.Revisions); n != 6 {
		t.Errorf("beside a large one, %d are kept", n)
	}
	s = s.Put(Revision{SHA256: "larger", Size: 2 * MaxBytes}, "a")
	if n := len(s.Revisions); n != 2 {
		t.Errorf("beside a too large one, %d are kept", n)
	}
	if s = s.Put(Revision{SHA256: "large", Size: MaxBytes - 50}, "a"); len(s.Revisions) != 2 {
		t.Errorf("back: %+v", s.Revisions)
	}
}

func TestBefore(t *testing.T) {
	s := history("a", "a", "b", "c", "b")
	for n, want := range map[int]int{2: 1, 3: 2, 4: 3} {
		if got, err := s.Before(n); err != nil || got.Number != want {
			t.Errorf("before %d: %d, %v", n, got.Number, err)
		}
	}
	if _, err := s.Before(1); err == nil {
		t.Error("before the first")
	}
	if _, err := s.Find(9); err == nil || err.Error() != "there is no revision 9: those from 1 to 4 are kept, see tandem config log" {
		t.Error(err)
	}
	if got := s.Since(2); len(got) != 2 || got[0].Number != 3 {
		t.Errorf("since 2: %+v", got)
	}
	if got := s.Since(4); len(got) != 0 {
		t.Errorf("since the last: %+v", got)
	}
}

func TestValidate(t *testing.T) {
	for why, s := range map[string]State{
		"a path":               history("a", "../../etc/passwd"),
		"no former":            waits(history("a", "a"), 7, "b", 0),
		"itself":               waits(history("a", "a"), 1, "b", 0),
		"numbers out of order": {Revisions: []Revision{{Number: 2, SHA256: "a"}, {Number: 1, SHA256: "b"}}},
	} {
		if s.Validate() == nil {
			t.Errorf("%s is accepted", why)
		}
	}
}

func TestDescribe(t *testing.T) {
	var r Revision
	r.Describe(slices.Repeat([]string{strings.Repeat("ä", 300)}, 30))
	if len(r.Lines) != maxLines || r.Changes != 30 || len([]rune(r.Lines[0])) != maxLine {
		t.Errorf("%d lines of %d", len(r.Lines), r.Changes)
	}
	r.Describe([]string{"a", "b", "c", "d", "e", "f"})
	if got := r.Summary(); got != "a; b; c; d; and 2 more" {
		t.Errorf("%q", got)
	}
	if got := (Revision{}).Summary(); got != "" {
		t.Errorf("%q", got)
	}
}
