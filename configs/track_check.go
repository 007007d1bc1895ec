// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// thisMachine is the address that a tracked check asks by default.
var thisMachine = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// given reports whether there is a check at all.
func (u checkUse) given() bool { return u.name != "" || u.check.Type != 0 }

// String describes the check in a line: "web", or "http 127.0.0.1:80/healthz".
func (u checkUse) String() string {
	if u.name != "" {
		return u.name
	}
	c := u.check
	words := c.Type.String()
	if to := trackEndpoint(c); c.Type == healthcheck.Ping {
		words += " " + to.Addr().String()
	} else {
		words += " " + to.String()
	}
	switch c.Type {
	case healthcheck.HTTP, healthcheck.HTTPS:
		words += c.Path
	case healthcheck.GRPC:
		if c.Service != "" {
			words += "/" + c.Service
		}
	case healthcheck.DNS:
		words += " " + c.Query.Name + " " + c.Query.Type
	}
	return words
}

// trackEndpoint returns where a tracked check connects to.
func trackEndpoint(c healthcheck.Config) netip.AddrPort {
	if !c.Address.IsValid() {
		c.Address = thisMachine
	}
	return netip.AddrPortFrom(c.Address, c.Port)
}

// resolveTrack gives a track its check, and refuses checks that need a real server.
func (f *file) resolveTrack(at toml.Node, t *tracked, used map[string]bool) {
	if !t.use.given() || !at.Sound("check") {
		return
	}
	here := at.Key("check")
	all := f.resolve(here, []checkUse{t.use}, used)
	if len(all) == 0 {
		return
	}
	c := all[0]
	switch {
	case c.Type == healthcheck.Exec:
		here.Mistake("write script = [...] instead of check", "a check of type exec cannot be tracked")
	case c.Type == healthcheck.File:
		here.Mistake("write file = \"/PATH\" instead of check", "a check of type file cannot be tracked: it has the weight of a real server")
	case c.Type == healthcheck.Agent:
		here.Mistake("use another type", "a check of type agent cannot be tracked: it reports the weight of a real server")
	case c.Via.IsValid():
		here.Mistake(`remove via = "vip"`, "a tracked check has no real server that it could ask through the VIP")
	case c.Type == healthcheck.Ping && !c.Address.IsValid():
		here.Key("address").Mistake("", "is missing: a tracked ping needs the address of another machine")
	case c.Type != healthcheck.Ping && c.Port == 0:
		here.Key("port").Mistake("", "is missing: there is no real server whose port could be used")
	case c.Source.IsValid() && c.Source.Is4() != trackEndpoint(c).Addr().Is4():
		here.Mistake("", "the probes cannot come from %s and go to %s, which is of another family", c.Source, trackEndpoint(c).Addr())
	}
	c.Address = trackEndpoint(c).Addr()
	t.use.check = c
}
