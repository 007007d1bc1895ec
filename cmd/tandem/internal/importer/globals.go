// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"net/netip"
	"strings"
	"time"
)

// globals are what global_defs says.
type globals struct {
	name             *statement // router_id
	mails            []string
	mailAt           Place
	alert            *bool // smtp_alert
	alertRouters     *bool
	alertServers     *bool
	noFaults         bool
	defaultInterface string
	sync             *statement
	flush            *statement
	timeouts         *statement
	flushOnStop      Place
	announce         announce
	version          int64
	realtime         Place
	startupDelay     time.Duration
	startupAt        Place
	macvlanPrefix    string
	scriptUser       string
	downAdverts      *statement
	checksum         *statement
}

var globalHandlers = map[string]func(*converter, *globals, *statement){
	"router_id": func(c *converter, g *globals, s *statement) { g.name = s },
	"lvs_id":    func(c *converter, g *globals, s *statement) { g.name = s },
	"notification_email": func(c *converter, g *globals, s *statement) {
		g.mailAt = s.at
		for _, to := range s.block {
			g.mails = append(g.mails, to.words...)
		}
	},
	"smtp_alert":         func(c *converter, g *globals, s *statement) { g.alert = c.flag(s) },
	"smtp_alert_vrrp":    func(c *converter, g *globals, s *statement) { g.alertRouters = c.flag(s) },
	"smtp_alert_checker": func(c *converter, g *globals, s *statement) { g.alertServers = c.flag(s) },
	"no_email_faults":    func(c *converter, g *globals, s *statement) { g.noFaults = true },
	"default_interface":  func(c *converter, g *globals, s *statement) { g.defaultInterface = s.value() },
	"lvs_sync_daemon":    func(c *converter, g *globals, s *statement) { g.sync = s },
	"lvs_timeouts":       func(c *converter, g *globals, s *statement) { g.timeouts = s },
	"lvs_flush":          func(c *converter, g *globals, s *statement) { g.flush = s },
	"lvs_flush_on_stop":  func(c *converter, g *globals, s *statement) { g.flushOnStop = s.at },
	"lvs_flush_onstop":   func(c *converter, g *globals, s *statement) { g.flushOnStop = s.at },
	"vrrp_garp_master_delay": func(c *converter, g *globals, s *statement) {
		g.announce.delay = c.duration(s, &g.announce)
	},
	"vrrp_garp_master_repeat": func(c *converter, g *globals, s *statement) { g.announce.repeat = c.count(s, &g.announce) },
	"vrrp_garp_master_refresh": func(c *converter, g *globals, s *statement) {
		g.announce.refresh = c.duration(s, &g.announce)
	},
	"vrrp_garp_interval": func(c *converter, g *globals, s *statement) { g.announce.garp = c.duration(s, &g.announce) },
	"vrrp_gna_interval":  func(c *converter, g *globals, s *statement) { g.announce.na = c.duration(s, &g.announce) },
	"vrrp_min_garp": func(c *converter, g *globals, s *statement) {
		if v := c.flag(s); v != nil && *v {
			one, none := int64(1), time.Duration(0)
			g.announce.repeat, g.announce.delay, g.announce.at = &one, &none, s.at
		}
	},
	"vrrp_down_timer_adverts": func(c *converter, g *globals, s *statement) { g.downAdverts = s },
	"v3_checksum_as_v2":       func(c *converter, g *globals, s *statement) { g.checksum = s },
	"vrrp_version": func(c *converter, g *globals, s *statement) {
		if n, ok := c.integer(s, 2, 3); ok {
			g.version = n
		}
	},
	"max_auto_priority": func(c *converter, g *globals, s *statement) {
		if s.value() != "0" && s.value() != "-1" {
			g.realtime = s.at
		}
	},
	"vrrp_priority":    func(c *converter, g *globals, s *statement) { g.realtime = s.at },
	"vrrp_no_swap":     func(c *converter, g *globals, s *statement) { g.realtime = s.at },
	"vrrp_rt_priority": func(c *converter, g *globals, s *statement) { g.realtime = s.at },
	"script_user": func(c *converter, g *globals, s *statement) {
		g.scriptUser = s.value()
		c.refuseGroup(s, s.value(), s.valueAt(2))
	},
	"vrrp_startup_delay": func(c *converter, g *globals, s *statement) {
		if d, ok := c.seconds(s); ok {
			g.startupDelay, g.startupAt = d, s.at
		}
	},
	"vmac_prefix": func(c *converter, g *globals, s *statement) { g.macvlanPrefix = s.value() },
}

// flag reads a word for true or false; nil if it is none.
func (c *converter) flag(s *statement) *bool {
	if v, ok := c.boolean(s); ok {
		return &v
	}
	return nil
}

// refuseGroup notes the group of a user, which tandem does not have. The group with the user's name is the user's own. A colon
// before the group asks for the supplementary groups of the user too.
func (c *converter) refuseGroup(s *statement, user, group string) {
	group, all := strings.CutPrefix(group, ":")
	switch {
	case group != "" && group != user:
		c.note(s.at, "make it the user's own group, or use another user",
			"%s: a program runs with its user's own group, and not with %s",
			s.keyword(), abbreviate(group))
	case all:
		c.note(s.at, byKeyword[[2]string{"global_defs", "set_supplementary_groups"}].text,
			"%s: a program runs without the supplementary groups of %s", s.keyword(), abbreviate(user))
	}
}

// emitTop writes the keys and tables that come before the virtual routers.
func (c *converter) emitTop(d *table) {
	g := &c.global
	switch {
	case c.source.Name != "":
		d.set(Place{}, "name", tomlString(c.source.Name))
	case g.name != nil && identifier(g.name.value()) == g.name.value() && g.name.value() != "":
		d.set(g.name.at, "name", tomlString(g.name.value()))
	case g.name != nil:
		d.set(g.name.at, "name", tomlString(identifier(g.name.value())))
		c.note(g.name.at, "", "%s: a name has no white space and no slash: it is %s now", g.name.keyword(),
			abbreviate(identifier(g.name.value())))
	}
	if g.realtime.File != "" {
		d.child(g.realtime, "election", false).set(g.realtime, "realtime", "true")
	}
}

// identifier returns a name that tandem accepts.
func identifier(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || r == '/' || r == '\\' || r > 127 {
			return '-'
		}
		return r
	}, s)
	if len(s) > 64 {
		s = s[:64]
	}
	if s == "" {
		return "unnamed"
	}
	return s
}

// emitTable writes what is said about the IPVS table as a whole.
func (c *converter) emitTable(d *table) {
	g := &c.global
	l := &table{key: "lvs"}
	if len(c.services) > 0 {
		l.at = c.services[0].at
		l.set(l.at, "on_stop", `"remove"`).because(`as keepalived; with "keep" clients are served while tandem restarts`)
	}
	if g.flushOnStop.File != "" && len(c.services) == 0 {
		l.set(g.flushOnStop, "on_stop", `"remove"`)
	}
	if g.flush != nil {
		l.set(g.flush.at, "manage", `"all"`)
	}
	if g.sync != nil {
		c.emitSync(l, g.sync)
	} else {
		c.emitOldSync(l)
	}
	if g.timeouts != nil {
		c.emitTimeouts(l, g.timeouts)
	}
	if len(l.entries)+len(l.children) > 0 {
		d.children = append(d.children, l)
	}
}

// emitTimeouts translates lvs_timeouts [tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]. 0 leaves a timeout as it is.
func (c *converter) emitTimeouts(l *table, s *statement) {
	t := &table{key: "timeouts", at: s.at}
	keys := map[string]string{"tcp": "tcp", "tcpfin": "tcp_fin", "udp": "udp"}
	for k := 1; k < len(s.words); k += 2 {
		name, value := s.words[k], s.valueAt(k+1)
		c.option(s.at, "timeouts", name)
		d, ok := seconds(value)
		if keys[name] == "" || !ok {
			c.note(s.at, "", "lvs_timeouts: %s is not understood", abbreviate(name+" "+value))
			continue
		}
		if d = d.Truncate(time.Second); d > 0 {
			t.set(s.at, keys[name], span(d))
		}
	}
	if len(t.entries) > 0 {
		l.children = append(l.children, t)
	}
}

// emitSync translates lvs_sync_daemon INTERFACE [[inst] INSTANCE] [OPTION VALUE]…
func (c *converter) emitSync(l *table, s *statement) {
	t := l.child(s.at, "sync", false)
	t.set(s.at, "interface", tomlString(s.value()))
	id, has := int64(0), false
	rest := s.words[min(2, len(s.words)):]
	for len(rest) > 0 {
		name := rest[0]
		row, ok := c.option(s.at, "sync daemon", name)
		if !ok { // the name of a vrrp_instance
			if i := c.instance(name); i != nil && !has {
				id = i.vrid
			}
			rest = rest[1:]
			continue
		}
		value := ""
		if len(rest) > 1 {
			value = rest[1]
		}
		rest = rest[min(2, len(rest)):]
		n, number := integer(value, 0, 65535)
		switch {
		case name == "inst":
			if i := c.instance(value); i != nil && !has {
				id = i.vrid
			}
		case name == "group":
			if _, err := netip.ParseAddr(value); err == nil {
				t.set(s.at, "group", tomlString(value))
			}
		case !number:
			c.note(s.at, "", "%s: %s %s is not a number", s.keyword(), name, abbreviate(value))
		case name == "id":
			id, has = n, true
		case name == "maxlen":
			t.set(s.at, "max_len", tomlInt(n))
		case row.fate == translated:
			t.set(s.at, name, tomlInt(n))
		}
	}
	c.syncID(t, s, id)
}

// syncID writes the id of the pair. keepalived may have 0, which is none for tandem.
func (c *converter) syncID(t *table, s *statement, id int64) {
	if id == 0 {
		c.note(s.at, "both directors need the same id", "%s: tandem needs an id from 1 to 255: it is 1 now", s.keyword())
		id = 1
	}
	t.set(s.at, "id", tomlInt(id))
}

// emitOldSync translates lvs_sync_daemon_interface of the first virtual router that has it.
func (c *converter) emitOldSync(l *table) {
	for _, i := range c.instances {
		if s := i.sync; s != nil {
			t := l.child(s.at, "sync", false)
			t.set(s.at, "interface", tomlString(s.value()))
			c.syncID(t, s, i.vrid)
			return
		}
	}
}

func (c *converter) instance(name string) *instance {
	for _, i := range c.instances {
		if i.name == name {
			return i
		}
	}
	return nil
}
