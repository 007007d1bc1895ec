// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/configs"
)

// ordered is the cause of what a user's command did. The user may be unknown.
func ordered(by string) string { return cmp.Or(by, "an operator") + " ordered it" }

// logOrder logs what a user's command did.
func (s *State) logOrder(message, by string, pairs ...any) {
	if by != "" {
		pairs = append(pairs, "user", by)
	}
	s.log(Info, message, pairs...)
}

// orderedFailover is the cause of a standby.
const orderedFailover = "an operator ordered a failover"

// A HistoryStored is the result of writing the history to its file.
type HistoryStored struct {
	Upto    uint64 // the number of the last event that was written
	Lost    uint64 // events that are missing in the file, since the start
	Problem string // why the last write failed; empty: it succeeded
}

func (ev HistoryStored) on(s *State) {
	if is := s.history.stored; ev.Problem != "" && is.Problem == "" {
		s.log(Error, "failed to write the history", "error", ev.Problem)
	} else if ev.Problem == "" && is.Problem != "" {
		s.log(Info, "wrote the history again", "lost-events", ev.Lost)
	}
	s.history.stored = ev
}

// A HistoryLoaded says that the history of earlier processes was read.
type HistoryLoaded struct {
	// Killed is the time of the latest event of a director that did not stop. Zero: there was none, or it stopped.
	Killed time.Time
}

func (ev HistoryLoaded) on(s *State) {
	if s.cfg != nil && !ev.Killed.IsZero() {
		s.recordDirector(api.EventDirector, history.Followed,
			"it was killed, or the machine was; its latest event is of "+ev.Killed.Format(time.RFC3339))
	}
}

// A HistoryFile is how the file of the history is.
type HistoryFile struct {
	Problem string // why the latest events are not in the file; empty: they are
	Lost    uint64 // events that are missing in the file, since the start
}

// historyFile returns how the file of the history is.
func (s *State) historyFile(now time.Time) HistoryFile {
	h := s.history
	f := HistoryFile{Problem: h.stored.Problem, Lost: h.stored.Lost}
	if f.Problem == "" && h.stored.Upto < h.sent && now.Sub(h.since) >= storeTimeout {
		f.Problem = "the disk does not answer"
	}
	return f
}

// emitHistory puts the new events into the effects.
func (s *State) emitHistory() {
	h := &s.history
	events := slices.Clip(h.recorder.Take()) // two receivers append to it
	if len(events) == 0 {
		return
	}
	if h.stored.Upto == h.sent {
		h.since = s.now
	}
	h.sent += uint64(len(events))
	s.out.History = &Recorded{Events: events, Upto: h.sent}
}

// A historyState is what the history needs to know about the past.
type historyState struct {
	recorder *history.Recorder
	sent     uint64    // events
	since    time.Time // when the first of those that are not written was sent
	stored   HistoryStored
	routers  map[string]routerHistory
	repairs  map[string]uint64    // by interface
	asked    map[string]time.Time // the latest question who has the addresses of a silent master, by router
	reported []warning            // of the election's latest report
	warnings []warning            // that have begun
}

func newHistoryState() historyState {
	return historyState{
		recorder: new(history.Recorder), routers: make(map[string]routerHistory), repairs: make(map[string]uint64),
	}
}

// record adds an event to the history. The director, and the time if it is missing, are filled in.
func (s *State) record(ev api.Event) {
	if ev.Time.IsZero() {
		ev.Time = s.now
	}
	ev.Director = s.cfg.Name
	s.history.recorder.Add(ev)
}

// recordDirector records something about the director as a whole.
func (s *State) recordDirector(kind api.EventKind, what, cause string) {
	s.record(api.Event{Kind: kind, On: api.OnDirector, Name: s.cfg.Name, What: what, Cause: cause})
}

// recordRouters records a command about virtual routers.
func (s *State) recordRouters(names []string, what, by string) {
	for _, name := range names {
		s.record(api.Event{Kind: api.EventOrder, On: api.OnRouter, Name: name, What: what, Cause: ordered(by), By: by})
	}
}

// recordRepairs records what the election has repaired on the interfaces since the report before.
func (s *State) recordRepairs() {
	for _, i := range s.report.Interfaces {
		before, known := s.history.repairs[i.Name]
		s.history.repairs[i.Name] = i.Repairs
		if i.Repairs == 0 || known && i.Repairs <= before {
			continue
		}
		ev := api.Event{
			Kind: api.EventRepair, On: api.OnInterface, Name: i.Name, What: "has " + i.Repaired + " again",
			Cause: "somebody removed or changed it",
		}
		if n := i.Repairs - before; n > 1 {
			ev.What = fmt.Sprintf("has %d addresses, routes or rules again, %s the last of them", n, i.Repaired)
		}
		if vip, err := netip.ParsePrefix(i.Repaired); err == nil {
			if j := slices.IndexFunc(s.cfg.Routers, func(r configs.Router) bool { return slices.Contains(r.VIPs, vip) }); j >= 0 {
				ev.On, ev.Name = api.OnRouter, s.cfg.Routers[j].Name
			}
		}
		s.record(ev)
	}
}

// recordServer records an order, a verdict or a warning about a real server.
func (s *State) recordServer(kind api.EventKind, id, what, cause string) {
	s.record(api.Event{Kind: kind, On: api.OnServer, Name: id, What: what, Cause: cause})
}

// recordService records a change of a service as a whole.
func (s *State) recordService(svc *service, what, cause string) {
	s.record(api.Event{Kind: api.EventVerdict, On: api.OnService, Name: svc.Name, What: what, Cause: cause})
}

// recordNotice records what a hook was told, or why it was not.
func (s *State) recordNotice(n hooks.Notice) {
	s.record(api.Event{Kind: api.EventHook, On: n.Subject.Kind.String(), Name: n.Subject.Name, What: n.What, Cause: n.Cause})
}

// recordHealth records that a real server came up or went down. That it is up at first is not worth an event.
func (s *State) recordHealth(srv *server, what configs.HookEvent) {
	was := srv.recorded
	if srv.recorded = what; was == what || was == 0 && what == configs.HookServerUp {
		return
	}
	ev := api.Event{
		Kind: api.EventVerdict, On: api.OnServer, Name: srv.id, What: "is up", Cause: srv.verdict.Reason, Old: "up", New: "up",
	}
	if what == configs.HookServerDown {
		ev.What, ev.New = "is down", "down"
	} else {
		ev.Old = "down"
	}
	if was == 0 {
		ev.Old = ""
	}
	s.record(ev)
}

// recordTableRepairs records which changes of other programs were undone.
func (s *State) recordTableRepairs(ev TableDone) {
	for _, change := range ev.Repaired {
		s.recordDirector(api.EventRepair, "repaired the IPVS table", "somebody changed it: "+change)
	}
	if more := ev.Repairs - len(ev.Repaired); more > 0 {
		s.recordDirector(api.EventRepair, fmt.Sprintf("repaired the IPVS table in %d more places", more), "somebody changed it")
	}
}
