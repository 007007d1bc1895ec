// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"slices"

	"github.com/tandem-lvs/tandem/lvs"
)

// MergeTables returns one change of the table that has the effect of two: waiting, and then next.
func MergeTables(waiting, next Table) Table {
	if next.Full {
		return next
	}
	set := make(map[lvs.ServiceID]int, len(waiting.Set))
	merged := Table{Generation: next.Generation, Full: waiting.Full, All: next.All, Set: slices.Clone(waiting.Set)}
	for i, e := range merged.Set {
		set[e.ServiceID] = i
	}
	gone := make(map[lvs.ServiceID]bool)
	for _, id := range waiting.Remove {
		gone[id] = true
	}
	for _, e := range next.Set {
		delete(gone, e.ServiceID)
		if i, ok := set[e.ServiceID]; ok {
			merged.Set[i] = e
			continue
		}
		set[e.ServiceID] = len(merged.Set)
		merged.Set = append(merged.Set, e)
	}
	for _, id := range next.Remove {
		gone[id] = true
	}
	merged.Set = slices.DeleteFunc(merged.Set, func(e lvs.Entry) bool { return gone[e.ServiceID] })
	if !merged.Full {
		merged.Remove = slices.SortedFunc(maps.Keys(gone), lvs.ServiceID.Compare)
	}
	return merged
}

// maxRecorded is the maximum number of events that wait for the disk.
const maxRecorded = 4096

// MergeRecorded makes one message of two. If there are too many events, the oldest are lost.
func MergeRecorded(waiting, next Recorded) Recorded {
	all := Recorded{Events: append(waiting.Events, next.Events...), Upto: next.Upto, Lost: waiting.Lost + next.Lost}
	if over := len(all.Events) - maxRecorded; over > 0 {
		all.Events = all.Events[over:]
		all.Lost += uint64(over)
	}
	return all
}
