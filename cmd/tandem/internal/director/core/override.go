// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// commandTimeout is the maximum time for which a command waits until the kernel's table has the change.
const commandTimeout = 15 * time.Second

// An Override is what operators have commanded for a real server. It takes precedence over the configuration. The zero value
// means no command.
type Override struct {
	Drained  bool `json:"drained,omitempty"`
	Disabled bool `json:"disabled,omitempty"`
	Weight   *int `json:"weight,omitempty"`
	// Number and By say which of two orders is the later one: see mergeOrders. Without a peer, both are empty.
	Number uint64 `json:"number,omitempty"`
	By     string `json:"by,omitempty"`
	// Local says that an operator wanted the order on this director only.
	Local bool `json:"local,omitempty"`
	// Drill says that Disabled is of a drill of this director: no operator has disabled the server since.
	Drill bool `json:"drill,omitempty"`
}

// keepsAway reports whether new clients are kept away from the server.
func (o Override) keepsAway() bool { return o.Drained || o.Disabled }

// apply puts the override into the input of a weight.
func (o Override) apply(in *lvs.WeightInput) {
	in.Draining, in.Disabled = in.Draining || o.Drained, o.Disabled
	if o.Weight != nil {
		in.Overridden, in.Override = true, *o.Weight
	}
}

// with returns the override after one more command.
func (o Override) with(action api.Action, weight int) (Override, error) {
	switch action {
	case api.Drain:
		o.Drained = true
	case api.Undrain:
		o.Drained = false
	case api.Disable:
		o.Disabled, o.Drill = true, false
	case api.Enable:
		o.Disabled, o.Drill = false, false
	case api.Reset:
		o.Weight = nil
	case api.SetWeight:
		if weight < 0 || weight > lvs.MaxWeight {
			return o, fmt.Errorf("weight %d is out of range: want 0 to %d", weight, lvs.MaxWeight)
		}
		o.Weight = &weight
	default:
		return o, fmt.Errorf("unknown action %q: want one of %s", action, strings.Join(api.Actions(), ", "))
	}
	return o, nil
}

// Note returns the override in words. configured is the server's weight in the configuration.
func (o Override) Note(configured int) string {
	var words []string
	if o.Disabled {
		words = append(words, history.DisabledNote)
	}
	if o.Drained {
		words = append(words, history.DrainedNote)
	}
	if o.Weight != nil {
		words = append(words, fmt.Sprintf("%s instead of %d", history.WeightNote(*o.Weight), configured))
	}
	return strings.Join(words, "; ")
}

// A waitingReply is the answer to a command that is in force here, and waits for the kernel's table or the disk.
type waitingReply struct {
	Reply
	table   bool   // it waits for the kernel's table
	inTable uint64 // the generation of the table that has the command; 0: the one of this step
	file    File
	inFile  uint64 // the generation of the file
	number  uint64 // the order's; 0: it does not wait for the other director
	since   time.Time
}

// on changes the weight at once. The file is written after that: if it cannot be written, the answer says so.
func (ev ServerOrder) on(s *State) {
	i, j, err := FindServer(s.cfg.Services, ev.Server)
	var now Override
	var srv *server
	if err == nil {
		srv = s.services[i].servers[j]
		now, err = s.overrides[srv.id].with(ev.Action, ev.Weight)
	}
	if err == nil && ev.Drill {
		var idle bool
		if idle, err = s.forDrill(&ev, srv, &now); idle {
			s.out.Replies = append(s.out.Replies, Reply{Request: ev.Request, Server: srv.id})
			return
		}
	}
	if err != nil {
		s.out.Replies = append(s.out.Replies, Reply{Request: ev.Request, Err: err})
		return
	}
	if now.Local = ev.Local && s.peer.on; !now.Local && (s.peer.on || now.Number > 0) {
		now.Number, now.By = s.nextNumber(srv.id), s.cfg.Name
		if ev.Drill && ev.Action == api.Enable {
			now.Number = s.overrides[srv.id].justAfter()
		}
	}
	s.peer.urgent = s.peer.on
	all := maps.Clone(s.overrides)
	if all == nil {
		all = make(map[string]Override)
	}
	all[srv.id] = now
	if now == (Override{}) {
		delete(all, srv.id)
	}
	if s.overrides[srv.id].keepsAway() && !now.keepsAway() {
		s.release(srv)
	}
	s.overrides = all
	s.store(OverridesFile, all)
	s.logOrder("ordered by command", ev.By, "server", srv.id, "action", ev.Action)
	what := history.Orders[ev.Action]
	if ev.Action == api.SetWeight {
		what += fmt.Sprintf(" %d", ev.Weight)
	}
	if ev.Drill {
		what += " for a drill"
	}
	if now.Local {
		what += " on this director only"
	}
	s.record(api.Event{Kind: api.EventOrder, On: api.OnServer, Name: srv.id, What: what, Cause: ordered(ev.By), By: ev.By})
	s.touchServer(serverPlace{s.services[i], srv})
	s.answerLater(Reply{Request: ev.Request, Server: srv.id}, OverridesFile, true)
	if s.peer.on && !now.Local {
		s.waiting[len(s.waiting)-1].number = now.Number
	}
}

// answerLater answers a command when the file is on the disk and, if table is set, the kernel's table agrees.
func (s *State) answerLater(r Reply, f File, table bool) {
	s.waiting = append(s.waiting, waitingReply{Reply: r, table: table, file: f, inFile: s.files[f].wanted, since: s.now})
}

// answerCommands answers the commands that need not wait longer.
func (s *State) answerCommands() {
	kept := s.waiting[:0]
	for _, w := range s.waiting {
		if w.table && w.inTable == 0 {
			w.inTable = max(1, s.generation) // the first table has it if there is none yet
		}
		if s.settled(&w) {
			s.out.Replies = append(s.out.Replies, w.Reply)
		} else {
			kept = append(kept, w)
		}
	}
	s.waiting = kept
}

// settled reports whether an answer need not wait longer, and completes it.
func (s *State) settled(w *waitingReply) bool {
	if !s.inTable(w) {
		if s.now.Sub(w.since) < commandTimeout {
			return false
		}
		w.Err = errors.New("the order is accepted, but the kernel's table could not be brought in line with it yet: see the director's log")
		return true
	}
	var done bool
	if w.NotRemembered, done = s.files[w.file].lacks(w.inFile, s.now); !done || w.number == 0 {
		return done
	}
	reply, done := s.peerReply(w)
	w.Peer = &reply
	return done
}

// inTable reports whether the kernel's table has the result of a command.
func (s *State) inTable(w *waitingReply) bool {
	if s.confirmed < w.inTable {
		return false
	}
	if !w.table || len(s.refused) == 0 {
		return true
	}
	name, _, _ := strings.Cut(w.Server, "/")
	return !slices.ContainsFunc(s.services, func(svc *service) bool { return svc.Name == name && s.refuses(svc) })
}

// deadline returns the latest time at which the answer is sent.
func (w waitingReply) deadline(s *State) time.Time {
	if !s.inTable(&w) {
		return w.since.Add(commandTimeout)
	}
	if _, done := s.files[w.file].lacks(w.inFile, s.now); done {
		return w.since.Add(peerAnswer)
	}
	return s.files[w.file].since.Add(storeTimeout)
}

// forgetOverrides drops the overrides of servers that the configuration does not have.
func (s *State) forgetOverrides() {
	known := make(map[string]bool)
	for _, svc := range s.services {
		for _, srv := range svc.servers {
			known[srv.id] = true
		}
	}
	s.overrides = s.renamed(s.overrides, known)
	kept := maps.Clone(s.overrides)
	maps.DeleteFunc(kept, func(id string, _ Override) bool { return !known[id] })
	if len(kept) == len(s.overrides) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.overrides)) {
		if o := s.overrides[id]; !known[id] && !o.same(Override{}) {
			s.log(Warn, "an order about a server that is not configured is forgotten", "server", id)
			s.recordServer(api.EventOrder, id, "is no longer "+s.overrides[id].Note(0), "it is not in the configuration any more")
		}
	}
	s.overrides = kept
	s.store(OverridesFile, kept)
}

// renamed returns the overrides under the present names of their servers. Earlier versions named a server by the port of the
// first virtual.
func (s *State) renamed(orders map[string]Override, known map[string]bool) map[string]Override {
	now := make(map[string]Override, len(orders))
	for id, o := range orders {
		if !known[id] {
			if i, j, err := FindServer(s.cfg.Services, id); err == nil {
				id = s.services[i].servers[j].id
			}
		}
		now[id] = o
	}
	return now
}

// FindServer finds the server of a command. The name is SERVICE/SERVER, where SERVER is an address with or without its port.
// FindServer returns the indexes of the service and of its server.
func FindServer(services []configs.Service, name string) (service, server int, err error) {
	before, after, ok := strings.Cut(name, "/")
	if !ok {
		return 0, 0, fmt.Errorf("%q is not SERVICE/SERVER: write for example www/192.0.2.11 or www/192.0.2.11:80", name)
	}
	i := slices.IndexFunc(services, func(s configs.Service) bool { return s.Name == before })
	if i < 0 {
		names := make([]string, len(services))
		for i, s := range services {
			names[i] = s.Name
		}
		return 0, 0, fmt.Errorf("there is no service %q: this director has %s", before, listed(names))
	}
	svc := services[i]
	var found []int
	var have, several []string
	for j, srv := range svc.Servers {
		_, address, _ := strings.Cut(ServerID(svc, srv), "/")
		have = append(have, address)
		if address == after || srv.Addr.String() == strings.Trim(after, "[]") {
			found, several = append(found, j), append(several, address)
		}
	}
	if len(found) == 0 {
		for j, srv := range svc.Servers {
			if hasAddress(svc, srv, after) {
				found, several = append(found, j), append(several, have[j])
			}
		}
	}
	switch len(found) {
	case 0:
		return i, 0, fmt.Errorf("service %s has no server %q: it has %s", svc.Name, after, listed(have))
	case 1:
		return i, found[0], nil
	}
	return i, 0, fmt.Errorf("service %s has several servers %q: name one of %s", svc.Name, after, listed(several))
}

// hasAddress reports whether the server has that address and port in one of the service's virtuals.
func hasAddress(svc configs.Service, srv configs.Server, address string) bool {
	return slices.ContainsFunc(svc.Virtuals, func(v lvs.Service) bool {
		is := srv.In(v)
		return netip.AddrPortFrom(is.Addr, is.Port).String() == address
	})
}

// listed joins names. Of many names it returns the first few and the number of the others.
func listed(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
