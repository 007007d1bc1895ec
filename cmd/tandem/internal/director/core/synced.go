// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A virtual router with preempt = "synced" does not preempt before this director has the connections of the other one: those that the
// kernel's connection sync has not copied end when the VIPs move. So both directors count their established connections, for each
// real server, as long as one of them waits. The election does the waiting (vrrp.Tracking.Unsynced): it goes on only while a master is
// heard that can serve.
//
// The kernel copies a connection when a packet of it passes. A connection without packets is not copied, and short ones are over before
// they are. So a router does not wait for ever: it preempts when all connections are there; or when few are missing, and their number has
// not fallen for a while, because these are the newest ones; or after preempt_sync_limit. If the other director cannot be asked, or
// is of an older version, only the limit counts.

const (
	// Of few missing connections there is no more than one in fewOf, and their number has not fallen for fewFor.
	fewOf  = 50
	fewFor = 5 * time.Second
	// tellsWithin is the time in which both directors usually have counted.
	tellsWithin = 5 * time.Second
)

// A syncState is what is known about the connections of both directors.
type syncState struct {
	waits   map[witnessOwner]*syncWait // of virtual routers, or of their sync groups
	scopes  map[*service]syncScope
	counts  int    // the waits under way
	asked   bool   // the other director waits, and wants to know our numbers
	askedAt uint64 // the number of the latest tally then
	here    tally  // in the kernel's table of this machine
	there   tally  // as the other director tells
	tallies uint64
}

// A syncWait is how a virtual router, or its sync group, waits for the connections of the other director.
type syncWait struct {
	owner    witnessOwner
	members  []configs.Router
	since    time.Time // zero: it does not
	from     uint64    // the number of the latest tally then
	limit    time.Duration
	open     bool      // it waits no longer, and may preempt
	compared [2]uint64 // the numbers of the tallies that have and of are from; 0: none yet
	have, of int
	fewest   int // missing connections so far
	fell     time.Time
	overrun  uint64 // how often the limit was over
}

// syncOwner returns who waits for connections: a virtual router, or its sync group.
func syncOwner(r configs.Router) witnessOwner {
	if r.SyncGroup != "" {
		return witnessOwner{group: r.SyncGroup}
	}
	return witnessOwner{router: r.Name}
}

// adoptSyncWaits follows the configuration. A wait that is under way goes on.
func (s *State) adoptSyncWaits() {
	before := s.syncs.waits
	s.syncs.waits, s.syncs.scopes = make(map[witnessOwner]*syncWait), nil
	for _, r := range s.cfg.Routers {
		owner := syncOwner(r)
		w := s.syncs.waits[owner]
		if w == nil && r.PreemptSyncLimit > 0 {
			if w = before[owner]; w == nil {
				w = &syncWait{owner: owner}
			}
			s.syncs.waits[owner], w.limit, w.members = w, 0, s.syncMembers(owner)
		}
		if w != nil {
			w.limit = max(w.limit, r.PreemptSyncLimit)
		}
	}
	if len(s.syncs.waits) > 0 {
		s.adoptSyncScopes()
	}
}

// syncMembers returns the virtual routers that wait together.
func (s *State) syncMembers(owner witnessOwner) (all []configs.Router) {
	for _, r := range s.cfg.Routers {
		if syncOwner(r) == owner {
			all = append(all, r)
		}
	}
	return all
}

// addSync adds to the tracking of a router that it must wait.
func (s *State) addSync(r configs.Router, t vrrp.Tracking) vrrp.Tracking {
	if w := s.syncs.waits[syncOwner(r)]; w != nil {
		t.Unsynced = !w.open
	}
	return t
}

// seeSyncWaits begins and ends the waits.
func (s *State) seeSyncWaits() {
	if !s.peer.on || !s.peer.both() {
		s.syncs.asked, s.syncs.there = false, tally{}
	}
	s.syncs.counts = 0
	if len(s.syncs.waits) == 0 {
		return
	}
	for _, r := range s.cfg.Routers {
		w := s.syncs.waits[syncOwner(r)]
		if w == nil || w.members[0].Name != r.Name {
			continue
		}
		held, preempts := false, false
		for _, m := range w.members {
			is := s.statusOf(m)
			held, preempts = held || is.Held, preempts || is.Preempts
		}
		switch {
		case !preempts && !w.since.IsZero():
			s.endSyncWait(w)
		case held && !w.open && w.since.IsZero():
			s.beginSyncWait(w)
		}
		if w.waits() {
			s.judgeSyncWait(w)
		}
		if w.waits() {
			s.syncs.counts++
		}
	}
}

// known reports whether have and of are known.
func (w *syncWait) known() bool { return w.compared[0] > 0 }

func (w *syncWait) waits() bool { return !w.since.IsZero() && !w.open }

func (s *State) beginSyncWait(w *syncWait) {
	w.since, w.from, w.compared, w.have, w.of, w.fewest = s.now, s.syncs.tallies, [2]uint64{}, 0, 0, 0
	s.peer.urgent = true
	s.log(Info, "waits for the connections of the other director before it takes over", "router", w.members[0].Name, "limit", w.limit)
	s.recordSync(w, "waits for the connections of "+s.peerName()+" before it takes over",
		fmt.Sprintf("preempt is \"synced\", and preempt_sync_limit is %s", w.limit))
}

// endSyncWait forgets a wait: the router is master, or there is no master any more that it would preempt.
func (s *State) endSyncWait(w *syncWait) {
	if !w.open && s.statusOf(w.members[0]).State != vrrp.Master {
		s.log(Info, "waits no longer for the connections of the other director: no master of lower priority is heard", "router", w.members[0].Name)
		s.recordSync(w, "waits no longer for the connections of "+s.peerName(), "no master of lower priority is heard")
	}
	*w = syncWait{owner: w.owner, members: w.members, limit: w.limit, overrun: w.overrun}
	s.peer.stale = true
	s.retrackMembers(w)
}

func (s *State) retrackMembers(w *syncWait) {
	for _, r := range w.members {
		s.retrack[r.Name] = true
	}
}

// judgeSyncWait ends the waiting when the connections are there, or when the time is over.
func (s *State) judgeSyncWait(w *syncWait) {
	s.compareTables(w)
	missing, over := w.of-w.have, !s.now.Before(w.since.Add(w.limit))
	took := s.now.Sub(w.since).Round(time.Millisecond)
	switch {
	case w.known() && (missing == 0 || w.few() && !s.now.Before(w.fell.Add(fewFor))):
		s.log(Info, "has the connections of the other director: takes over", "router", w.members[0].Name, "have", w.have, "of", w.of, "took", took)
		s.recordSync(w, "has the connections of "+s.peerName()+", and takes over", fmt.Sprintf("%d of %d, after %s", w.have, w.of, took))
	case over:
		w.overrun++
		why := s.missing(w)
		s.log(Warn, "takes over without all connections of the other director: preempt_sync_limit is over", "router", w.members[0].Name,
			"limit", w.limit, "reason", why)
		s.recordSync(w, "takes over without all connections of "+s.peerName(), fmt.Sprintf("preempt_sync_limit, %s, is over: %s", w.limit, why))
	default:
		return
	}
	w.open, s.peer.stale = true, true
	s.retrackMembers(w)
}

// few reports whether so few connections are missing that they may be the newest ones.
func (w *syncWait) few() bool { return (w.of-w.have)*fewOf <= w.of }

// missing says what is missing, or why that is not known.
func (s *State) missing(w *syncWait) string {
	_, lost := s.peer.lost()
	switch {
	case w.known():
		return fmt.Sprintf("%d of %d connections", w.have, w.of)
	case lost != "":
		return fmt.Sprintf("there is no channel to %s (%s), so its connections are not known", s.peerName(), lost)
	case s.now.Before(w.since.Add(tellsWithin)):
		return "they are not counted yet"
	case s.syncs.there.number <= w.from:
		return s.peerName() + " does not tell its connections; an older version of tandem does not"
	}
	return "the connections of this director could not be counted"
}

// peerWaits returns for the other director which virtual routers wait for its connections.
func (s *State) peerWaits() map[string]*message.Waits {
	all := make(map[string]*message.Waits)
	for _, w := range s.SyncWaits() {
		all[w.Router] = &message.Waits{Have: w.Have, Of: w.Of}
	}
	return all
}

// syncNext returns when a wait ends without an event.
func (s *State) syncNext(sooner func(time.Time)) {
	for _, w := range s.syncs.waits {
		if !w.waits() {
			continue
		}
		sooner(w.since.Add(w.limit))
		if w.known() && w.few() {
			sooner(w.fell.Add(fewFor))
		}
	}
}

// recordSync records something about virtual routers that wait.
func (s *State) recordSync(w *syncWait, what, cause string) {
	for _, r := range w.members {
		s.record(api.Event{Kind: api.EventTransition, On: api.OnRouter, Name: r.Name, What: what, Cause: cause})
	}
}

// A SyncWait says how a virtual router waits for the connections of the other director.
type SyncWait struct {
	Router       string
	Since, Until time.Time
	Known        bool // Have and Of are
	Have, Of     int
	Missing      string // in words; or why it is not known
	Blind        bool   // it is not known, and will probably not be: only the limit counts
}

// SyncWaits are the virtual routers that wait, in the order of the file.
func (s *State) SyncWaits() (all []SyncWait) {
	for _, r := range s.cfg.Routers {
		if w := s.syncs.waits[syncOwner(r)]; w != nil && w.waits() {
			all = append(all, SyncWait{
				Router: r.Name, Since: w.since, Until: w.since.Add(w.limit), Known: w.known(), Have: w.have, Of: w.of, Missing: s.missing(w),
				Blind: !w.known() && (s.now.Sub(w.since) >= tellsWithin || !s.peer.both()),
			})
		}
	}
	return all
}

// syncOverruns counts for each virtual router with preempt = "synced" how often preempt_sync_limit was over.
func (s *State) syncOverruns() map[string]uint64 {
	all := make(map[string]uint64)
	for _, w := range s.syncs.waits {
		for _, r := range w.members {
			all[r.Name] = w.overrun
		}
	}
	return all
}

// handOverNotes says which connections end when virtual routers are handed over, because the other director still waits for them.
func (s *State) handOverNotes(names []string) (all []string) {
	if v := s.peer.view; v != nil && s.peer.on && s.peer.both() {
		for _, r := range v.Routers {
			switch w := r.Waits; {
			case w == nil || !slices.Contains(names, r.Name):
			case w.Of == 0:
				all = append(all, fmt.Sprintf("%s: it is not known how many connections %s has: those that it does not have end", r.Name, s.peerName()))
			default:
				all = append(all, fmt.Sprintf("%s: %s has %d of %d connections: the other ones end", r.Name, s.peerName(), w.Have, w.Of))
			}
		}
	}
	return all
}
