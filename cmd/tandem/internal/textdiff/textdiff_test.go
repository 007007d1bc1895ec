// SPDX-License-Identifier: Apache-2.0

package textdiff

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestUnified(t *testing.T) {
	for _, tt := range []struct{ why, before, after, want string }{
		{"the same", "a\nb\n", "a\nb\n", ""},
		{"one line", "a\nb\nc\n", "a\nx\nc\n", "--- old\n+++ new\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"},
		{"from nothing", "", "a\n", "--- old\n+++ new\n@@ -0,0 +1,1 @@\n+a\n"},
		{"to nothing", "a\n", "", "--- old\n+++ new\n@@ -1,1 +0,0 @@\n-a\n"},
		{"the end of the last line", "a", "a\n", "--- old\n+++ new\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n"},
		{"two places", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n", "1\nx\n3\n4\n5\n6\n7\n8\n9\n10\n11\ny\n12\n",
			"--- old\n+++ new\n@@ -1,5 +1,5 @@\n 1\n-2\n+x\n 3\n 4\n 5\n@@ -9,4 +9,5 @@\n 9\n 10\n 11\n+y\n 12\n"},
	} {
		if got := Unified("old", "new", tt.before, tt.after); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.why, got, tt.want)
		}
	}
}

// TestEdits: the edits make one text out of the other, also when the texts differ too much.
func TestEdits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(n, words int) (all []string) {
		for range n {
			all = append(all, fmt.Sprint(r.IntN(words)))
		}
		return all
	}
	for i := range 300 {
		a, b := text(r.IntN(30), 5), text(r.IntN(30), 5)
		if i == 0 {
			a, b = text(maxEdits, 1e9), text(maxEdits, 1e9)
		}
		var before, after []string
		for _, e := range compare(a, b) {
			if e.sign != '+' {
				before = append(before, e.line)
			}
			if e.sign != '-' {
				after = append(after, e.line)
			}
		}
		if strings.Join(before, " ") != strings.Join(a, " ") || strings.Join(after, " ") != strings.Join(b, " ") {
			t.Fatalf("%v to %v became %v to %v", a, b, before, after)
		}
	}
}
