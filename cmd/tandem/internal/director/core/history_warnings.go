// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// A warning is something that is not as it should be, and lasts.
type warning struct {
	on, name string
	what     string // it begins and ends with these words
	cause    string // may change meanwhile
}

func (w warning) same(other warning) bool {
	return w.on == other.on && w.name == other.name && w.what == other.what
}

// seeReportedWarnings reads the warnings of the election's latest report.
func (s *State) seeReportedWarnings() {
	all := s.history.reported[:0]
	for _, r := range s.report.Routers {
		for _, text := range r.Warnings {
			all = append(all, warning{on: api.OnRouter, name: r.Name, what: text})
		}
	}
	for _, i := range s.report.Interfaces {
		if i.Trouble != "" {
			all = append(all, warning{on: api.OnInterface, name: i.Name, what: "lacks addresses that it should have", cause: i.Trouble})
		}
		for _, r := range i.Rivals {
			all = append(all, warning{
				on: api.OnInterface, name: i.Name, what: fmt.Sprintf("another machine, %s, claims %s", r.Hardware, r.Address), cause: r.How,
			})
		}
	}
	s.history.reported = all
}

// recordAnswers records who still answers for the addresses of a silent master.
func (s *State) recordAnswers() {
	for _, a := range s.report.Asked {
		if s.history.asked == nil {
			s.history.asked = make(map[string]time.Time)
		}
		// An election that outlives its director reports an old answer again.
		if a.At.Equal(s.history.asked[a.Name]) || s.now.Sub(a.At) > latestReport {
			continue
		}
		s.history.asked[a.Name] = a.At
		for _, answer := range a.Answers {
			s.record(api.Event{
				Kind: api.EventWarning, On: api.OnRouter, Name: a.Name, What: "asked who has the addresses of the silent master " + a.Master.String(),
				Cause: answer.String(), New: answer.Hardware, Time: a.At,
			})
		}
	}
}

// followWarnings records which warnings have begun and ended.
func (s *State) followWarnings() {
	now := append(s.ownWarnings(), s.history.reported...)
	before := s.history.warnings
	if len(now)+len(before) == 0 {
		return
	}
	for _, w := range now {
		if !slices.ContainsFunc(before, w.same) {
			s.record(api.Event{Kind: api.EventWarning, On: w.on, Name: w.name, What: w.what, Cause: w.cause, New: "begun"})
		}
	}
	for _, w := range before {
		if !slices.ContainsFunc(now, w.same) {
			s.record(api.Event{Kind: api.EventWarning, On: w.on, Name: w.name, What: "no longer: " + w.what, Old: "begun", New: "ended"})
		}
	}
	s.history.warnings = now
}

// ownWarnings returns what this director has found out itself.
func (s *State) ownWarnings() (all []warning) {
	warn := func(what, cause string) {
		all = append(all, warning{on: api.OnDirector, name: s.cfg.Name, what: what, cause: strings.ReplaceAll(cause, "\n", "; ")})
	}
	switch {
	case s.silence.on && s.silence.cutOff:
		warn("is cut off", "no real server answers, and no neighbour on the way to them")
	case s.silence.on:
		warn("reaches no real server", "none of them answers, although neighbours do")
	case s.stepsBackForServers:
		warn("has no healthy server and steps back", "every real server that is checked fails its checks")
	}
	for _, name := range s.isolated() {
		all = append(all, warning{on: api.OnInterface, name: name, what: "no other machine answers there", cause: "the interface is up"})
	}
	if s.trouble != "" {
		warn("cannot bring the IPVS table in line", s.trouble)
	}
	if s.sync.Problem != "" {
		warn("cannot set the connection sync", s.sync.Problem)
	}
	if s.settings.Timeouts != "" {
		warn("cannot set the timeouts of connections", s.settings.Timeouts)
	}
	if s.settings.Problem != "" {
		warn("cannot set the kernel's IPVS settings", s.settings.Problem)
	}
	if s.report.Problem != "" {
		warn("runs no virtual router", s.report.Problem)
	}
	s.peerWarnings(warn)
	if s.unusable != "" {
		warn("cannot write its state directory", s.unusable)
	}
	return all
}
