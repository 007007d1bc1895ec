// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// showSyncWaits adds to the rows of virtual routers how they wait for the connections of the other director.
func showSyncWaits(rows []api.Router, shot *core.Snapshot) {
	for i := range rows {
		for _, r := range shot.Config.Routers {
			if r.Name == rows[i].Name && r.PreemptSyncLimit > 0 {
				rows[i].PreemptSyncLimit, rows[i].PreemptSyncOverruns = r.PreemptSyncLimit.String(), shot.SyncOverruns[r.Name]
			}
		}
		for _, w := range shot.SyncWaits {
			if w.Router == rows[i].Name {
				rows[i].Waits = &api.SyncWait{Since: w.Since, Until: w.Until, Known: w.Known, Have: w.Have, Of: w.Of, Text: syncWaitText(w)}
			}
		}
	}
}

// syncWaitText says how a virtual router waits.
func syncWaitText(w core.SyncWait) string {
	switch {
	case w.Known:
		return fmt.Sprintf("waits for connections: %d of %d", w.Have, w.Of)
	case w.Blind:
		return "waits for connections: " + w.Missing + ": only preempt_sync_limit counts"
	}
	return "waits for connections: " + w.Missing
}
