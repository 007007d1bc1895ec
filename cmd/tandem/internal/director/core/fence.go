// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A router with hooks that must succeed before a take-over claims the place of a silent master (vrrp.Status.Claim). All of its
// hooks are run at once, beside the queues of the other hooks, so that no other hook delays them. When all have succeeded, the claim is
// granted. If one fails, all are run again after a pause, as long as the claim lasts. A claim that ends is forgotten: what
// was started goes on, and its result counts for nothing.
//
// A sync group takes over only if all of its members can. While one of them still hears the master, the master serves, and only a wire
// between the two directors is cut: nobody is fenced then.

// maxFencePause is the longest pause between two attempts.
const maxFencePause = time.Minute

// fenceRun marks the IDs of these runs. Those of the queue are small.
const fenceRun uint64 = 1 << 63

// A fencing is what is done about the claim of one router.
type fencing struct {
	claim   uint64
	granted bool
	attempt int
	running map[uint64]hooks.Run // by ID
	problem string               // why the present attempt has failed; empty: it has not
	due     time.Time            // of the next attempt; zero: one is under way
}

// fencingHooks returns the hooks that must succeed before a router takes over.
func (s *State) fencingHooks(router string) (all []*configs.Hook) {
	for i := range s.cfg.Hooks {
		if h := &s.cfg.Hooks[i]; h.Before && slices.Contains(h.Routers, router) {
			all = append(all, h)
		}
	}
	return all
}

// seeClaims starts and ends what claims need.
func (s *State) seeClaims() {
	for _, r := range s.cfg.Routers {
		is := s.statusOf(r)
		f := s.fencings[r.Name]
		if is.Claim == 0 {
			if f != nil {
				s.endClaim(r.Name, f, is)
			}
			continue
		}
		if !s.groupCanTakeOver(r) {
			delete(s.fencings, r.Name)
			continue
		}
		if f == nil || f.claim != is.Claim {
			f = &fencing{claim: is.Claim, due: s.now}
			s.fencings[r.Name] = f
		}
		if !f.granted && !f.due.IsZero() && !s.now.Before(f.due) && s.hooks.leaving == nil {
			s.startFencing(r, is, f)
		}
	}
	for name := range s.fencings {
		if !slices.ContainsFunc(s.cfg.Routers, func(r configs.Router) bool { return r.Name == name }) {
			delete(s.fencings, name)
		}
	}
}

// groupCanTakeOver reports whether no other member of a router's sync group hears a master.
func (s *State) groupCanTakeOver(r configs.Router) bool {
	return r.SyncGroup == "" || !slices.ContainsFunc(s.cfg.Routers, func(o configs.Router) bool {
		is := s.statusOf(o)
		return o.Name != r.Name && o.SyncGroup == r.SyncGroup && is.Claim == 0 && !is.Ready && is.State != vrrp.Master
	})
}

// startFencing runs the hooks of a claim. If a reload has removed them, the claim is granted.
func (s *State) startFencing(r configs.Router, is vrrp.Status, f *fencing) {
	f.attempt++
	f.running, f.problem, f.due = make(map[uint64]hooks.Run), "", time.Time{}
	for _, h := range s.fencingHooks(r.Name) {
		s.lastFence++
		id := fenceRun | s.lastFence
		run := hooks.Run{ID: id, Hook: h, Event: s.routerEvent(r, is, configs.HookTakeover, is.Reason), Attempt: f.attempt}
		f.running[id] = run
		s.fenceRuns = append(s.fenceRuns, run)
		s.log(Info, "fencing the other director before the take-over", "router", r.Name, "hook", h.Name, "attempt", f.attempt)
	}
	if len(f.running) == 0 {
		s.grant(r.Name, f)
	}
}

// fenced takes the result of a run.
func (s *State) fenced(id uint64, r hooks.Result) {
	for name, f := range s.fencings {
		run, mine := f.running[id]
		if !mine {
			continue
		}
		delete(f.running, id)
		s.hooks.queue.Beside(run, r)
		hook := run.Hook.Name
		ev := api.Event{Kind: api.EventHook, On: api.OnRouter, Name: name, What: "fenced the other director by hook " + hook}
		if r.Problem != "" {
			f.problem = fmt.Sprintf("hook %s: %s", hook, r.Problem)
			ev.What, ev.Cause = "failed to fence the other director by hook "+hook, r.Problem
			s.log(Warn, "failed to fence the other director: this one does not take over", "router", name, "hook", hook,
				"attempt", f.attempt, "error", r.Problem)
		} else {
			s.log(Info, "the other director is fenced", "router", name, "hook", hook, "took", r.Took.Round(time.Millisecond))
		}
		s.record(ev)
		switch {
		case len(f.running) > 0:
		case f.problem == "":
			s.grant(name, f)
		default:
			f.due = s.now.Add(s.fencePause(name, f.attempt))
		}
	}
}

// fencePause returns the pause after a failed attempt.
func (s *State) fencePause(router string, attempt int) time.Duration {
	pause := time.Second
	for i, h := range s.fencingHooks(router) {
		if i == 0 || h.RetryPause > pause {
			pause = h.RetryPause
		}
	}
	return min(pause<<min(attempt-1, 16), max(pause, maxFencePause))
}

// grant lets the router take over.
func (s *State) grant(router string, f *fencing) {
	f.granted = true
	s.retrack[router] = true
}

// endClaim forgets a claim.
func (s *State) endClaim(router string, f *fencing, is vrrp.Status) {
	if len(f.running) > 0 {
		s.log(Warn, "a master is heard again while it is fenced", "router", router, "master", is.Master)
	}
	delete(s.fencings, router)
	s.retrack[router] = true
}

// addGrant adds the grant of a router's claim to its tracking.
func (s *State) addGrant(router string, t vrrp.Tracking) vrrp.Tracking {
	if f := s.fencings[router]; f != nil && f.granted {
		t.Granted = f.claim
	}
	return t
}

// fenceNext returns when seeClaims has something to do without an event.
func (s *State) fenceNext(sooner func(time.Time)) {
	if s.hooks.leaving != nil {
		return
	}
	for _, f := range s.fencings {
		sooner(f.due)
	}
}

// fenceTrouble says which routers do not take over because nobody could be fenced.
func (s *State) fenceTrouble() (all []string) {
	for _, r := range s.cfg.Routers {
		f := s.fencings[r.Name]
		if f == nil || f.granted || f.problem == "" && f.attempt < 2 {
			continue
		}
		why := f.problem
		if why == "" {
			why = "attempt " + fmt.Sprint(f.attempt) + " is under way: " + strings.Join(sortedNames(f.running), ", ")
		}
		all = append(all, fmt.Sprintf("%s: no master is heard, but this director does not take over, because the other one could not be fenced (%s): "+
			"mend the hook, or make sure that the other director is off and remove the hook from the file", r.Name, why))
	}
	return all
}

func sortedNames(m map[uint64]hooks.Run) (names []string) {
	for _, run := range m {
		names = append(names, run.Hook.Name)
	}
	slices.Sort(names)
	return names
}
