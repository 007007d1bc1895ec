// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	peermessage "github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A player is a State with workers that do everything at once and without errors.
type player struct {
	s     *State
	log   hclog.Logger
	is    outcome
	files map[File]any
	// origin is that of the next start.
	origin *Origin
	// refused are the services that the kernel refuses. It accepts all others.
	refused map[string]bool
	disk    string // why it cannot be written; empty: it can
	// told is the latest view for the other director, and recorded are the events of the history.
	told     *peermessage.View
	recorded []api.Event
	counting bool // connections are counted
}

func newPlayer(log hclog.Logger) *player {
	return &player{s: New(), log: log, files: make(map[File]any)}
}

// step makes the state take events, and then what the workers answer to its effects, until there are no more answers. It returns
// the effects of the first step and the last reply.
func (p *player) step(now time.Time, events ...Event) (first Effects, reply Reply) {
	for i := 0; len(events) > 0 || i == 0; i++ {
		out := p.s.Step(now, events...)
		if i == 0 {
			first = out
		}
		events = nil
		for _, l := range out.Lines {
			if l.Message == "configuration" || l.Message == "configuration reloaded" && !slices.Contains(l.Pairs, any("revision")) {
				continue // what is reloaded is in the transcript already
			}
			map[Level]func(string, ...any){Info: p.log.Info, Warn: p.log.Warn, Error: p.log.Error}[l.Level](l.Message, l.Pairs...)
		}
		if t := out.Table; t != nil {
			p.apply(t)
			events = append(events, p.tableDone(t.Generation))
		}
		if out.Checks != nil {
			p.is.Checks = out.Checks.Targets
		}
		for _, f := range out.Files {
			if p.disk != "" {
				events = append(events, Stored{File: f.File, Generation: f.Generation, Problem: p.disk})
				continue
			}
			p.files[f.File] = f.Value
			p.is.Files = maps.Clone(p.is.Files)
			p.is.Files[f.File.String()] = f.Value
			events = append(events, Stored{File: f.File, Generation: f.Generation})
		}
		for _, r := range out.Replies {
			reply = r
		}
		if out.Peer != nil {
			p.told = out.Peer
		}
		if out.History != nil {
			p.recorded = append(p.recorded, out.History.Events...)
		}
		p.counting = out.Draining
	}
	p.is.Tracking = maps.Clone(p.s.tracking)
	return first, reply
}

// tableDone returns the kernel's result for a table.
func (p *player) tableDone(generation uint64) TableDone {
	done := TableDone{Generation: generation}
	for _, e := range p.is.Table {
		if p.refused[e.ServiceID.String()] {
			done.Problem = "failed to add " + e.ServiceID.String() + ": no such scheduler"
			done.Refused = map[lvs.ServiceID]Refusal{e.ServiceID: {Why: "no such scheduler"}}
		}
	}
	return done
}

// apply applies a table as its worker would.
func (p *player) apply(t *Table) {
	if t.Full {
		p.is.Table = t.Set
		return
	}
	p.is.Table = slices.DeleteFunc(slices.Clone(p.is.Table), func(e lvs.Entry) bool { return slices.Contains(t.Remove, e.ServiceID) })
	for _, e := range t.Set {
		if i := slices.IndexFunc(p.is.Table, func(was lvs.Entry) bool { return was.ServiceID == e.ServiceID }); i >= 0 {
			p.is.Table[i] = e
		} else {
			p.is.Table = append(p.is.Table, e)
		}
	}
}

func (p *player) start(now time.Time, cfg *configs.Config, table []lvs.Entry) {
	p.is.Files = map[string]any{"leaving.json": Drains{}, "orders.json": map[string]Override{}}
	p.restart(now, cfg, table)
}

func (p *player) restart(now time.Time, cfg *configs.Config, table []lvs.Entry) {
	p.s = New()
	owned := make(map[lvs.ServiceID]bool)
	for _, e := range table {
		owned[e.ServiceID] = true
	}
	start := Start{Config: cfg}
	start.Overrides, _ = p.files[OverridesFile].(map[string]Override)
	start.Standby, _ = p.files[StandbyFile].([]string)
	start.Drains, _ = p.files[DrainsFile].(Drains)
	start.Origin = p.origin
	p.step(now, start)
	p.step(now, TableRead{Entries: table, Owned: owned})
}

func (p *player) reload(now time.Time, cfg *configs.Config) {
	p.step(now, Reload{Config: cfg, Numbers: p.s.numbers})
}

func (p *player) verdict(now time.Time, id string, is healthcheck.TargetStatus) {
	p.step(now, Verdict{ID: id, Status: is})
}

func (p *player) role(now time.Time, router string, state vrrp.State) {
	routers := slices.DeleteFunc(slices.Clone(p.s.report.Routers), func(r vrrp.Status) bool { return r.Name == router })
	p.step(now, Report{message.Report{Links: p.s.report.Links, Routers: append(routers, vrrp.Status{Name: router, State: state})}})
}

func (p *player) order(now time.Time, o ServerOrder) error {
	_, reply := p.step(now, o)
	return reply.Err
}

func (p *player) trackFile(now time.Time, path string, value int) {
	all := maps.Clone(p.s.numbers)
	if all == nil {
		all = make(map[string]Number)
	}
	all[path] = Number{Value: value}
	p.step(now, Numbers(all))
}

func (p *player) connections(now time.Time, rows []lvs.Row) { p.step(now, Connections{rows}) }

func (p *player) tick(now time.Time) { p.step(now, Tick{}) }

func (p *player) outcome() outcome {
	is := p.is
	is.Table = slices.Clone(is.Table)
	return is
}
