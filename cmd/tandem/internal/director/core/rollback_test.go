// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/lvs"
)

// A rollback counts if it was done. If the former revision could not be loaded, the present one stays.
func TestRollbacksAreCounted(t *testing.T) {
	cfg := with(www(false, lvs.WeightZero))
	cfg.SHA256 = "bb"
	saved := revision.State{
		Revisions: []revision.Revision{{Number: 1, SHA256: "aa"}, {Number: 2, SHA256: "bb"}}, Own: "bb", Waiting: &revision.Waiting{Former: 1},
	}
	former := with(www(false, lvs.WeightZero))
	former.SHA256 = "aa"
	for _, c := range []struct {
		former *Loaded
		want   uint64
	}{{nil, 0}, {&Loaded{Config: former}, 1}} {
		s := New()
		s.Step(noon, Start{Config: cfg, Origin: &Origin{Saved: saved, Begin: revision.Start{Revision: 2, Left: time.Minute}, Former: c.former, Own: "bb"}})
		s.Step(noon, TableRead{})
		s.Step(noon.Add(time.Minute), Tick{})
		if got := s.Snapshot(noon.Add(time.Minute)).Revisions; got.RolledBack != c.want || got.Waiting != nil {
			t.Errorf("former %v: %d rollbacks are counted, want %d; waiting %v", c.former, got.RolledBack, c.want, got.Waiting)
		}
	}
}
