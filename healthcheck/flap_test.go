// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"strings"
	"testing"
	"time"
)

func TestFlapping(t *testing.T) {
	// One letter a second: c is a change, . is none. The line below says whether the target flaps then.
	for _, tt := range []struct {
		name    string
		flap    Flap
		seconds string
		want    string
	}{
		{"never, unless it is wanted", Flap{}, "cccccc", "......"},
		{"as often as that", Flap{Changes: 3, Window: 10 * time.Second}, "c.c.c.", "....FF"},
		{"not often enough", Flap{Changes: 3, Window: 4 * time.Second}, "c.c.c.", "......"},
		{"until the changes are too old", Flap{Changes: 2, Window: 3 * time.Second}, "cc...", ".FF.."},
		{"and again", Flap{Changes: 2, Window: 3 * time.Second}, "cc...cc", ".FF...F"},
		{"goes on", Flap{Changes: 2, Window: 3 * time.Second}, "ccccc..", ".FFFFF."},
	} {
		var f flapping
		got, turns := "", 0
		for i, letter := range tt.seconds {
			var turn FlapTurn
			f, turn = f.step(time.Unix(int64(i), 0), letter == 'c', tt.flap)
			if f.is {
				got += "F"
			} else {
				got += "."
			}
			if turn != 0 {
				turns++
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s gives %s, want %s", tt.name, tt.seconds, got, tt.want)
		}
		if want := strings.Count(got, ".F") + strings.Count(got, "F."); turns != want {
			t.Errorf("%s: %d turns told, want %d", tt.name, turns, want)
		}
	}
}
