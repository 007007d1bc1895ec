// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// maxChecks is the maximum number of checks of a server.
const maxChecks = 16

// A checkUse is a check as a service or server names it: by name, or written out.
type checkUse struct {
	name  string // of a [check.NAME], or empty
	check healthcheck.Config
}

// oneCheck returns the schema type of a check that is named or written out. The values are for people.
func oneCheck(values string) toml.SchemaType[checkUse] {
	named, own := toml.String("the name of a [check.NAME]", validName), checkTable()
	k := toml.SchemaType[checkUse]{Name: "string or table", Values: values}
	k.Read = func(at toml.Node) checkUse {
		if _, isString := at.Value.(string); isString {
			return checkUse{name: named.Read(at)}
		}
		if _, isTable := at.Value.(map[string]any); !isTable {
			at.WrongType(k.Name, "write "+k.Values)
			return checkUse{}
		}
		return checkUse{check: own.Read(at)}
	}
	return k
}

// checkUses returns the schema type of the checks of a service or server.
func checkUses() toml.SchemaType[[]checkUse] {
	const want = "the name of a [check.NAME], a table with the keys of one, or an array of such"
	one := oneCheck(want).Read
	k := toml.SchemaType[[]checkUse]{Name: "string, table or array of them", Values: want}
	k.Read = func(at toml.Node) (uses []checkUse) {
		switch at.Value.(type) {
		case string, map[string]any:
			return []checkUse{one(at)}
		}
		n, ok := at.Len()
		switch {
		case !ok:
			at.WrongType(k.Name, "write "+want)
			return nil
		case n > maxChecks:
			at.Mistake("", "has %d elements: want 0 to %d", n, maxChecks)
			return nil
		}
		for i := range n {
			uses = append(uses, one(at.Index(i)))
		}
		return uses
	}
	return k
}

// namedChecks returns the schema type of the checks that services and servers use by name.
func namedChecks() toml.SchemaType[map[string]healthcheck.Config] {
	return toml.NamedTables(checkTable(), "NAME is the check's name, of your choice.", validName)
}

// serviceVIP stands for the address of the service that uses a check.
var serviceVIP = netip.IPv4Unspecified()

// checkVia refuses keys that a probe through the VIP cannot have.
func checkVia(at toml.Node, c healthcheck.Config) {
	if c.Via != serviceVIP {
		return
	}
	for _, name := range []string{"address", "fwmark", "bind_if"} {
		if at.Has(name) {
			at.Key(name).Mistake("remove one of them", `has no meaning with via = "vip"`)
		}
	}
	if c.Type == healthcheck.UDP && !at.Has("expect") && !at.Has("expect_hex") {
		at.Key("expect").Mistake("",
			"is missing: a server without the VIP drops the datagram, and a missing answer must not count as success")
	}
}

// throughVIP completes the checks of a server that go through the VIP. It makes one check for each VIP of the service,
// because a server may lack any of them.
func throughVIP(check toml.Node, s Service, server *Server) {
	var vips []netip.Addr
	for _, v := range s.Virtuals {
		if !slices.Contains(vips, v.Addr) {
			vips = append(vips, v.Addr)
		}
	}
	var all []healthcheck.Config
	for _, c := range server.Checks {
		if c.Via != serviceVIP {
			all = append(all, c)
			continue
		}
		for _, c.Via = range vips {
			if !mayGoThrough(check, s, *server, c) {
				return
			}
			all = append(all, c)
		}
	}
	server.Checks = all
}

// mayGoThrough reports whether a check of a server can go through its VIP. If not, it reports the mistake.
func mayGoThrough(check toml.Node, s Service, server Server, c healthcheck.Config) bool {
	switch {
	case s.Virtuals[0].FWMark != 0:
		check.Mistake(`remove via = "vip"`, "the probes cannot go through the VIP: a service by firewall mark has none")
	case server.Method == lvs.NAT:
		check.Mistake(`remove via = "vip"`,
			"the probes cannot go through the VIP: server %s has method %q, want dr or tunnel", server.Addr, server.Method)
	case !c.Source.IsValid() && lvs.FamilyOf(c.Via) != lvs.FamilyOf(server.Addr):
		check.Mistake("set source to the address that the probes come from",
			"the VIP %s is of another family than %s", c.Via, server.Addr)
	case c.Source.IsValid() && lvs.FamilyOf(c.Source) != lvs.FamilyOf(c.Via):
		check.Mistake("", "the probes cannot come from %s and go to %s, which is of another family", c.Source, c.Via)
	default:
		return true
	}
	return false
}

// resolveChecks gives each server and track its checks, and warns of named checks that nothing uses.
func resolveChecks(at toml.Node, f *file) {
	used := make(map[string]bool)
	for i := range f.Services {
		s, here := &f.Services[i], at.Key("service").Index(i)
		own := f.resolve(here.Key("check"), s.uses, used)
		for j := range s.Servers {
			server, there := &s.Servers[j], here.Key("server").Index(j)
			from := here.Key("check")
			server.Checks, server.Pass = slices.Clone(own), s.Pass
			if there.Has("check") {
				from = there.Key("check")
				server.Checks = f.resolve(from, server.uses, used)
			}
			if server.ownPass != 0 {
				server.Pass = server.ownPass
			}
			checkEndpoints(from, there, *server)
			if here.Sound("virtual", "method") && there.Sound("address", "method") {
				throughVIP(from, *s, server)
			}
			server.uses, server.ownPass = nil, 0
		}
		if s.Sorry != nil {
			f.resolveSorry(here, s, used)
		}
		s.uses, s.maintenance = nil, ""
	}
	f.resolveTracked(at.Key("service"))
	for i := range f.routers {
		for j := range f.routers[i].tracks {
			f.resolveTrack(at.Key("vrrp").Index(i).Key("track").Index(j), &f.routers[i].tracks[j], used)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.checks)) {
		if !used[name] && at.Sound("service", "vrrp") {
			at.Key("check").Key(name).Warn("", "has no effect: no [[service]] and no track uses it")
		}
	}
}

// resolveSorry gives a sorry server its own checks.
func (f *file) resolveSorry(at toml.Node, s *Service, used map[string]bool) {
	there := at.Key("sorry_server")
	from := there.Key("check")
	s.Sorry.Checks, s.Sorry.Pass = f.resolve(from, s.Sorry.uses, used), s.Sorry.ownPass
	s.Sorry.uses, s.Sorry.ownPass = nil, 0
	for i, c := range s.Sorry.Checks {
		if c.Type == healthcheck.Agent && from.Sound() {
			from.Mistake("use another type", "check %d is of type agent, and a sorry server has no weight", i+1)
			return
		}
	}
	checkEndpoints(from, there, *s.Sorry)
	if at.Sound("virtual", "method") && there.Sound("address", "method") {
		throughVIP(from, *s, s.Sorry)
	}
}

// resolve returns the checks behind uses.
func (f *file) resolve(at toml.Node, uses []checkUse, used map[string]bool) []healthcheck.Config {
	var all []healthcheck.Config
	for i, use := range uses {
		if use.name == "" {
			all = append(all, use.check)
			continue
		}
		here := at
		if _, isString := at.Value.(string); !isString {
			here = at.Index(i)
		}
		used[use.name] = true
		check, ok := f.checks[use.name]
		if !ok && here.Sound() {
			here.Mistake(toml.Suggest(use.name, slices.Sorted(maps.Keys(f.checks))), "there is no [check.%s]", use.name)
		}
		if ok {
			all = append(all, check)
		}
	}
	return all
}

// checkEndpoints refuses checks without a port to connect to, and checks whose source is of another family.
func checkEndpoints(check, server toml.Node, s Server) {
	if !check.Sound() || !server.Sound("address", "port") || !s.Addr.IsValid() {
		return
	}
	for _, c := range s.Checks {
		to := s.Addr
		if c.Address.IsValid() {
			to = c.Address
		}
		hasNone := slices.Contains(types(healthcheck.Exec, healthcheck.Ping, healthcheck.File), c.Type)
		switch {
		case c.Port == 0 && s.Port == 0 && !hasNone:
			check.Key("port").Mistake("", "is missing: behind a firewall mark or port 0, server %s has no port of its own", s.Addr)
			return
		case c.Source.IsValid() && c.Via != serviceVIP && lvs.FamilyOf(c.Source) != lvs.FamilyOf(to):
			check.Mistake("", "the probes cannot come from %s and go to %s, which is of another family", c.Source, to)
			return
		}
	}
}
