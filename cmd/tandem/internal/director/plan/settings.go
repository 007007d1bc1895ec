// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// director adds the lines about the director as a whole.
func (p *planner) director() {
	for _, f := range p.Fixed {
		p.add(api.PlanLine{
			Harm: api.Refuses, Area: areaDirector, Op: opChange, Object: f.Key, Change: fmt.Sprintf("%q → %q", f.Was, f.Is),
			Cost: "cannot change while running: restart needed",
		})
	}
	was, is := p.Before.Config, p.After.Config
	var fields []field
	for _, part := range []struct {
		prefix  string
		was, is any
	}{
		{"log.", was.Log, is.Log}, {"metrics.", was.Metrics, is.Metrics}, {"web.", was.Web, is.Web}, {"election.", was.Election, is.Election},
		{"peer.", was.Peer, is.Peer}, {"drill.", was.Drill, is.Drill},
	} {
		for _, f := range differing(part.was, part.is, "Key") {
			fields = append(fields, field{part.prefix + f.key, f.was, f.is})
		}
	}
	for _, f := range differing(was.Control, is.Control, "Socket") {
		fields = append(fields, field{"control." + f.key, f.was, f.is})
	}
	if was.Peer.Key != is.Peer.Key {
		fields = append(fields, peerKey(was.Peer, is.Peer))
	}
	for _, f := range differing(was.LVS, is.LVS, "Sync", "Sysctl", "Timeouts") {
		fields = append(fields, field{"lvs." + f.key, f.was, f.is})
	}
	if was.Name != is.Name {
		fields = append(fields, field{"name", text(was.Name), text(is.Name)})
	}
	for _, f := range fields {
		l := api.PlanLine{Area: areaDirector, Op: opChange, Object: f.key, Change: f.was + " → " + f.is}
		if f.key == "metrics.listen" {
			l.Cost = "Prometheus must ask at the new address"
		}
		if f.key == "web.listen" {
			l.Cost = "browsers must open the page at the new address"
		}
		if strings.HasPrefix(f.key, "peer.") {
			l.Cost = channelCost(was.Peer, is.Peer)
		}
		if f.key == "peer.accept_config" && is.Peer.AcceptConfig {
			l.Cost = "who has the key of the channel can run any program on this machine; the channel connects again"
		}
		p.add(l)
	}
}

// peerKey tells of another key of the channel, without showing it.
func peerKey(was, is configs.Peer) field {
	switch {
	case was.Key.Len() == 0:
		return field{"peer.key", "none", "a secret"}
	case is.Key.Len() == 0:
		return field{"peer.key", "a secret", "none"}
	}
	return field{"peer.key", "one secret", "another"}
}

// channelCost says what happens to the channel when a setting of it changes.
func channelCost(was, is configs.Peer) string {
	switch {
	case !was.On():
		return "the channel begins when the other director has [peer] too"
	case !is.On():
		return "the channel to the other director ends"
	}
	return "the channel to the other director connects again, and needs what fits there"
}

// settings adds the lines about connection sync and about kernel settings.
func (p *planner) settings() {
	p.sync()
	due := make(map[lvs.SettingChange]bool)
	for _, c := range slices.Concat(p.SettingsBefore.Set, p.SettingsBefore.Restore) {
		due[c] = true
	}
	line := func(c lvs.SettingChange, cost string) {
		if due[c] {
			return
		}
		p.add(api.PlanLine{
			Area: areaSysctl, Op: opChange, Object: c.Name(), Change: c.Old + " → " + c.New, Cost: cost,
			Setting: c.Path, Old: c.Old, New: c.New,
		})
	}
	for _, c := range p.SettingsAfter.Set {
		cost := fmt.Sprintf("before tandem it was %s", p.SettingsAfter.Before[c.Path].Former)
		line(c, cost)
	}
	for _, c := range p.SettingsAfter.Restore {
		line(c, "its value before tandem")
	}
	p.timeouts()
	// A setting that the file names, and that has the value already, is not written.
	for _, name := range slices.Sorted(maps.Keys(p.After.Config.LVS.Sysctl)) {
		value := p.After.Config.LVS.Sysctl[name]
		old, had := p.Before.Config.LVS.Sysctl[name]
		set := slices.ContainsFunc(p.SettingsAfter.Set, func(c lvs.SettingChange) bool { return c.Name() == "net.ipv4.vs."+name })
		if !set && (!had || old != value) {
			p.add(api.PlanLine{
				Area: areaSysctl, Op: opAdd, Object: "net.ipv4.vs." + name, Change: "kept at " + value, Cost: "the kernel has this value already",
			})
		}
	}
}

// timeouts adds the lines about timeouts that the file names or no longer names, and that are not written.
func (p *planner) timeouts() {
	had, has := p.Before.Config.LVS.Timeouts.Settings(), p.After.Config.LVS.Timeouts.Settings()
	written := slices.Concat(p.SettingsAfter.Set, p.SettingsAfter.Restore)
	for _, path := range slices.Sorted(maps.Keys(merged(had, has))) {
		if slices.ContainsFunc(written, func(c lvs.SettingChange) bool { return c.Path == path }) || had[path] == has[path] {
			continue
		}
		l := api.PlanLine{Area: areaSysctl, Op: opAdd, Object: lvs.SettingName(path), Change: "kept at " + has[path], Cost: "the kernel has this value already"}
		if has[path] == "" {
			l.Op, l.Change, l.Cost = opRemove, "no longer kept at "+had[path], "the kernel's value stays"
		}
		p.add(l)
	}
}

func merged(a, b map[string]string) map[string]string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// sync adds the line about connection sync.
func (p *planner) sync() {
	was, is := p.Before.Config.LVS.Sync, p.After.Config.LVS.Sync
	l := api.PlanLine{Area: areaSync, Object: "connection sync"}
	switch {
	case was == is:
		return
	case is == lvs.Sync{}:
		l.Op, l.Change = opRemove, fmt.Sprintf("%s, id %d", was.Interface, was.ID)
		l.Cost = "the peer gets no more copies: established connections do not survive a failover"
	case was == lvs.Sync{}:
		l.Op, l.Change = opAdd, fmt.Sprintf("%s, id %d, %s", is.Interface, is.ID, is.Roles)
		l.Cost = "the peer needs the same"
	default:
		l.Op, l.Change = opChange, written(differing(was, is))
		l.Cost = "stops and starts: until the peer has the same, new connections do not survive a failover"
	}
	p.add(l)
}
