// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
)

// Each part of the state directory that does not work has its own sentence.
func TestStateDirWarnings(t *testing.T) {
	shot := &core.Snapshot{Config: &configs.Config{State: configs.State{Dir: "/var/lib/tandem"}}}
	if got := stateDirWarnings(shot); len(got) != 0 {
		t.Errorf("a state directory that works: %q", got)
	}
	shot.StateDir = core.StateDir{
		Unread: []string{"a.json is damaged"}, Unusable: "read-only file system", Unowned: "the disk does not answer",
		Unwritten: []core.UnwrittenFile{{File: core.OverridesFile, Problem: "no space left"}, {File: core.StandbyFile, Problem: "it hangs"},
			{File: core.DrainsFile, Problem: "it hangs"}},
	}
	want := []string{
		"what an earlier run kept is not known: a.json is damaged",
		"the state directory cannot be written: read-only file system: a restart forgets what operators ordered; make /var/lib/tandem writable and restart tandem",
		"what operators ordered about real servers is not remembered: no space left: a restart would forget it",
		"which virtual routers stand by on command is not remembered: it hangs: a restart would forget it",
		"which removed servers are draining is not remembered: it hangs: a restart would forget it",
		"which IPVS services are ours is not remembered: the disk does not answer",
	}
	if got := stateDirWarnings(shot); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for file, want := range map[core.HistoryFile]string{
		{Problem: "no space left"}:          "the latest events of the history are in memory only, a restart would lose them: no space left",
		{Problem: "no space left", Lost: 3}: "3 events are missing in the history, and the latest are in memory only: no space left",
		{Lost: 3}:                           "",
	} {
		shot.StateDir = core.StateDir{Unusable: "read-only", History: core.HistoryFile{Problem: "read-only"}}
		if got := stateDirWarnings(shot); len(got) != 1 {
			t.Errorf("one cause has %d sentences: %q", len(got), got)
		}
		shot.StateDir = core.StateDir{History: file}
		if got := strings.Join(stateDirWarnings(shot), "; "); got != want {
			t.Errorf("%+v: got %q, want %q", file, got, want)
		}
	}
}
