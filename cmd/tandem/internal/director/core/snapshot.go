// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// A Snapshot is a director's state at one moment. It never changes. To take one costs one pointer for each service.
type Snapshot struct {
	Now       time.Time
	Config    *configs.Config
	LoadedAt  time.Time
	Reloads   Reloads
	Report    message.Report
	Services  []*Service // in the order of the file
	Overrides map[string]Override
	Tracks    []Track
	Silent    bool     // no real server answers
	CutOff    bool     // no other machine answers either
	Unfenced  []string // why routers do not take over from a silent master, in sentences
	SyncWaits []SyncWait
	// SyncOverruns counts for each virtual router with preempt = "synced" how often preempt_sync_limit was over.
	SyncOverruns map[string]uint64

	Isolated  []string // interfaces on which no other machine answers, although a sync group needs them
	Unready   bool     // the first results have not come yet
	AllDown   bool     // each server that is checked has been unhealthy for so long that even a master steps back
	Refused   map[lvs.ServiceID]Refusal
	Trouble   string // why the kernel's table is not as it should be
	Sync      SyncState
	Settings  SettingsState
	Hooks     []hooks.Stat
	StateDir  StateDir
	Departed  []Departed // services that were removed and drain
	Revisions Revisions
	Drills    Drills
	Peer      *Peer // nil: there is no channel to the other director
}

// A Service is the state of a configured service.
type Service struct {
	Pool     lvs.PoolOutput
	Servers  []Server // those of the configuration
	Sorry    *Server  // nil: none
	Weights  map[lvs.ServerID]int
	Draining []Draining // in its first virtual
}

// A Server is the state of a configured real server.
type Server struct {
	ID          string
	CheckIDs    []string
	Checked     bool // now
	Verdict     healthcheck.TargetStatus
	Maintenance bool      // its file of maintenance exists
	Follows     bool      // it gets no new clients, because the server that it tracks gets none
	ZeroSince   time.Time // since when it has weight 0, if it leaves the table for that; zero: it does not
	// Unanswered says that it does not answer clients. nil: it does, or this is not known.
	Unanswered *Unanswered
}

// A Draining is a server that was removed from the configuration and drains.
type Draining struct {
	Server lvs.Server
	Until  time.Time
}

// A Departed is a service that was removed from the configuration and drains.
type Departed struct {
	Name  string
	ID    lvs.ServiceID
	Until time.Time
}

// A Track is the state of something that a virtual router tracks.
type Track struct {
	Router, Name, Reason string
	OK                   bool
}

// Snapshot returns the present state.
func (s *State) Snapshot(now time.Time) *Snapshot {
	shot := &Snapshot{
		Now: now, Config: s.cfg, LoadedAt: s.loadedAt, Reloads: s.reloads, Report: s.report, Overrides: s.overrides,
		Silent: s.silence.on, CutOff: s.silence.cutOff, Unready: !s.readiness.ready, AllDown: s.stepsBackForServers && !s.silence.on,
		Unfenced: s.fenceTrouble(), Isolated: s.isolated(), Trouble: s.trouble, Refused: s.refused,
		Sync: s.sync, Settings: s.settings, StateDir: s.stateDir(now), Departed: s.departedServices(), Revisions: s.shownRevisions(),
		SyncWaits: s.SyncWaits(), SyncOverruns: s.syncOverruns(),
		Hooks:    s.hooks.queue.Stats(),
		Drills:   s.shownDrills(),
		Peer:     s.showPeer(),
		Services: make([]*Service, 0, len(s.services)),
	}
	for _, svc := range s.services {
		if svc.shown == nil || svc.changed {
			svc.shown = s.show(svc)
		}
		shot.Services = append(shot.Services, svc.shown)
	}
	for _, t := range s.tracks {
		shot.Tracks = append(shot.Tracks, Track{Router: t.Router, Name: t.Name, Reason: t.state.reason, OK: t.state.trackStatus != failing})
	}
	return shot
}

func (s *State) show(svc *service) *Service {
	first := svc.Virtuals[0].ServiceID
	shown := &Service{Pool: svc.pool, Weights: make(map[lvs.ServerID]int)}
	has := s.wanted[first].Servers
	if refusal, refused := s.refused[first]; refused {
		has = refusal.Has
	}
	for _, is := range has {
		shown.Weights[is.ServerID] = is.Weight
	}
	for _, srv := range svc.servers {
		shown.Servers = append(shown.Servers, s.showServer(svc, srv))
	}
	if svc.sorry != nil {
		is := s.showServer(svc, svc.sorry)
		shown.Sorry = &is
	}
	for _, d := range s.draining[first] {
		shown.Draining = append(shown.Draining, Draining{Server: d.server, Until: d.until})
	}
	return shown
}

func (s *State) showServer(svc *service, srv *server) Server {
	return Server{
		ID: srv.id, CheckIDs: srv.checkIDs, Checked: svc.checks(srv), Verdict: srv.verdict, Unanswered: srv.outlier.named,
		Maintenance: s.inMaintenance(srv), ZeroSince: srv.zeroSince,
		Follows: srv.leader != nil && (s.overrides[srv.leader.id].keepsAway() || s.inMaintenance(srv.leader)),
	}
}

// Combine returns the combined status of a real server's checks.
func Combine(srv configs.Server, all []healthcheck.TargetStatus) healthcheck.TargetStatus {
	return combine(srv.Checks, srv.Pass, slices.Clone(all))
}
