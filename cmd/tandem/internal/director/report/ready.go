// SPDX-License-Identifier: Apache-2.0

package report

import (
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A Readiness is the input of NotReady beside a snapshot.
type Readiness struct {
	TableWritten    bool // the IPVS table was written at least once
	ElectionRunning bool
}

// NotReady returns sentences about why a director could not serve clients now, as master or in the place of the master. It is empty
// if it could. A director in standby is ready: it takes over if nobody else can.
func NotReady(shot *core.Snapshot, is Readiness) (all []string) {
	if shot.Config == nil {
		return []string{"this director is starting: it has no configuration yet"}
	}
	all = stepBackWarnings(shot)
	if !is.TableWritten {
		all = append(all, "the IPVS table has not been written yet")
	}
	if len(shot.Config.Routers) == 0 {
		if shot.Unready {
			all = append(all, "the first results of the checks are not there yet")
		}
		return all
	}
	if !is.ElectionRunning {
		return append(all, "the election process does not run")
	}
	for _, r := range routerStatus(shot.Config.Routers, shot.Report) {
		if r.State == vrrp.Initialize.String() || r.State == vrrp.Fault.String() {
			all = append(all, "the virtual router "+r.Name+" is in state "+r.State+": "+r.Reason)
		}
	}
	return all
}
