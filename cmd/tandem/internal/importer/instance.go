// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// An instance is a vrrp_instance.
type instance struct {
	at          Place
	name        string
	iface       *statement
	fallback    string // the interface if there is no other
	carrier     Place
	vrid        int64
	vridAt      Place
	version     int64
	versionAt   Place
	checksum    *statement
	priority    int64
	priorityAt  Place
	advert      *statement
	downAdverts *statement
	nopreempt   *statement
	delay       *statement
	state       *statement
	source      *statement // mcast_src_ip
	unicast     *statement // unicast_src_ip
	peers       *statement
	macvlan     *statement
	xmitBase    *statement // vmac_xmit_base
	authType    *statement
	authPass    *statement
	hmac        *signing
	hmacAt      Place
	vips        []placed
	excluded    []placed
	routes      []*statement
	rules       []*statement
	tracks      []reference
	sync        *statement
	announce
	notifications
}

func instanceNotifications(i *instance) *notifications { return &i.notifications }

func announceKey(set func(*instance, *time.Duration)) func(*converter, *instance, *statement) {
	return func(c *converter, i *instance, s *statement) { set(i, c.duration(s, &i.announce)) }
}

func trackKey(kind string) func(*converter, *instance, *statement) {
	return func(c *converter, i *instance, s *statement) { i.tracks = append(i.tracks, c.references(kind, s)...) }
}

var instanceHandlers = map[string]func(*converter, *instance, *statement){
	"interface":           func(c *converter, i *instance, s *statement) { i.iface = s },
	"use_vmac":            func(c *converter, i *instance, s *statement) { i.macvlan = s },
	"vmac_xmit_base":      func(c *converter, i *instance, s *statement) { i.xmitBase = s },
	"dont_track_primary":  func(c *converter, i *instance, s *statement) { i.carrier = s.at },
	"track_interface":     trackKey("interface"),
	"track_script":        trackKey("script"),
	"track_file":          trackKey("file"),
	"track_process":       trackKey("process"),
	"mcast_src_ip":        func(c *converter, i *instance, s *statement) { i.source = s },
	"unicast_src_ip":      func(c *converter, i *instance, s *statement) { i.unicast = s },
	"unicast_peer":        func(c *converter, i *instance, s *statement) { i.peers = s },
	"v3_checksum_as_v2":   func(c *converter, i *instance, s *statement) { i.checksum = s },
	"garp_master_delay":   announceKey(func(i *instance, d *time.Duration) { i.announce.delay = d }),
	"garp_master_refresh": announceKey(func(i *instance, d *time.Duration) { i.refresh = d }),
	"garp_master_repeat":  func(c *converter, i *instance, s *statement) { i.repeat = c.count(s, &i.announce) },
	"down_timer_adverts":  func(c *converter, i *instance, s *statement) { i.downAdverts = s },
	"version": func(c *converter, i *instance, s *statement) {
		if n, ok := c.integer(s, 2, 3); ok {
			i.version, i.versionAt = n, s.at
		}
	},
	"virtual_router_id": func(c *converter, i *instance, s *statement) {
		i.vrid, _ = c.integer(s, 1, 255)
		i.vridAt = s.at
	},
	"priority": func(c *converter, i *instance, s *statement) {
		if n, ok := c.integer(s, 1, 255); ok {
			i.priority, i.priorityAt = n, s.at
		}
	},
	"advert_int": func(c *converter, i *instance, s *statement) { i.advert = s },
	"authentication": func(c *converter, i *instance, s *statement) {
		walk(c, "authentication", i, passwordHandlers, s.block)
	},
	"auth_hmac":         (*converter).readSigning,
	"virtual_ipaddress": func(c *converter, i *instance, s *statement) { i.vips = append(i.vips, c.addresses(s)...) },
	"virtual_ipaddress_excluded": func(c *converter, i *instance, s *statement) {
		i.excluded = append(i.excluded, c.addresses(s)...)
	},
	"virtual_routes":             func(c *converter, i *instance, s *statement) { i.routes = append(i.routes, s.block...) },
	"virtual_rules":              func(c *converter, i *instance, s *statement) { i.rules = append(i.rules, s.block...) },
	"preempt":                    func(c *converter, i *instance, s *statement) { i.nopreempt = nil },
	"nopreempt":                  func(c *converter, i *instance, s *statement) { i.nopreempt = s },
	"preempt_delay":              func(c *converter, i *instance, s *statement) { i.delay = s },
	"notify_master":              told(instanceNotifications, "master"),
	"notify_backup":              told(instanceNotifications, "backup"),
	"notify_fault":               told(instanceNotifications, "fault"),
	"notify_stop":                told(instanceNotifications, "stop"),
	"notify_master_rx_lower_pri": told(instanceNotifications, "contested"),
	"notify":                     toldAll(instanceNotifications),
	"smtp_alert":                 alerted(instanceNotifications),
	"lvs_sync_daemon_interface":  func(c *converter, i *instance, s *statement) { i.sync = s },
}

var passwordHandlers = map[string]func(*converter, *instance, *statement){
	"auth_type": func(c *converter, i *instance, s *statement) { i.authType = s },
	"auth_pass": func(c *converter, i *instance, s *statement) { i.authPass = s },
}

func (c *converter) readInstance(s *site, st *statement) {
	i := &instance{at: st.at, name: st.value(), fallback: s.global.defaultInterface}
	for _, one := range st.block {
		if one.keyword() == "state" {
			i.state = one
		}
	}
	walk(c, "vrrp_instance", i, instanceHandlers, st.block)
	s.instances = append(s.instances, i)
}

// link returns the interface of the virtual router.
func (i *instance) link() string {
	if i.iface != nil {
		return i.iface.value()
	}
	return i.fallback
}

// ipv6 reports whether the VIPs are of IPv6. keepalived takes the family of the first one.
func (i *instance) ipv6() bool {
	if len(i.vips) > 0 {
		return i.vips[0].prefix.Addr().Is6()
	}
	return i.peers != nil && len(i.peers.block) > 0 && strings.Contains(i.peers.block[0].keyword(), ":")
}

// protocol returns the version of VRRP: 2 if the file says nothing, and 3 over IPv6.
func (c *converter) protocol(i *instance) int64 {
	switch {
	case i.ipv6():
		return 3
	case i.version != 0:
		return i.version
	}
	return c.global.version
}

// A router is an instance with its table.
type router struct {
	*instance
	*table
}

// emitRouters writes the virtual routers.
func (c *converter) emitRouters(d *table) {
	c.checkGroups()
	taken := make(map[string]bool)
	for _, i := range c.instances {
		t := d.child(i.at, "vrrp", true)
		name := identifier(i.name)
		if name != i.name {
			c.note(i.at, "", "vrrp_instance: a name has no white space and no slash: it is %s now", abbreviate(name))
		}
		if taken[name] {
			c.note(i.at, "keepalived uses one of them only: remove the other", "vrrp_instance %s is there twice", abbreviate(name))
		}
		taken[name] = true
		t.set(i.at, "name", tomlString(name))
		c.emitRouter(t, i)
		c.routers = append(c.routers, &router{i, t})
	}
	for name, s := range c.scripts {
		if !s.used {
			c.note(s.at, "", "vrrp_script %s: nothing tracks it, so keepalived does not run it", abbreviate(name))
		}
	}
}

func (c *converter) emitRouter(t *table, i *instance) {
	if i.iface == nil {
		c.note(i.at, "write the interface in the network of the peers",
			"vrrp_instance %s has no interface: it is %s now", abbreviate(i.name), abbreviate(i.link()))
		t.set(i.at, "interface", tomlString(i.link()))
	} else {
		t.set(i.iface.at, "interface", tomlString(i.link()))
	}
	if i.carrier.File != "" {
		t.set(i.carrier, "carrier", `"ignore"`)
	}
	if i.vridAt.File == "" {
		i.vridAt = i.at
	}
	t.set(i.vridAt, "vrid", tomlInt(i.vrid))
	version := c.protocol(i)
	if version == 2 {
		at := i.versionAt
		if at.File == "" {
			at = i.at
		}
		t.set(at, "version", "2")
	}
	if s := cmp.Or(i.checksum, c.global.checksum); s != nil && version == 3 && !i.ipv6() {
		if v, ok := c.boolean(s); ok && v {
			t.set(s.at, "checksum", `"packet"`)
		}
	}
	c.emitPassword(t, i, version)
	if i.priority != 0 {
		t.set(i.priorityAt, "priority", tomlInt(i.priority))
	}
	c.emitTimes(t, i, version)
	group, first := c.groupOf(i)
	if group != nil {
		t.set(group.at, "sync_group", tomlString(group.name))
	}
	c.emitAddresses(t, i)
	c.emitUnicast(t, i)
	c.emitDelays(t, i)
	c.emitAnnounce(t, i)
	c.emitSigning(t, i)
	c.emitTracks(t, i, group, first)
	c.emitNotifications(t, &i.notifications, "")
	c.emitRoutes(t, i)
	c.emitRules(t, i)
}

// emitTimes writes the intervals and delays.
func (c *converter) emitTimes(t *table, i *instance, version int64) {
	if s := i.advert; s != nil {
		if d, ok := c.seconds(s); ok {
			if whole := d.Truncate(time.Second); version == 2 && whole != d {
				c.note(s.at, "both directors must have the same interval", "advert_int: version 2 has whole seconds only: %s is %s now",
					d, whole+time.Second)
				d = whole + time.Second
			}
			t.set(s.at, "advert_interval", span(d.Round(10*time.Millisecond)))
		}
	}
	for _, s := range []*statement{i.downAdverts, c.global.downAdverts} {
		if s == nil {
			continue
		}
		if n, ok := c.integer(s, 1, 100); ok && n != 3 {
			if fit := max(3, min(n, 20)); fit != n {
				c.note(s.at, "both directors must have the same number", "%s: %d is out of range: it is %d now", s.keyword(), n, fit)
				n = fit
			}
			t.set(s.at, "down_adverts", tomlInt(n))
		}
		break
	}
	if s := i.nopreempt; s != nil {
		t.set(s.at, "preempt", "false")
		if i.state != nil && strings.EqualFold(i.state.value(), "MASTER") {
			c.note(s.at, "if this director is to take over after its return, remove preempt = false",
				"nopreempt: keepalived ignores it with state MASTER; tandem does not")
		}
	}
	if s := i.delay; s != nil {
		d, ok := c.seconds(s)
		switch {
		case ok && i.nopreempt != nil:
			c.note(s.at, "", "preempt_delay: has no meaning with nopreempt")
		case ok:
			t.set(s.at, "preempt_delay", span(min(d, time.Hour)))
		}
	}
	if d := c.global.startupDelay; d > 0 {
		t.set(c.global.startupAt, "startup_delay", span(min(d, time.Hour)))
	}
}

// emitPassword writes the password. In version 3 there is none, and keepalived ignores it.
func (c *converter) emitPassword(t *table, i *instance, version int64) {
	s := i.authPass
	switch {
	case i.authType != nil && i.authType.value() == "AH":
		c.note(i.authType.at, "use version 3 with [vrrp.hmac] on both directors", "auth_type: AH has no equivalent")
		return
	case s == nil || s.value() == "" || i.authType == nil:
		return
	case version == 3:
		c.note(s.at, "use [vrrp.hmac] on both directors",
			"auth_pass: version 3 has no password, and keepalived ignores it: this never worked")
		return
	}
	password := s.value()
	if len(password) > 8 {
		c.note(s.at, "", "auth_pass: has %d characters, and keepalived sends the first 8: so does the converted file", len(password))
		password = password[:8]
	}
	t.set(s.at, "auth_pass", tomlString(password))
}

// emitUnicast writes where advertisements are sent, and from which address.
func (c *converter) emitUnicast(t *table, i *instance) {
	var peers []string
	least := int64(0)
	at := i.at
	if i.peers != nil {
		at = i.peers.at
		for _, p := range i.peers.block {
			if !slices.Contains(peers, p.keyword()) {
				peers = append(peers, p.keyword())
			}
			for k := 1; k < len(p.words); k++ {
				row, ok := c.option(p.at, "peer", p.words[k])
				switch n, number := integer(p.valueAt(k+1), 0, 255); {
				case !ok:
				case row.fate == missing:
				case number && (least == 0 || n < least):
					least = max(n, 1)
				}
			}
		}
	}
	for _, s := range []*statement{i.source, i.unicast} {
		if s == nil || s == i.source && i.unicast != nil && len(peers) > 0 {
			continue
		}
		key := "source"
		if len(peers) > 0 {
			key = "unicast_source"
		} else if s == i.unicast && i.source != nil {
			continue
		}
		t.set(s.at, key, tomlString(strings.TrimSpace(s.value())))
	}
	if len(peers) == 0 {
		return
	}
	t.setList(at, "unicast_peers", tomlStrings(peers))
	switch {
	case least > 0:
		t.set(at, "unicast_ttl_min", tomlInt(least))
	case i.ipv6():
		t.set(at, "unicast_ttl_min", "64").because("keepalived sends with 64; 255 if both are tandem and no router is between")
	default:
		t.set(at, "unicast_ttl_min", "1").because("keepalived accepts any; 255 if no router is between")
	}
}

// emitTracks writes what the virtual router depends on. The first member of a group has what the group tracks.
func (c *converter) emitTracks(t *table, i *instance, group *syncGroup, first bool) {
	seen := make(map[string]bool)
	add := func(refs []reference, weightless bool) {
		for _, r := range refs {
			x, ok := c.track(r, weightless)
			switch {
			case !ok:
			case seen[x.name]:
				c.note(r.at, "", "track_%s: %s is tracked already: this line is left out", r.kind, abbreviate(r.name))
			default:
				seen[x.name] = true
				t.children = append(t.children, x.table)
			}
		}
	}
	add(i.tracks, group != nil && !group.weights)
	if first {
		add(group.tracks, false)
	}
}
