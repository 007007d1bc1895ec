// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// resolveTracked gives the servers that track a server of another service the checks of that server. The probes are the same, so
// each is made once.
func (f *file) resolveTracked(at toml.Node) {
	for i := range f.Services {
		s, here := &f.Services[i], at.Index(i)
		whole := s.track
		s.track = ""
		if whole != "" && here.Has("check") && here.Sound("check") {
			here.Key("track").Mistake("remove one of them", "has no meaning beside check")
			continue
		}
		for j := range s.Servers {
			server, there := &s.Servers[j], here.Key("server").Index(j)
			place := there.Key("track")
			switch {
			case server.Track != "" && there.Has("check"):
				place.Mistake("remove one of them", "has no meaning beside check")
				continue
			case server.Track == "" && whole != "" && !there.Has("check"):
				server.Track, place = whole+"/"+server.Addr.String(), here.Key("track")
			case server.Track == "":
				continue
			}
			if place.Sound() && there.Sound("address", "method") && here.Sound("virtual", "method") {
				f.follow(place, i, server)
			}
		}
	}
}

// follow gives a server of the service own the checks of the server that it tracks.
func (f *file) follow(at toml.Node, own int, server *Server) {
	service, rest, _ := strings.Cut(server.Track, "/")
	i := slices.IndexFunc(f.Services, func(s Service) bool { return s.Name == service })
	switch {
	case i < 0:
		var names []string
		for _, s := range f.Services {
			names = append(names, s.Name)
		}
		at.Mistake(toml.Suggest(service, names), "there is no service %q", toml.Abbreviate(service))
		return
	case i == own:
		at.Mistake("name another service", "is the service itself")
		return
	}
	found := serversCalled(f.Services[i], rest)
	switch {
	case len(found) == 0:
		at.Mistake("", "service %s has no server %s", service, toml.Abbreviate(rest))
		return
	case len(found) > 1:
		at.Mistake("write one of them: "+TrackID(f.Services[i], found[0]), "service %s has %d servers %s", service, len(found), rest)
		return
	case found[0].Track != "":
		at.Mistake("track "+found[0].Track, "%s tracks another server itself", server.Track)
		return
	}
	of := found[0]
	server.Track, server.Pass, server.Checks = TrackID(f.Services[i], of), of.Pass, slices.Clone(of.Checks)
	for k := range server.Checks {
		c := &server.Checks[k]
		if c.Via.IsValid() {
			if of.Addr != server.Addr || of.Method != server.Method || of.Tunnel != server.Tunnel {
				at.Mistake(`give the server a check of its own, or remove via = "vip" there`,
					"%s is checked through its VIP, which leads to that address and method only", server.Track)
				return
			}
		} else if !c.Address.IsValid() && of.Addr != server.Addr {
			c.Address = of.Addr
		}
		if c.Port == 0 {
			c.Port = of.Port
		}
	}
}

// serversCalled returns the servers of a service that an address, with or without a port, can mean.
func serversCalled(s Service, called string) (all []Server) {
	addr, err := netip.ParseAddr(called)
	ap, errPort := netip.ParseAddrPort(called)
	for _, server := range s.Servers {
		switch {
		case err == nil && server.Addr == addr, errPort == nil && server.Addr == ap.Addr() && server.Port == ap.Port():
			all = append(all, server)
		}
	}
	return all
}
