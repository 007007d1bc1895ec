// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A State is the complete state of a director. It has one owner.
type State struct {
	now time.Time
	out Effects

	cfg      *configs.Config
	loadedAt time.Time
	reloads  Reloads
	services []*service // in the order of the file
	changed  []*service // must be planned
	ramping  map[*service]bool

	targets             map[string]target // checks of real servers, by ID
	probes              []healthcheck.Target
	checkSeq            uint64
	recheck             bool // the targets have changed
	census              census
	allDown             bool // all checked servers are unhealthy
	allDownSince        time.Time
	stepsBackForServers bool // even as master, because the servers have been unhealthy for long
	silence             silence
	ask                 bool // the question about the neighbours has changed
	segments            map[string]*segment
	asked               Segments
	askSegments         bool // the segments to ask about are new

	filled   bool                   // the kernel's table has been read
	replaced map[lvs.ServiceID]bool // services of which it was told at the start, or at a reload, that they are replaced
	// replacedUntil is the generation of the table that replaces them.
	replacedUntil uint64
	wanted        map[lvs.ServiceID]lvs.Entry
	refill        bool // the next table is a full one
	generation    uint64
	confirmed     uint64 // the kernel has this generation
	trouble       string // why the kernel's table is not as it should be
	refused       map[lvs.ServiceID]Refusal
	unread        []string // errors of the files that could not be read when the director started
	unusable      string   // why the state directory cannot be used
	unowned       string   // why the file of our own services could not be written

	marks       probeMarks
	marked      uint64 // the generation of the table with the services of the marks
	led         probeMarks
	draining    map[lvs.ServiceID][]drainingServer
	departed    []lvs.ServiceID
	drains      Drains
	overrides   map[string]Override // by server
	waiting     []waitingReply
	files       [endOfFiles]fileState
	sync        SyncState
	settings    SettingsState
	report      message.Report
	roles       map[string]vrrp.State
	standby     []string // names of routers, in order
	handOver    *handOver
	queued      []Event // commands that wait for the end of a hand-over
	reorder     bool    // the order to the election has changed
	orderSeq    uint64
	tracks      []track
	probed      map[string]healthcheck.TargetStatus // of the tracks, by the ID of the target
	numbers     map[string]Number
	maintenance Maintenance
	retrack     map[string]bool // routers whose tracks have changed
	tracking    map[string]vrrp.Tracking
	tracked     bool // tracking has been computed once
	witnesses   map[witnessOwner]witnessState
	fencings    map[string]*fencing // by router
	fenceRuns   []hooks.Run         // to be started
	lastFence   uint64              // counts the runs

	// Clients' connections:
	clients     map[netip.AddrPort]*service // by virtual, if its servers can be compared
	markClients map[netip.Addr]*service     // by real server, for firewall marks; nil: of several services
	watched     bool                        // the connections are looked at
	counted     []lvs.ServiceID             // services whose counters show whether their servers answer
	outliers    map[*server]*service        // servers without new clients for a while

	hooks     hookState
	history   historyState
	revisions revisionState
	peer      peerState
	syncs     syncState
	drills    drillState
	scheduled drillSchedule

	readiness         readiness
	troubleSince      time.Time // when trouble began or ended
	stepsBackForTable bool
}

// Reloads counts the requested reloads.
type Reloads struct{ Done, Refused uint64 }

// A target is the place of a check: its server and its index.
type target struct {
	service *service
	server  *server
	check   int
}

// New returns a state that waits for Start.
func New() *State {
	return &State{
		wanted: make(map[lvs.ServiceID]lvs.Entry), ramping: make(map[*service]bool),
		probed: make(map[string]healthcheck.TargetStatus), retrack: make(map[string]bool),
		witnesses: make(map[witnessOwner]witnessState), fencings: make(map[string]*fencing),
		hooks: newHookState(nil), history: newHistoryState(),
	}
}

// Step applies events and returns the effects of all of them together.
func (s *State) Step(now time.Time, events ...Event) Effects {
	s.now, s.out = now, Effects{}
	for _, ev := range events {
		s.concernsPeer(ev)
		ev.on(s)
	}
	if s.cfg != nil {
		s.settle()
	}
	s.emitHistory()
	return s.out
}

// settle computes everything that depends on the changes.
func (s *State) settle() {
	s.seeProposal()
	s.seeConfirmation()
	s.endDrains(nil)
	s.seeSilence()
	s.seeSegments()
	s.seeReady()
	s.seeWitnesses()
	s.seeClaims()
	s.seeSyncWaits()
	s.seeAllDown()
	s.seeTrouble()
	s.seeTraffic()
	s.forgetDrill()
	s.seeSchedule()
	for svc := range s.ramping {
		if !svc.next.After(s.now) {
			s.touch(svc)
		}
	}
	s.planChanged()
	s.followTracks()
	s.continueHandOver()
	s.followHooks()
	s.followWarnings()
	s.emitTable()
	s.emitChecks()
	s.emitElection()
	s.emitPeer()
	s.answerCommands()
	s.out.Draining = len(s.draining) > 0 || s.countsConnections()
	s.out.Next = s.next()
}

// touch marks a service to be planned again, and its tracks to be assessed again.
func (s *State) touch(svc *service) {
	if !svc.changed {
		svc.changed = true
		s.changed = append(s.changed, svc)
	}
	for _, i := range svc.tracks {
		s.retrack[s.tracks[i].Router] = true
	}
}

func (s *State) touchAll() {
	for _, svc := range s.services {
		s.touch(svc)
	}
}

func (s *State) planChanged() {
	if !s.filled {
		return // nothing can be planned without the kernel's weights
	}
	for _, svc := range s.changed {
		svc.changed = false
		s.plan(svc)
	}
	s.changed = nil
}

// want puts a service into the wanted table.
func (s *State) want(e lvs.Entry) {
	was, ok := s.wanted[e.ServiceID]
	if ok && was.Service == e.Service && slices.Equal(was.Servers, e.Servers) {
		return
	}
	s.wanted[e.ServiceID] = e
	s.table().Set = append(s.table().Set, e)
}

// unwant removes a service from the wanted table.
func (s *State) unwant(id lvs.ServiceID) {
	if _, ok := s.wanted[id]; ok {
		delete(s.wanted, id)
		s.table().Remove = append(s.table().Remove, id)
	}
}

// table returns the change of the table in this step.
func (s *State) table() *Table {
	if s.out.Table == nil {
		s.out.Table = &Table{Generation: s.generation + 1, All: s.cfg.LVS.Manage == configs.ManageAll}
	}
	return s.out.Table
}

// emitTable adds the change of the kernel's table to the effects.
func (s *State) emitTable() {
	if !s.filled {
		s.out.Table = nil // the first one has it
		return
	}
	if s.refill {
		s.refill = false
		t := s.table()
		t.Full, t.Set, t.Remove = true, s.Wanted(), nil
	}
	if s.out.Table != nil {
		s.generation++
	}
}

// Wanted is the desired IPVS table: the services in the order of the file, then the services that drain, then the services of
// probes.
func (s *State) Wanted() []lvs.Entry {
	all := make([]lvs.Entry, 0, len(s.wanted))
	for _, svc := range s.services {
		for _, virtual := range svc.Virtuals {
			if e, ok := s.wanted[virtual.ServiceID]; ok {
				all = append(all, e)
			}
		}
	}
	for _, id := range s.departed {
		all = append(all, s.wanted[id])
	}
	for _, id := range s.marks.services() {
		all = append(all, s.wanted[id])
	}
	return all
}

// on adopts the table that the kernel has when the director starts: its weights, and the servers that are not in the
// configuration any more.
func (ev TableRead) on(s *State) {
	if s.filled {
		return
	}
	s.filled, s.refill = true, true
	s.replaced = s.tellReplaced(lvs.Replaced(ev.Entries, s.cfg.Entries(), ev.Owned))
	here := s.configured()
	for _, e := range ev.Entries {
		if _, ok := here[e.ServiceID]; ok || ev.Owned[e.ServiceID] {
			s.wanted[e.ServiceID] = e // the plans from now on are compared with it
		}
	}
	for _, e := range s.marks.entries() {
		s.want(e)
	}
	for _, svc := range s.services {
		s.inheritSorry(svc)
		for _, srv := range svc.servers {
			if e, ok := s.wanted[svc.Virtuals[0].ServiceID]; ok {
				i := slices.IndexFunc(e.Servers, func(is lvs.Server) bool { return is.ServerID == srv.ServerID })
				srv.up = i >= 0 && e.Servers[i].Weight > 0 // it served before, so it does not start slowly
			}
			s.inherit(svc, srv)
		}
	}
	former, before, err := s.drains.read()
	if err != nil {
		s.log(Warn, "failed to read which servers drain: they have their whole time again", "error", err)
	}
	s.drain(former, before)
	s.pruneTable()
	s.touchAll()
}

func (ev SyncState) on(s *State) { s.sync = ev }

func (ev SettingsState) on(s *State) { s.settings = ev }

// log adds a line to the log.
func (s *State) log(level Level, message string, pairs ...any) {
	s.out.Lines = append(s.out.Lines, Line{level, message, pairs})
}

// next is when the state changes without an event.
func (s *State) next() time.Time {
	var next time.Time
	sooner := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for svc := range s.ramping {
		sooner(svc.next)
	}
	s.witnessNext(sooner)
	s.fenceNext(sooner)
	s.syncNext(sooner)
	s.drillNext(sooner)
	s.scheduleNext(sooner)
	for _, all := range s.draining {
		for _, d := range all {
			sooner(d.until)
		}
	}
	for _, w := range s.waiting {
		sooner(w.deadline(s))
	}
	if s.handOver != nil {
		sooner(s.handOver.deadline)
	}
	if p := s.revisions.proposal; p != nil {
		sooner(s.files[RevisionsFile].since.Add(storeTimeout))
	}
	sooner(s.revisions.until)
	s.hooksNext(sooner)
	s.peerNext(sooner)
	sooner(s.silenceEnds())
	sooner(s.doubtsEnd())
	sooner(s.segmentEnds())
	sooner(s.outliersEnd())
	if !s.readiness.ready && s.now.Before(s.readiness.until) {
		sooner(s.readiness.until)
	}
	if s.allDown && !s.stepsBackForServers {
		sooner(s.downEnds())
	}
	if s.trouble != "" && !s.stepsBackForTable {
		sooner(s.troubleSince.Add(troubleGrace))
	}
	return next
}

// Config is the configuration in force.
func (s *State) Config() *configs.Config { return s.cfg }
