// SPDX-License-Identifier: Apache-2.0

package importer

// A syncGroup is a vrrp_sync_group.
type syncGroup struct {
	at      Place
	name    string
	members []string
	tracks  []reference
	notifications
	weights bool // the weights of its members' tracks count
}

func groupNotifications(g *syncGroup) *notifications { return &g.notifications }

var groupHandlers = map[string]func(*converter, *syncGroup, *statement){
	"group": func(c *converter, g *syncGroup, s *statement) {
		for _, member := range s.block {
			g.members = append(g.members, member.words...)
		}
	},
	"track_interface": func(c *converter, g *syncGroup, s *statement) {
		g.tracks = append(g.tracks, c.references("interface", s)...)
	},
	"track_script": func(c *converter, g *syncGroup, s *statement) {
		g.tracks = append(g.tracks, c.references("script", s)...)
	},
	"track_file": func(c *converter, g *syncGroup, s *statement) {
		g.tracks = append(g.tracks, c.references("file", s)...)
	},
	"track_process": func(c *converter, g *syncGroup, s *statement) {
		g.tracks = append(g.tracks, c.references("process", s)...)
	},
	"notify_master":              told(groupNotifications, "master"),
	"notify_backup":              told(groupNotifications, "backup"),
	"notify_fault":               told(groupNotifications, "fault"),
	"notify_stop":                told(groupNotifications, "stop"),
	"notify":                     toldAll(groupNotifications),
	"smtp_alert":                 alerted(groupNotifications),
	"sync_group_tracking_weight": func(c *converter, g *syncGroup, s *statement) { g.weights = true },
}

func (c *converter) readGroup(s *site, st *statement) {
	g := &syncGroup{at: st.at, name: identifier(st.value())}
	walk(c, "vrrp_sync_group", g, groupHandlers, st.block)
	s.groups = append(s.groups, g)
}

// groupOf returns the group of a virtual router, and whether it is its first member.
func (c *converter) groupOf(i *instance) (g *syncGroup, first bool) {
	for _, g := range c.groups {
		for n, name := range g.members {
			if name == i.name {
				return g, n == 0
			}
		}
	}
	return nil, false
}

// checkGroups notes groups that lack members.
func (c *converter) checkGroups() {
	for _, g := range c.groups {
		known := 0
		for _, name := range g.members {
			if c.instance(name) != nil {
				known++
				continue
			}
			c.note(g.at, "", "vrrp_sync_group: there is no vrrp_instance %s", abbreviate(name))
		}
		if known == 0 {
			c.note(g.at, "", "vrrp_sync_group %s has no member, and keepalived ignores it", abbreviate(g.name))
		}
	}
}

// emitGroups writes the hooks of the groups.
func (c *converter) emitGroups(d *table) {
	for _, g := range c.groups {
		for _, name := range g.members {
			if c.instance(name) != nil {
				c.emitNotifications(d, &g.notifications, g.name)
				break
			}
		}
	}
}
