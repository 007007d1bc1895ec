// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// TestScheduledDrills: drills are made in their order, by the command. What was not made is said, with the reason.
func TestScheduledDrills(t *testing.T) {
	exit := errors.New("exit status 2")
	for _, c := range []struct {
		what    string
		budget  time.Duration
		outputs []string
		errs    []error
		ran     int
		want    []core.SkippedDrill
	}{
		{"all pass", time.Second, []string{`[{"kind":"failover","passed":true}]`, `[{"kind":"freeze","passed":true}]`}, []error{nil, nil}, 2, nil},
		{"the first fails", -1, []string{`[{"kind":"failover","failures":["x"]}]`}, []error{exit}, 1,
			[]core.SkippedDrill{{Kind: "freeze", Why: "the drill failover before it did not pass"}}},
		{"the first is refused", -1, []string{`[{"kind":"failover","refused":["there is no peer","y"]}]`}, []error{exit}, 1,
			[]core.SkippedDrill{{Kind: "failover", Why: "there is no peer; y"}, {Kind: "freeze", Why: "the drill failover before it did not pass"}}},
		{"it cannot be run", -1, []string{"", ""}, []error{exit}, 1,
			[]core.SkippedDrill{{Kind: "failover", Why: "tandem drill failed: exit status 2"}, {Kind: "freeze", Why: "the drill failover before it did not pass"}}},
	} {
		var lines []string
		w := &Drills{Command: func(_ context.Context, args ...string) ([]byte, error) {
			lines = append(lines, strings.Join(args, " "))
			return []byte(c.outputs[len(lines)-1]), c.errs[len(lines)-1]
		}}
		ended := w.make(t.Context(), core.DrillRun{Kinds: []string{"failover", "freeze"}, Budget: c.budget, File: "/x.toml", Socket: "/x.sock"})
		if !slices.Equal(ended.Skipped, c.want) || len(lines) != c.ran {
			t.Errorf("%s: skipped %q after %q", c.what, ended.Skipped, lines)
		}
		want := "drill failover --json --scheduled --config /x.toml --socket /x.sock"
		if c.budget >= 0 {
			want += " --budget 1s"
		}
		if lines[0] != want {
			t.Errorf("%s: ran %s", c.what, lines[0])
		}
	}
}

// TestDrillsEnd: a drill under way does not keep the director from leaving.
func TestDrillsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	posted := make(chan core.Event, 1)
	w := &Drills{
		Post: func(ev core.Event) { posted <- ev }, In: NewMailbox[core.DrillRun](),
		Command: func(ctx context.Context, _ ...string) ([]byte, error) {
			cancel()
			<-ctx.Done()
			return nil, errors.New("the director is leaving")
		},
	}
	w.In.Put(core.DrillRun{Kinds: []string{"failover"}, Budget: -1})
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(<-posted); got != "{[{failover tandem drill failed: the director is leaving}]}" {
		t.Error(got)
	}
}
