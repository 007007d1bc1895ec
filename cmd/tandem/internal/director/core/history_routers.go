// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// latestReport is the maximum age of a transition whose own time is taken. The clock may have been set meanwhile.
const latestReport = time.Minute

// A routerHistory is what the history last said of a virtual router.
type routerHistory struct {
	reason               string
	master               netip.Addr
	configured, priority uint8
	lowered              string // why the priority is lower than configured; empty: it is not
	offers               bool   // it offers its place
	offered              string // why it has offered its place; empty: it has not
	raised               string // why its priority has risen since the last transition; empty: it has not
	reconfigured         string // to what its configured priority has fallen since the last transition; empty: it has not
	left                 string // how it has left; empty: it has not
}

// recordRouter records what a report says about a virtual router. was is its state at the report before, and 0 at first. again
// says that it has had another state between the two.
func (s *State) recordRouter(r configs.Router, is vrrp.Status, was configs.HookEvent, again bool) {
	seen, known := s.history.routers[r.Name]
	now := routerHistory{
		reason: is.Reason, master: is.Master, configured: is.Priority, priority: is.EffectivePriority,
		offers: is.State == vrrp.Master && is.HandingOver, offered: seen.offered, raised: seen.raised, reconfigured: seen.reconfigured,
	}
	if now.priority < now.configured {
		now.lowered = s.lowering(r)
	}
	if now.lowered == "" && known && now.priority == seen.priority {
		now.lowered = seen.lowered // the cause is over, and the election has not acted yet
	}
	if now.lowered == "" && now.priority < now.configured && is.Tracking.Unclear {
		now.lowered = "the first results were not there yet"
	}
	ev := api.Event{Kind: api.EventTransition, On: api.OnRouter, Name: r.Name}
	what := hookStates[is.State]
	if what != was || again {
		ev.Time = s.timeOf(is) // also of a priority in the same report: no cause is later than what it causes
	}
	if known {
		s.recordPriority(ev, seen, &now)
	}
	switch {
	case now.offers && !seen.offers:
		why := is.Reason
		now.offered = " (" + why + ")"
		if is.Standby && s.handOver != nil {
			why = orderedFailover
			now.offered = ", because " + why
		}
		ev.What, ev.Cause = "offers its place to the peer", why
		s.record(ev)
	case seen.offers && !now.offers && is.State == vrrp.Master:
		ev.What, ev.Cause = "stays master", is.Reason
		s.record(ev)
		now.offered = ""
	case known && !again && what == was && now.reason != seen.reason && !now.offers:
		ev.What, ev.Cause, ev.Old, ev.New = "is still "+is.State.String(), is.Reason, is.State.String(), is.State.String()
		ev.Time = s.timeOf(is)
		s.record(ev)
	}
	if what != was || again {
		ev.Old, ev.New = vrrp.Initialize.String(), is.State.String()
		if was != 0 {
			ev.Old = was.String()
		}
		ev.What, ev.Cause = "became "+is.State.String(), s.transitionCause(is, was, seen.master, now)
		s.record(ev)
		now.offered, now.raised, now.reconfigured = "", "", ""
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

// recordPriority records a change of the priority in the election. ev names the router and the time.
func (s *State) recordPriority(ev api.Event, seen routerHistory, now *routerHistory) {
	if now.priority == seen.priority {
		return
	}
	cause := now.lowered
	switch {
	case cause == "" && seen.configured != now.configured:
		cause = fmt.Sprintf("the configured priority is %d instead of %d", now.configured, seen.configured)
		if now.configured < seen.configured {
			now.reconfigured = cause
		}
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
	ev.Kind, ev.What, ev.Cause = api.EventPriority, what, cause
	ev.Old, ev.New = fmt.Sprint(seen.priority), fmt.Sprint(now.priority)
	s.record(ev)
}

// transitionCause returns the cause of a transition: what the election says, and what is behind it.
// master is the one before.
func (s *State) transitionCause(is vrrp.Status, was configs.HookEvent, master netip.Addr, now routerHistory) string {
	switch {
	case was == configs.HookMaster && is.State != vrrp.Master && now.offered != "":
		return fmt.Sprintf("%s; %s had offered its place%s", is.Reason, s.cfg.Name, now.offered)
	case was == configs.HookMaster && is.State == vrrp.Backup && now.lowered != "":
		return fmt.Sprintf("%s; %s had priority %d instead of %d, because %s", is.Reason, s.cfg.Name, now.priority, now.configured, now.lowered)
	case was == configs.HookMaster && is.State == vrrp.Backup && now.reconfigured != "":
		return is.Reason + "; " + now.reconfigured
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
		add(orderedFailover)
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
	switch n := -s.probed[t.target].Streak; {
	case t.Probed() && n == 2:
		return t.Name + " failed twice: " + t.state.reason
	case t.Probed() && n > 2:
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

// recordMoment logs and records a time with two masters that is over. The zero moment is that of an election that was started
// again.
func (s *State) recordMoment(name string, m vrrp.Moment) {
	if m.Began.IsZero() {
		return
	}
	s.log(Warn, "there were two masters", "router", name, "other", m.Peer, "heard-for", m.Length.Round(time.Millisecond), "since", m.Began)
	s.record(api.Event{
		Kind: api.EventWarning, On: api.OnRouter, Name: name, What: "was not the only master",
		Cause: fmt.Sprintf("%s was heard as master for %s, until %s", m.Peer, m.Length.Round(time.Millisecond),
			m.Began.Add(m.Length).UTC().Format("15:04:05.000 MST")),
	})
}
