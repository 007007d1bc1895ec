// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"
	"testing"
)

func TestDifferences(t *testing.T) {
	for _, tt := range []struct{ before, after, want string }{
		{"a b", "a b", ""},
		{"a b", "b a", ""},
		{"a b", "a", "-b"},
		{"b", "a b b", "+a +b"},
		{"b c b", "c b", "-b"},
		{"a c", "b c", "-a +b"},
		{"d a", "c b", "-d -a +c +b"},
		{"", "", ""},
	} {
		before, after := strings.Fields(tt.before), strings.Fields(tt.after)
		got := Differences(before, after)
		for i, line := range got {
			got[i] = strings.ReplaceAll(line, " ", "")
		}
		if !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%q and %q: %q, want %q", tt.before, tt.after, got, tt.want)
		}
		if strings.Join(before, " ") != tt.before || strings.Join(after, " ") != tt.after {
			t.Errorf("%q and %q were changed to %q and %q", tt.before, tt.after, before, after)
		}
	}
}
