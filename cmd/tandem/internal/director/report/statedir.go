// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// stateDirWarnings returns sentences about what a restart has forgotten or would forget, because the state directory does not work.
func stateDirWarnings(shot *core.Snapshot) (all []string) {
	dir := shot.StateDir
	for _, problem := range dir.Unread {
		all = append(all, "what an earlier run kept is not known: "+problem)
	}
	if dir.Unusable != "" {
		all = append(all, fmt.Sprintf("the state directory cannot be written: %s: a restart forgets what operators ordered; make %s writable and restart tandem",
			dir.Unusable, shot.Config.State.Dir))
	}
	for _, is := range dir.Unwritten {
		all = append(all, fmt.Sprintf("%s is not remembered: %s: a restart would forget it", contents(is.File), is.Problem))
	}
	if dir.Unowned != "" {
		all = append(all, "which IPVS services are ours is not remembered: "+dir.Unowned)
	}
	return all
}

// contents returns in words what a file of the state directory holds.
func contents(f core.File) string {
	switch f {
	case core.OverridesFile:
		return "what operators ordered about real servers"
	case core.StandbyFile:
		return "which virtual routers stand by on command"
	}
	return "which removed servers are draining"
}
