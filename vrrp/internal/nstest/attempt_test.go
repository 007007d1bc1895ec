// SPDX-License-Identifier: Apache-2.0

package nstest

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAttempt(t *testing.T) {
	var order []string
	note := func(what string) { order = append(order, what) }
	a := &attempt{TB: t}
	a.run(func(t testing.TB) {
		t.Cleanup(func() { note("first made") })
		t.Cleanup(func() {
			note("last made")
			t.Fatal("also", "here")
		})
		t.Errorf("%d of %d", 1, 2)
		t.FailNow()
		note("after the end")
	})
	if want := []string{"last made", "first made"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
	if !a.Failed() || len(a.failures) != 3 || !strings.HasPrefix(a.failures[0], "attempt_test.go:") ||
		!strings.HasSuffix(a.failures[0], ": 1 of 2") || !strings.HasSuffix(a.failures[2], ": also here") {
		t.Errorf("%q", a.failures)
	}
	if good := (&attempt{TB: t}); !good.Failed() {
		good.run(func(testing.TB) {})
		if good.Failed() {
			t.Error("a good attempt has failed")
		}
	}
}

// TestStallsCountWhileATestWatches: of a stall that began before, only the part since counts.
func TestStallsCountWhileATestWatches(t *testing.T) {
	outer := watchStalls()
	time.Sleep(10 * time.Millisecond)
	inner := watchStalls()
	note(time.Now(), time.Hour)
	total, longest := inner()
	if all, most := outer(); longest >= time.Minute || most >= time.Minute || most < longest+10*time.Millisecond || all < most || total < longest {
		t.Errorf("in all %s and %s, at most %s and %s", total, all, longest, most)
	}
}
