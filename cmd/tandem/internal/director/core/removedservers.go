// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A drainingServer is a real server that was removed from the configuration. It stays in the kernel's table, at weight 0,
// until its connections have ended.
type drainingServer struct {
	service string // its name
	virtual lvs.Service
	server  lvs.Server
	until   time.Time
}

// A grace is the drain_timeout of a service: the time that its servers get when they are removed.
type grace struct {
	service string // its name
	timeout time.Duration
}

// graces returns the graces of the services that give one.
func graces(services []configs.Service) map[lvs.ServiceID]grace {
	all := make(map[lvs.ServiceID]grace)
	for _, svc := range services {
		if svc.DrainTimeout == 0 {
			continue
		}
		for _, virtual := range svc.Virtuals {
			all[virtual.ServiceID] = grace{svc.Name, svc.DrainTimeout}
		}
	}
	return all
}

// drain makes the servers drain that are in the wanted table but no longer configured. Each drains until the drain_timeout of
// its service has passed. Servers that drain already keep their time from before. A service that was removed as a whole stays
// in the table for its servers; former has its drain_timeout.
func (s *State) drain(former map[lvs.ServiceID]grace, before map[lvs.ServiceID][]drainingServer) {
	here, given := s.configured(), graces(s.cfg.Services)
	draining := make(map[lvs.ServiceID][]drainingServer)
	for id, e := range s.wanted {
		svc, stays := here[id]
		g, gives := given[id]
		if !stays {
			g, gives = former[id]
		}
		var configured map[lvs.ServerID]bool
		if stays {
			configured = serversIn(svc.Service, e.Service)
		}
		for _, srv := range e.Servers {
			if configured[srv.ServerID] {
				continue
			}
			srv.Weight = 0
			d := drainingServer{g.service, e.Service, srv, s.now.Add(g.timeout)}
			i := slices.IndexFunc(before[id], func(b drainingServer) bool { return b.server.ServerID == srv.ServerID })
			if i >= 0 {
				d.service, d.until = before[id][i].service, before[id][i].until
			}
			if gives || !stays && i >= 0 {
				draining[id] = append(draining[id], d)
			}
		}
	}
	s.setDraining(draining)
}

// serversIn returns the servers that the configuration has in one virtual of a service.
func serversIn(svc configs.Service, virtual lvs.Service) map[lvs.ServerID]bool {
	all := make(map[lvs.ServerID]bool, len(svc.Servers)+1)
	for _, srv := range svc.Servers {
		all[srv.In(virtual).ServerID] = true
	}
	if svc.Sorry != nil {
		all[svc.Sorry.In(virtual).ServerID] = true
	}
	return all
}

// setDraining replaces the set of draining servers. A service that was removed as a whole stays in the table for its servers,
// and accepts no new connections.
func (s *State) setDraining(draining map[lvs.ServiceID][]drainingServer) {
	before := s.draining
	s.draining = draining
	here := s.configured()
	for _, all := range []map[lvs.ServiceID][]drainingServer{before, draining} {
		for id := range all {
			if svc, ok := here[id]; ok {
				s.touch(svc)
			}
		}
	}
	former := s.departed
	s.departed = nil
	for _, id := range slices.SortedFunc(maps.Keys(draining), lvs.ServiceID.Compare) {
		if _, ok := here[id]; ok || len(draining[id]) == 0 {
			continue
		}
		e := lvs.Entry{Service: draining[id][0].virtual}
		for _, d := range draining[id] {
			e.Servers = append(e.Servers, d.server)
		}
		s.departed = append(s.departed, id)
		s.want(e)
	}
	for _, id := range former {
		if _, ok := here[id]; !ok && len(draining[id]) == 0 {
			s.unwant(id)
		}
	}
	s.storeDrains()
}

// endDrains removes the servers whose time is over or whose last connection has ended. A server that rows does not have is
// not judged, nor is one whose weight is not 0 yet.
func (s *State) endDrains(rows []lvs.Row) {
	if len(s.draining) == 0 {
		return
	}
	idle := make(map[member]bool)
	for _, row := range rows {
		for _, srv := range row.Servers {
			if srv.Weight == 0 && srv.Active+srv.Inactive == 0 {
				idle[member{row.ServiceID, srv.ServerID}] = true
			}
		}
	}
	stay := make(map[lvs.ServiceID][]drainingServer)
	ended := false
	for _, id := range slices.SortedFunc(maps.Keys(s.draining), lvs.ServiceID.Compare) {
		for _, d := range s.draining[id] {
			if !idle[member{id, d.server.ServerID}] && s.now.Before(d.until) {
				stay[id] = append(stay[id], d)
				continue
			}
			ended = true
			s.log(Info, "a removed server has been drained", "service", d.service, "server", d.server.ServerID.String(),
				"in-time", s.now.Before(d.until))
		}
	}
	if ended {
		s.setDraining(stay)
	}
}

func (ev Connections) on(s *State) {
	s.endDrains(ev.Rows)
	s.countHere(ev.Rows)
}

// departedServices returns the services that were removed and still drain.
func (s *State) departedServices() (all []Departed) {
	for _, id := range s.departed {
		last := slices.MaxFunc(s.draining[id], func(a, b drainingServer) int { return a.until.Compare(b.until) })
		all = append(all, Departed{Name: last.service, ID: id, Until: last.until})
	}
	return all
}

// Drains is what the state directory remembers about draining servers. So after a restart they have neither more time nor
// less.
type Drains struct {
	// Graces are those of the running configuration: the next process may start with another one.
	Graces  []savedGrace `json:"graces,omitempty"`
	Leaving []savedDrain `json:"leaving,omitempty"`
}

type savedGrace struct {
	Virtual string `json:"virtual"`
	Service string `json:"service"`
	Timeout string `json:"timeout"`
}

type savedDrain struct {
	Virtual string         `json:"virtual"`
	Service string         `json:"service"`
	Server  netip.AddrPort `json:"server"`
	Until   time.Time      `json:"until"`
}

// saveDrains returns the two in the form of the file.
func saveDrains(given map[lvs.ServiceID]grace, draining map[lvs.ServiceID][]drainingServer) (saved Drains) {
	for _, id := range slices.SortedFunc(maps.Keys(given), lvs.ServiceID.Compare) {
		saved.Graces = append(saved.Graces, savedGrace{id.String(), given[id].service, given[id].timeout.String()})
	}
	for _, id := range slices.SortedFunc(maps.Keys(draining), lvs.ServiceID.Compare) {
		for _, d := range draining[id] {
			server := netip.AddrPortFrom(d.server.Addr, d.server.Port)
			saved.Leaving = append(saved.Leaving, savedDrain{id.String(), d.service, server, d.until.UTC().Round(0)})
		}
	}
	return saved
}

// read is the inverse of saveDrains. The file only identifies a draining server: the rest is in the kernel's table.
func (saved Drains) read() (given map[lvs.ServiceID]grace, draining map[lvs.ServiceID][]drainingServer, err error) {
	given, draining = make(map[lvs.ServiceID]grace), make(map[lvs.ServiceID][]drainingServer)
	for _, g := range saved.Graces {
		id, err := lvs.ParseServiceID(g.Virtual)
		if err != nil {
			return nil, nil, fmt.Errorf("failed to read what drain_timeout was: %w", err)
		}
		timeout, err := time.ParseDuration(g.Timeout)
		if err != nil {
			return nil, nil, fmt.Errorf("failed to read what drain_timeout of %s was: %w", id, err)
		}
		given[id] = grace{g.Service, timeout}
	}
	for _, l := range saved.Leaving {
		id, err := lvs.ParseServiceID(l.Virtual)
		if err != nil {
			return nil, nil, fmt.Errorf("failed to read which servers drain: %w", err)
		}
		server := lvs.Server{ServerID: lvs.ServerID{Addr: l.Server.Addr(), Port: l.Server.Port()}}
		draining[id] = append(draining[id], drainingServer{service: l.Service, server: server, until: l.Until})
	}
	return given, draining, nil
}

// Empty reports whether nothing drains and no service has a drain_timeout.
func (saved Drains) Empty() bool { return len(saved.Graces)+len(saved.Leaving) == 0 }

// storeDrains stores what a restart must know.
func (s *State) storeDrains() {
	is := saveDrains(graces(s.cfg.Services), s.draining)
	if !reflect.DeepEqual(is, s.drains) {
		s.drains = is
		s.store(DrainsFile, is)
	}
}
