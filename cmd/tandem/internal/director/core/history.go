// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// byOperator is the cause of what a command did.
const byOperator = "an operator ordered it"

// latestReport is the maximum age of a transition whose own time is taken. The clock may have been set meanwhile.
const latestReport = time.Minute

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
		s.recordDirector(api.EventDirector, "follows a director that did not stop",
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
	repairs  map[string]uint64 // by interface
	reported []warning         // of the election's latest report
	warnings []warning         // that have begun
}

func newHistoryState() historyState {
	return historyState{
		recorder: new(history.Recorder), routers: make(map[string]routerHistory), repairs: make(map[string]uint64),
	}
}

// A routerHistory is what the history last said of a virtual router.
type routerHistory struct {
	reason               string
	master               netip.Addr
	configured, priority uint8
	lowered              string // why the priority is lower than configured; empty: it is not
	offers               bool   // it offers its place
	offered              string // why it has offered its place; empty: it has not
	raised               string // why its priority has risen since the last transition; empty: it has not
	left                 string // how it has left; empty: it has not
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
func (s *State) recordRouters(names []string, what string) {
	for _, name := range names {
		s.record(api.Event{Kind: api.EventOrder, On: api.OnRouter, Name: name, What: what, Cause: byOperator})
	}
}

// recordRouter records what a report says about a virtual router. was is its state at the report before, and 0 at first. again
// says that it has had another state between the two.
func (s *State) recordRouter(r configs.Router, is vrrp.Status, was configs.HookEvent, again bool) {
	seen, known := s.history.routers[r.Name]
	now := routerHistory{
		reason: is.Reason, master: is.Master, configured: is.Priority, priority: is.EffectivePriority, offers: is.State == vrrp.Master && is.HandingOver,
		offered: seen.offered, raised: seen.raised,
	}
	if now.priority < now.configured {
		now.lowered = s.lowering(r)
	}
	if now.lowered == "" && known && now.priority == seen.priority {
		now.lowered = seen.lowered // the cause is over, and the election has not acted yet
	}
	ev := api.Event{Kind: api.EventTransition, On: api.OnRouter, Name: r.Name, Time: s.timeOf(is)}
	if known {
		s.recordPriority(r, seen, &now)
	}
	switch {
	case now.offers && !seen.offers:
		now.offered = " (" + is.Reason + ")"
		if now.lowered != "" {
			now.offered = ", because " + now.lowered
		}
		offer := ev
		offer.Time, offer.What, offer.Cause = s.now, "offers its place to the peer", cmp.Or(now.lowered, is.Reason)
		s.record(offer)
	case seen.offers && !now.offers && is.State == vrrp.Master:
		stays := ev
		stays.Time, stays.What, stays.Cause = s.now, "stays master", is.Reason
		s.record(stays)
		now.offered = ""
	case known && !again && hookStates[is.State] == was && now.reason != seen.reason && !now.offers:
		ev.What, ev.Cause, ev.Old, ev.New = "is still "+is.State.String(), is.Reason, is.State.String(), is.State.String()
		s.record(ev)
	}
	if what := hookStates[is.State]; what != was || again {
		ev.Old, ev.New = vrrp.Initialize.String(), is.State.String()
		if was != 0 {
			ev.Old = was.String()
		}
		ev.What, ev.Cause = "became "+is.State.String(), s.transitionCause(is, was, seen.master, now)
		s.record(ev)
		now.offered, now.raised = "", ""
	}
	s.history.routers[r.Name] = now
}

// timeOf returns when a router's latest transition was.
func (s *State) timeOf(is vrrp.Status) time.Time {
	if is.Since.IsZero() || is.Since.After(s.now) || s.now.Sub(is.Since) > latestReport {
		return s.now
	}
	return is.Since
}

// recordPriority records a change of the priority in the election.
func (s *State) recordPriority(r configs.Router, seen routerHistory, now *routerHistory) {
	if now.priority == seen.priority {
		return
	}
	cause := now.lowered
	switch {
	case cause == "" && seen.configured != now.configured:
		cause = fmt.Sprintf("the configured priority is %d instead of %d", now.configured, seen.configured)
	case cause == "" && seen.lowered != "":
		cause = "over: " + seen.lowered
	}
	if now.priority > seen.priority {
		now.raised = fmt.Sprintf("its priority rose from %d to %d", seen.priority, now.priority)
		if cause != "" {
			now.raised += " (" + cause + ")"
		}
	}
	what := fmt.Sprintf("has priority %d", now.priority)
	if now.priority != now.configured {
		what += fmt.Sprintf(" instead of %d", now.configured)
	}
	s.record(api.Event{
		Kind: api.EventPriority, On: api.OnRouter, Name: r.Name, What: what, Cause: cause,
		Old: fmt.Sprint(seen.priority), New: fmt.Sprint(now.priority),
	})
}

// transitionCause returns the cause of a transition: what the election says, and what is behind it.
// master is the one before.
func (s *State) transitionCause(is vrrp.Status, was configs.HookEvent, master netip.Addr, now routerHistory) string {
	switch {
	case was == configs.HookMaster && is.State != vrrp.Master && now.offered != "":
		return fmt.Sprintf("%s; %s had offered its place%s", is.Reason, s.cfg.Name, now.offered)
	case was == configs.HookMaster && is.State == vrrp.Backup && now.lowered != "":
		return fmt.Sprintf("%s; %s had priority %d instead of %d, because %s", is.Reason, s.cfg.Name, now.priority, now.configured, now.lowered)
	case is.State == vrrp.Master && now.raised != "" && master.IsValid(): // without a master, any priority would do
		return is.Reason + "; " + now.raised
	}
	return is.Reason
}

// lowering returns why the priority of a virtual router is lower than configured. A sync group adds up what its members track.
func (s *State) lowering(r configs.Router) string {
	var why []string
	add := func(text string) {
		if !slices.Contains(why, text) {
			why = append(why, text)
		}
	}
	if slices.Contains(s.standby, r.Name) {
		add("an operator ordered a failover")
	}
	isolated := s.isolated()
	for _, member := range s.cfg.Routers {
		if member.Name != r.Name && (r.SyncGroup == "" || member.SyncGroup != r.SyncGroup) {
			continue
		}
		for _, t := range s.tracks {
			switch {
			case t.Router != member.Name:
			case t.state.trackStatus == unknown:
				add("the result of " + t.Name + " is not there yet")
			case t.state.trackStatus == failing && t.Weight != 0:
				add(s.failure(t))
			}
		}
		for _, t := range member.TrackInterfaces {
			if fault := s.report.Links[t.Interface]; fault != "" && t.Weight != 0 {
				add(fault)
			}
		}
		if r.SyncGroup != "" && slices.Contains(isolated, member.Interface) {
			add("no other machine answers on " + member.Interface)
		}
	}
	for _, c := range s.stepBackCauses() {
		add(c)
	}
	if !s.readiness.ready {
		add("the first results of the checks are not there yet")
	}
	return strings.Join(why, ", and ")
}

// failure says how a track fails.
func (s *State) failure(t track) string {
	switch n := -s.scripts[t.script].Streak; {
	case t.Kind == configs.TrackScript && n == 2:
		return t.Name + " failed twice: " + t.state.reason
	case t.Kind == configs.TrackScript && n > 2:
		return fmt.Sprintf("%s failed %d times in a row: %s", t.Name, n, t.state.reason)
	case t.Kind == configs.TrackFile:
		return t.Name + " has the number " + t.state.reason
	}
	return t.Name + ": " + t.state.reason
}

// stepBackCauses returns why this director steps back, except for what it does not know yet and for its interfaces.
func (s *State) stepBackCauses() (all []string) {
	switch {
	case s.silence.on && s.silence.cutOff:
		all = append(all, "no real server answers this director, and no neighbour on the way to them")
	case s.silence.on:
		all = append(all, "no real server answers this director")
	case s.stepsBackForServers, s.allDown:
		all = append(all, "every real server that is checked fails its checks")
	}
	if s.trouble != "" {
		all = append(all, "the kernel's IPVS table is not in line: "+strings.ReplaceAll(s.trouble, "\n", "; "))
	}
	return all
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

// contests are what hooks hear of another master, in words.
var contests = map[configs.HookEvent]string{
	configs.HookContested: "hears another master", configs.HookContestOver: "hears no other master any more",
}

// noteLeft keeps how a virtual router has left: soon it is not in the reports any more.
func (s *State) noteLeft(is vrrp.Status) {
	if seen, ok := s.history.routers[is.Name]; ok {
		seen.left = is.Reason
		s.history.routers[is.Name] = seen
	}
}

// recordStop records the end of a virtual router.
func (s *State) recordStop(name string, was configs.HookEvent, why string) {
	if left := s.history.routers[name].left; left != "" {
		why += "; " + left
	}
	s.record(api.Event{
		Kind: api.EventTransition, On: api.OnRouter, Name: name, What: "stopped", Cause: why, Old: was.String(), New: vrrp.Initialize.String(),
	})
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
