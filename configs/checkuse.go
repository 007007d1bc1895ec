// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// A Pass says how the checks of a server make up its health.
type Pass uint8

// The choices, by their names in files: all, any.
const (
	PassAll Pass = iota + 1 // each of its checks must find it healthy
	PassAny                 // one of them is enough
)

// String returns the choice as files name it.
func (p Pass) String() string {
	switch p {
	case PassAll:
		return "all"
	case PassAny:
		return "any"
	}
	return "unknown"
}

// A CheckWhen says when a director checks the servers of a service.
type CheckWhen uint8

// The choices, by their names in files: always, master.
const (
	CheckAlways CheckWhen = iota + 1
	CheckMaster           // while it is master of the service's address
)

// String returns the choice as files name it.
func (w CheckWhen) String() string {
	switch w {
	case CheckAlways:
		return "always"
	case CheckMaster:
		return "master"
	}
	return "unknown"
}

// maxChecks is the most checks of a server.
const maxChecks = 16

// A checkUse is a check where it is used: by its name, or as it is.
type checkUse struct {
	name  string // of a [check.NAME], or empty
	check healthcheck.Config
}

// checkUses are the checks of a service or server.
func checkUses() kind[[]checkUse] {
	const want = "the name of a [check.NAME], a table with the keys of one, or an array of such"
	named, own := plain("the name of a [check.NAME]", validName), checkTable()
	one := func(at place) checkUse {
		if _, isString := at.value.(string); isString {
			return checkUse{name: named.read(at)}
		}
		if _, isTable := at.value.(map[string]any); !isTable {
			at.wrongType("string or table", "write "+want)
			return checkUse{}
		}
		return checkUse{check: own.read(at)}
	}
	k := kind[[]checkUse]{typ: "string, table or array of them", values: want}
	k.read = func(at place) (uses []checkUse) {
		n := 0
		switch v := at.value.(type) {
		case []any:
			n = len(v)
		case []map[string]any:
			n = len(v)
		case string, map[string]any:
			return []checkUse{one(at)}
		default:
			at.wrongType(k.typ, "write "+want)
			return nil
		}
		if n > maxChecks {
			at.mistake("", "has %s: want 0 to %d", elements(n), maxChecks)
			return nil
		}
		for i := range n {
			uses = append(uses, one(at.index(i)))
		}
		return uses
	}
	return k
}

// namedChecks are the checks that services and servers can use by their names.
func namedChecks() kind[map[string]healthcheck.Config] {
	element := checkTable()
	k := kind[map[string]healthcheck.Config]{typ: table, values: "[check.NAME] for each"}
	k.keys = append(k.keys, KeyInfo{Path: anyName, Type: table, Doc: "A check that services and servers can use by its name."})
	for _, sub := range element.keys {
		sub.Path = anyName + "." + sub.Path
		k.keys = append(k.keys, sub)
	}
	k.read = func(at place) map[string]healthcheck.Config {
		m, ok := at.value.(map[string]any)
		if !ok {
			at.wrongType(table, "write [check.NAME]")
			return nil
		}
		all := make(map[string]healthcheck.Config, len(m))
		for _, name := range slices.Sorted(maps.Keys(m)) {
			here := at.key(name)
			if no := validName(name); no != nil {
				here.mistake(no.hint, "%s", no.problem)
			}
			if here.value == nil {
				continue
			}
			all[name] = element.read(here)
		}
		return all
	}
	return k
}

// anyName stands for the name of a named table in the paths of keys.
const anyName = "NAME"

// serviceVIP stands for the address of the service that uses a check.
var serviceVIP = netip.IPv4Unspecified()

// checkVia refuses what a probe through the VIP cannot do.
func checkVia(at place, c healthcheck.Config) {
	if c.Via != serviceVIP {
		return
	}
	for _, name := range []string{"address", "fwmark"} {
		if at.given(name) {
			at.key(name).mistake("remove one of them", `has no meaning with via = "vip"`)
		}
	}
	if c.Type == healthcheck.UDP && !at.given("expect") {
		at.key("expect").mistake("", "is missing: a server without the VIP drops the datagram, and silence must not be success")
	}
}

// throughVIP completes the checks of a server that go through the VIP. One becomes as many as the service has VIPs: a
// server may lack any of them.
func throughVIP(check place, s Service, server *Server) {
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

// mayGoThrough refuses a check of a server that cannot go through the VIP it is to go through.
func mayGoThrough(check place, s Service, server Server, c healthcheck.Config) bool {
	switch {
	case s.Virtuals[0].FWMark != 0:
		check.mistake(`remove via = "vip"`, "cannot go through the VIP: a firewall mark has none")
	case server.Method == lvs.NAT:
		check.mistake(`remove via = "vip"`, "cannot go through the VIP: %s has the method %q, want dr or tunnel", server.Addr, server.Method)
	case !c.Source.IsValid() && familyOf(c.Via) != familyOf(server.Addr):
		check.mistake("give the address that the probes come from as source",
			"the VIP %s is of another family than %s", c.Via, server.Addr)
	case c.Source.IsValid() && familyOf(c.Source) != familyOf(c.Via):
		check.mistake("", "the probes cannot come from %s and go to %s, which is of another family", c.Source, c.Via)
	default:
		return true
	}
	return false
}

// resolveChecks puts the checks that services and servers use in their place, and warns of those that nobody does.
func resolveChecks(at place, f *file) {
	used := make(map[string]bool)
	for i := range f.Services {
		s, here := &f.Services[i], at.key("service").index(i)
		own := f.resolve(here.key("check"), s.uses, used)
		for j := range s.Servers {
			server, there := &s.Servers[j], here.key("server").index(j)
			from := here.key("check")
			server.Checks, server.Pass = slices.Clone(own), s.Pass
			if there.given("check") {
				from = there.key("check")
				server.Checks = f.resolve(from, server.uses, used)
			}
			if server.ownPass != 0 {
				server.Pass = server.ownPass
			}
			checkEndpoints(from, there, *server)
			if here.sound("virtual", "method") && there.sound("address", "method") {
				throughVIP(from, *s, server)
			}
			server.uses, server.ownPass = nil, 0
		}
		s.uses = nil
	}
	for _, name := range slices.Sorted(maps.Keys(f.checks)) {
		if !used[name] && at.key("service").sound() {
			at.key("check").key(name).warn("", "has no effect: no [[service]] uses it")
		}
	}
}

// resolve returns the checks behind uses.
func (f *file) resolve(at place, uses []checkUse, used map[string]bool) []healthcheck.Config {
	var all []healthcheck.Config
	for i, use := range uses {
		if use.name == "" {
			all = append(all, use.check)
			continue
		}
		here := at
		if _, isString := at.value.(string); !isString {
			here = at.index(i)
		}
		used[use.name] = true
		check, ok := f.checks[use.name]
		if !ok && here.sound() {
			hint := ""
			if c := nearest(use.name, slices.Sorted(maps.Keys(f.checks))); c != "" {
				hint = "did you mean `" + c + "`?"
			}
			here.mistake(hint, "there is no [check.%s]", use.name)
		}
		if ok {
			all = append(all, check)
		}
	}
	return all
}

// checkEndpoints refuses checks that have no port to go to, or cannot come from where they should.
func checkEndpoints(check, server place, s Server) {
	if !check.sound() || !server.sound("address", "port") || !s.Addr.IsValid() {
		return
	}
	for _, c := range s.Checks {
		to := s.Addr
		if c.Address.IsValid() {
			to = c.Address
		}
		hasNone := c.Type == healthcheck.Exec || c.Type == healthcheck.Ping
		switch {
		case c.Port == 0 && s.Port == 0 && !hasNone:
			check.key("port").mistake("", "is missing: behind a firewall mark or port 0, server %s has no port of its own", s.Addr)
			return
		case c.Source.IsValid() && c.Via != serviceVIP && familyOf(c.Source) != familyOf(to):
			check.mistake("", "the probes cannot come from %s and go to %s, which is of another family", c.Source, to)
			return
		}
	}
}
