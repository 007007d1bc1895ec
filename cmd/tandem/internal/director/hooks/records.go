// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

// Records are what the hooks of each subject were told last. They are kept over restarts.
type Records map[string]Record

// A Record is about one subject.
type Record struct {
	State string `json:"state"` // the latest event that is a state
	// Told has the state that each hook was told last, by its name. It is empty while a hook is told, and after it has failed.
	Told map[string]string `json:"told,omitempty"`
}

// Validate refuses records that make no sense.
func (r Records) Validate() error {
	for name, is := range r {
		if _, ok := subjectOf(name); !ok {
			return fmt.Errorf("%q is no subject of hooks", name)
		}
		if eventOf(is.State) == 0 {
			return fmt.Errorf("%q is no event", is.State)
		}
	}
	return nil
}

// subjectOf is the inverse of Subject.String.
func subjectOf(text string) (Subject, bool) {
	kind, name, _ := strings.Cut(text, " ")
	for k := Router; k <= Director; k++ {
		if k.String() == kind && name != "" {
			return Subject{k, name}, true
		}
	}
	return Subject{}, false
}

// Changed tells whether the records have changed since the last call of Records: those of virtual routers, and those of
// services and servers.
func (q *Queue) Changed() (routers, services bool) {
	return q.dirty[routerClass], q.dirty[serviceClass]
}

// Records returns what a restart needs.
func (q *Queue) Records() Records {
	all := make(Records, len(q.lines)+len(q.records))
	for name, r := range q.records {
		all[name] = r
	}
	for s, l := range q.lines {
		if l.state.What == 0 || l.gone {
			continue
		}
		r := Record{State: l.state.What.String(), Told: make(map[string]string, len(l.told))}
		for hook, told := range l.told {
			r.Told[hook] = ""
			if told != 0 {
				r.Told[hook] = told.String()
			}
		}
		all[s.String()] = r
	}
	q.dirty = [classes]bool{}
	return all
}

// A Stat is what a hook has done since the director started.
type Stat struct {
	Hook              *configs.Hook
	Running           int    // now, of all subjects
	Waiting           int    // events that wait
	Failing           int    // subjects whose latest event the hook was not told, although all attempts were made
	Succeeded, Failed uint64 // runs
	Superseded        uint64 // events that were not told, because a newer one came first
	Last, LastFailure *Ended // runs; nil: none
	GivenUp           *Ended // the last failure that was not tried again
}

// An Ended is a run that has ended.
type Ended struct {
	Subject
	What    configs.HookEvent
	Attempt int
	Result
}

// Stats returns the stats of all hooks, in the order of the file.
func (q *Queue) Stats() []Stat {
	all := make([]Stat, 0, len(q.hooks))
	for _, h := range q.hooks {
		all = append(all, *q.stats[h.Name])
	}
	return all
}

// stat returns the stat of a hook. A hook that was removed has one that nobody sees.
func (q *Queue) stat(h *configs.Hook) *Stat {
	if is := q.stats[h.Name]; is != nil {
		return is
	}
	return &Stat{Hook: h}
}

// setFailed records whether a hook has failed for a subject.
func (q *Queue) setFailed(l *line, name string, failed bool) {
	if l.failed[name] == failed {
		return
	}
	by := -1
	if failed {
		l.failed[name], by = true, 1
	} else {
		delete(l.failed, name)
	}
	if is := q.stats[name]; is != nil {
		is.Failing += by
	}
}
