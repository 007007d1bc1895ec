// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// resolvers is a service for UDP with three servers, as change changes it.
func resolvers(method lvs.Method, change func(*configs.Service)) *State {
	svc := www(false, lvs.Remove)
	svc.Virtuals[0].Protocol = lvs.UDP
	third := svc.Servers[0]
	third.Addr = netip.MustParseAddr("192.0.2.13")
	svc.Servers = append(svc.Servers, third)
	for i := range svc.Servers {
		svc.Servers[i].Weight, svc.Servers[i].Method = 1, method
	}
	if change != nil {
		change(&svc)
	}
	s := started(with(svc))
	s.Step(noon, Tick{})
	return s
}

// counted are the counters after so many questions to each server. All but the silent one have answered.
func counted(s *State, questions int, silent string) (ev Counters) {
	svc := s.services[0]
	is := lvs.ServiceStatus{Service: svc.Virtuals[0]}
	for _, srv := range svc.servers {
		n := uint64(questions)
		stats := lvs.Stats{Connections: n, InPackets: n, OutPackets: n}
		if srv.id == silent {
			stats.OutPackets = 0
		}
		is.Servers = append(is.Servers, lvs.ServerStatus{Server: srv.In(svc.Virtuals[0]), Stats: stats})
	}
	ev.Services = append(ev.Services, is)
	return ev
}

// A server that does not answer over UDP is named with method nat, where its packets pass the director.
func TestServerThatDoesNotAnswerOverUDP(t *testing.T) {
	s := resolvers(lvs.NAT, nil)
	id := s.services[0].servers[1].id
	if out := s.Step(noon, Tick{}); len(out.Count) != 1 || out.Watch {
		t.Fatalf("counters of %v are read, connections looked at: %t", out.Count, out.Watch)
	}
	for i := range 5 {
		s.Step(seconds(3*i), counted(s, 20*i, id))
	}
	if got, want := unansweredServers(s), id+" 0/80 others 100%"; got != want {
		t.Fatalf("named %q, want %q", got, want)
	}
	s.Step(seconds(20), Reload{Config: s.cfg})
	if unansweredServers(s) == "" {
		t.Error("a reload has forgotten it")
	}
	if s.Step(seconds(21), counted(s, 100, "")); unansweredServers(s) != "" {
		t.Errorf("it answers, and is still named: %s", unansweredServers(s))
	}
}

// The counters show nothing where replies do not pass, and prove nothing where clients are bound to servers.
func TestServicesWhoseCountersAreNotCompared(t *testing.T) {
	virtual := func(change func(*lvs.Service)) func(*configs.Service) {
		return func(svc *configs.Service) { change(&svc.Virtuals[0]) }
	}
	for name, s := range map[string]*State{
		"dr":           resolvers(lvs.DR, nil),
		"tunnel":       resolvers(lvs.Tunnel, nil),
		"one in dr":    resolvers(lvs.NAT, func(svc *configs.Service) { svc.Servers[2].Method = lvs.DR }),
		"tcp":          resolvers(lvs.NAT, virtual(func(v *lvs.Service) { v.Protocol = lvs.TCP })),
		"persistence":  resolvers(lvs.NAT, virtual(func(v *lvs.Service) { v.Persist(60e9, 32) })),
		"sh":           resolvers(lvs.NAT, virtual(func(v *lvs.Service) { v.Scheduler = "sh" })),
		"one packet":   resolvers(lvs.NAT, virtual(func(v *lvs.Service) { v.Flags |= lvs.OnePacket })),
		"one server":   resolvers(lvs.NAT, func(svc *configs.Service) { svc.Servers = svc.Servers[:1] }),
		"no such mark": resolvers(lvs.NAT, virtual(func(v *lvs.Service) { v.ServiceID = lvs.ServiceID{FWMark: 1, Family: lvs.IPv4} })),
	} {
		if out := s.Step(noon, Tick{}); len(out.Count) != 0 {
			t.Errorf("%s: counters of %v are read", name, out.Count)
		}
		id := s.services[0].servers[0].id
		for i := range 20 {
			s.Step(seconds(3*i), counted(s, 20*i, id))
		}
		if got := unansweredServers(s); got != "" {
			t.Errorf("%s: named %s", name, got)
		}
	}
}

// The counters of a service's virtuals are added up.
func TestCountersOfAllVirtuals(t *testing.T) {
	s := resolvers(lvs.NAT, func(svc *configs.Service) {
		other := svc.Virtuals[0]
		other.Addr = netip.MustParseAddr("192.0.2.101")
		svc.Virtuals = append(svc.Virtuals, other)
	})
	svc, known := s.services[0], make(map[lvs.ServiceID]map[lvs.ServerID]lvs.Stats)
	for i, v := range svc.Virtuals {
		stats := lvs.Stats{Connections: uint64(1 + i), OutPackets: 10}
		known[v.ServiceID.Canonical()] = map[lvs.ServerID]lvs.Stats{svc.servers[0].In(v).ServerID: stats}
	}
	if got := fmt.Sprint(svc.counters(known)); got != fmt.Sprintf("map[%s:{3 0 20}]", svc.servers[0].id) {
		t.Errorf("got %s", got)
	}
	if out := s.Step(noon, Tick{}); len(out.Count) != 2 {
		t.Errorf("counters of %v are read", out.Count)
	}
}
