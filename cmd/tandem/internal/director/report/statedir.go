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
	if dir.Unusable != "" && dir.History.Lost == 0 {
		return all // one sentence about the directory is enough
	}
	return append(all, historyWarnings(dir.History)...)
}

// stateDirFails reports whether something that a restart needs is not on the disk.
func stateDirFails(dir core.StateDir) bool {
	return dir.Unusable != "" || len(dir.Unwritten) > 0 || dir.Unowned != "" || dir.History.Problem != ""
}

// historyWarnings returns a sentence if the history is not complete.
func historyWarnings(file core.HistoryFile) []string {
	lost := ""
	if file.Lost > 0 {
		lost = fmt.Sprintf("%d events are missing in the history", file.Lost)
	}
	switch {
	case file.Problem != "" && lost != "":
		return []string{lost + ", and the latest are in memory only: " + file.Problem}
	case file.Problem != "":
		return []string{"the latest events of the history are in memory only, a restart would lose them: " + file.Problem}
	}
	return nil // the file itself names what it lost
}

// contents returns in words what a file of the state directory holds.
func contents(f core.File) string {
	switch f {
	case core.OverridesFile:
		return "what operators ordered about real servers"
	case core.StandbyFile:
		return "which virtual routers stand by on command"
	case core.RevisionsFile:
		return "which configuration is in force, and which ones were,"
	}
	return "which removed servers are draining"
}
