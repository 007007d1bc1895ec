// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/lvs"
)

// A Plan is the steps from the present state to the wanted one: first stop ARP for the VIPs, then add the VIPs, then remove
// in reverse order what is no longer wanted.
type Plan struct {
	Steps []Step
	// before is the record to store before the first step. after is the record to store after the last one.
	before, after Record
}

// MakePlan returns the steps that make the machine what c says. The zero Config undoes all that is in r. The error is a
// *Refusal.
func MakePlan(c Config, s State, r Record) (Plan, error) {
	if err := refuse(c, s, r); err != nil {
		return Plan{}, err
	}
	p := planner{config: c, state: s, record: r.clone()}
	p.loadModules()
	p.silence()
	p.persist()
	p.claim()
	before := p.record.clone()
	p.withdraw()
	return Plan{Steps: p.steps, before: before, after: p.record}, nil
}

type planner struct {
	config   Config
	state    State
	record   Record
	settings lvs.SettingsPlan
	steps    []Step
}

func (p *planner) add(s Step) { p.steps = append(p.steps, s) }

// loadModules makes the tunnel interfaces that are missing.
func (p *planner) loadModules() {
	for _, name := range p.config.Devices() {
		module := tunnels[name].module
		if _, there := p.state.link(name); there || module == "" {
			continue
		}
		if !slices.Contains(p.state.Loaded, module) && !slices.Contains(p.record.Modules, module) {
			p.record.Modules = append(p.record.Modules, module)
		}
		p.add(Step{Action: LoadModule, Name: module})
	}
}

// wantedSysctls returns the paths of the settings, in the order in which they are to be made.
func wantedSysctls(c Config, s State) []string {
	var paths []string
	if c.has4() && c.Method == Sysctl {
		for _, iface := range append([]string{"all"}, s.silent(c)...) {
			paths = append(paths, sysctl(iface, "arp_ignore"), sysctl(iface, "arp_announce"))
		}
	}
	if c.has4() && c.Mode == Tunnel {
		// A client's packet arrives through the tunnel, and the route back to the client does not lead there.
		paths = append(paths, sysctl(tunnel4, "rp_filter"))
	}
	return paths
}

// wantedValue is the value of a setting that is not settled.
func wantedValue(file string) string {
	switch path.Base(file) {
	case "arp_announce", "rp_filter":
		return "2"
	}
	return "1"
}

// settled tells whether a setting has the wanted effect already. The kernel uses the larger one of the value for an
// interface and that for all.
func settled(file string, s State) bool {
	name := path.Base(file)
	v := max(s.number(file), s.number(sysctl("all", name)))
	switch name {
	case "arp_ignore":
		// 2 is stricter than 1, and 8 answers nothing. 3 answers for addresses of other interfaces.
		return v == 1 || v == 2 || v == 8
	case "arp_announce":
		return v == 2
	case "rp_filter":
		return v == 0 || v == 2
	}
	return false
}

// silence hides the VIPs.
func (p *planner) silence() {
	want := make(map[string]string)
	for _, file := range wantedSysctls(p.config, p.state) {
		if settled(file, p.state) {
			want[file] = p.state.Sysctls[file]
			continue
		}
		want[file] = wantedValue(file)
		p.add(Step{Action: SetSysctl, Name: file, Value: wantedValue(file) + "\n"})
	}
	p.settings = lvs.PlanSettings(p.state.Sysctls, want, p.record.changed())
	p.record.Sysctls = formers(p.settings.Before)
	if rules := wantedRules(p.config, p.state); len(rules) > 0 {
		p.record.Filter = true
		if !slices.Equal(rules, p.state.Filter) {
			p.add(Step{Action: InstallFilter, Rules: rules})
		}
	}
}

// persist writes the file from which the settings are applied at boot.
func (p *planner) persist() {
	file := p.config.DropIn
	if file == "" {
		return
	}
	if former := p.record.DropIn; former != "" && former != file {
		p.add(Step{Action: RemoveDropIn, Name: former})
	}
	p.record.DropIn = file
	if text := dropIn(p.config, p.state); text != p.state.DropIn {
		p.add(Step{Action: WriteDropIn, Name: file, Value: text})
	}
}

// dropIn is the text of that file, in the form of sysctl.d(5). The leading "-" ignores interfaces that do not exist yet.
func dropIn(c Config, s State) string {
	var b strings.Builder
	b.WriteString("# Written by tandem: a real server is silent about the virtual addresses.\n")
	for _, file := range wantedSysctls(c, s) {
		fmt.Fprintf(&b, "-%s = %s\n", file, wantedValue(file))
	}
	return b.String()
}

// claim adds the VIPs where they belong, and removes them from everywhere else.
func (p *planner) claim() {
	for _, name := range p.config.Devices() {
		if l, _ := p.state.link(name); !l.Up {
			if !slices.Contains(p.record.Up, name) {
				p.record.Up = append(p.record.Up, name)
			}
			p.add(Step{Action: LinkUp, Name: name})
		}
	}
	for _, vip := range p.config.VIPs {
		want := Address{Interface: p.config.device(vip), Prefix: whole(vip)}
		switch {
		case !p.state.holds(want):
			if !slices.Contains(p.record.Added, want) {
				p.record.Added = append(p.record.Added, want)
			}
			p.add(Step{Action: AddAddress, Address: want})
		case !slices.Contains(p.state.Local, Route{want.Interface, vip}):
			p.add(Step{Action: AddLocalRoute, Address: want})
		}
	}
	for _, a := range p.state.misplaced(p.config) {
		ours := slices.ContainsFunc(p.record.Added, func(b Address) bool { return b.Interface == a.Interface && b.Prefix == a.Prefix })
		if !ours && !slices.Contains(p.record.Displaced, a) {
			p.record.Displaced = append(p.record.Displaced, a)
		}
		p.add(Step{Action: DeleteAddress, Address: a})
	}
}

// misplaced returns the VIPs that are on an interface, or with a prefix length, that they should not have.
func (s State) misplaced(c Config) (all []Address) {
	for _, l := range s.Links {
		for _, a := range l.Addrs {
			vip := a.Prefix.Addr()
			if slices.Contains(c.VIPs, vip) && (l.Name != c.device(vip) || a.Prefix != whole(vip)) {
				all = append(all, a)
			}
		}
	}
	return all
}

// withdraw undoes what is in the record and no longer wanted.
func (p *planner) withdraw() {
	wanted := func(vip netip.Addr) bool { return slices.Contains(p.config.VIPs, vip) }
	p.record.Added = slices.DeleteFunc(p.record.Added, func(a Address) bool {
		vip := a.Prefix.Addr()
		if wanted(vip) {
			return p.config.device(vip) != a.Interface // taken off by claim
		}
		if p.state.holds(a) {
			p.add(Step{Action: DeleteAddress, Address: a})
		}
		return true
	})
	p.record.Up = slices.DeleteFunc(p.record.Up, func(name string) bool {
		if slices.Contains(p.config.Devices(), name) {
			return false
		}
		if l, there := p.state.link(name); there && l.Up {
			p.add(Step{Action: LinkDown, Name: name})
		}
		return true
	})
	if p.record.Filter && len(wantedRules(p.config, p.state)) == 0 {
		if p.state.Filter != nil {
			p.add(Step{Action: RemoveFilter})
		}
		p.record.Filter = false
	}
	for _, c := range p.settings.Restore {
		p.add(Step{Action: SetSysctl, Name: c.Path, Value: c.New})
	}
	p.record.Sysctls = formers(p.settings.After)
	p.record.Displaced = slices.DeleteFunc(p.record.Displaced, func(a Address) bool {
		if wanted(a.Prefix.Addr()) {
			return false
		}
		if !p.state.holds(a) {
			p.add(Step{Action: AddAddress, Address: a})
		}
		return true
	})
	if p.record.DropIn != "" && p.config.DropIn == "" {
		p.add(Step{Action: RemoveDropIn, Name: p.record.DropIn})
		p.record.DropIn = ""
	}
	p.unloadModules()
}

// unloadModules unloads the modules that we loaded, except those that somebody else uses by now.
func (p *planner) unloadModules() {
	p.record.Modules = slices.DeleteFunc(p.record.Modules, func(module string) bool {
		if slices.ContainsFunc(p.config.Devices(), func(name string) bool { return tunnels[name].module == module }) {
			return false
		}
		if slices.Contains(p.state.Unused, module) {
			p.add(Step{Action: UnloadModule, Name: module})
		}
		return true
	})
}
