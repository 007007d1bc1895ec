// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/lvs"
)

// A Plan is the steps from the present state to the wanted one: first turn ARP for the VIPs off, then add the VIPs, then
// remove in reverse order what is no longer wanted.
type Plan struct {
	Steps []Step
	// before is the record to store before the first step. after is the record to store after the last one.
	before, after Record
}

// MakePlan returns the steps that make the machine as c says. The zero Config undoes everything in r. The error is a
// *Refusal.
func MakePlan(c Config, s State, r Record) (Plan, error) {
	if err := refuse(c, s, r); err != nil {
		return Plan{}, err
	}
	p := planner{config: c, state: s, record: r.clone()}
	if len(c.VIPs) > 0 {
		p.record.Config = c
	}
	p.loadModules()
	p.silence()
	p.persist()
	p.claim()
	p.route()
	before := p.record.clone()
	p.withdraw()
	p.record.Config = c
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

// silenceSysctls returns the paths of the settings that hide the VIPs.
func silenceSysctls(c Config, s State) (paths []string) {
	if !c.has4() || c.Method != Sysctl {
		return nil
	}
	for _, iface := range append([]string{"all"}, s.silent(c)...) {
		paths = append(paths, sysctl(iface, "arp_ignore"), sysctl(iface, "arp_announce"))
	}
	return paths
}

// wantedSysctls returns the paths of the settings, in the order in which they are to be made.
func wantedSysctls(c Config, s State) []string {
	var paths []string
	if !s.Quiet {
		paths = silenceSysctls(c, s)
	}
	if c.has4() && c.Mode == Tunnel {
		// A client's packet arrives through the tunnel, but the route back to the client does not use the tunnel.
		paths = append(paths, sysctl(tunnel4, "rp_filter"))
	}
	return paths
}

// wantedValue returns the value that a setting needs.
func wantedValue(file string) string {
	switch path.Base(file) {
	case "arp_announce", "rp_filter":
		return "2"
	}
	return "1"
}

// settled reports whether a setting has the wanted effect already. The kernel uses the larger one of the value for an
// interface and that for all.
func settled(file string, s State) bool {
	name := path.Base(file)
	return enough(name, max(s.number(file), s.number(sysctl("all", name))))
}

// enough reports whether a value of a setting has the wanted effect.
func enough(name string, v int) bool {
	switch name {
	case "arp_ignore":
		// 2 is stricter than 1, and 8 means no answers at all. 3 means answers for addresses of other interfaces.
		return v == 1 || v == 2 || v == 8
	case "arp_announce":
		return v == 2
	case "rp_filter":
		return v == 0 || v == 2
	}
	return false
}

// silence adds the steps that turn ARP off for the VIPs.
func (p *planner) silence() {
	want := make(map[string]string)
	for _, file := range wantedSysctls(p.config, p.state) {
		if now, there := p.state.Sysctls[file]; there {
			p.record.seeSysctl(file, now)
		}
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
	if p.record.DropIn != file {
		if p.record.DropIn != "" {
			p.add(p.formerFile())
		}
		p.record.FormerDropIn = p.state.DropIn
		if strings.HasPrefix(p.state.DropIn, dropInHeader) {
			p.record.FormerDropIn = "" // an earlier apply wrote it, and its record is lost
		}
	}
	p.record.DropIn = file
	if text := dropIn(p.config, p.state); text != p.state.DropIn {
		p.add(Step{Action: WriteDropIn, Name: file, Value: text})
	}
}

const dropInHeader = "# Written by tandem: a real server is silent about the virtual addresses.\n"

// dropIn returns the text of that file, in the form of sysctl.d(5). The leading "-" ignores interfaces that do not exist yet.
// A setting that is stricter than needed stays.
func dropIn(c Config, s State) string {
	var b strings.Builder
	b.WriteString(dropInHeader)
	for _, file := range wantedSysctls(c, s) {
		value := wantedValue(file)
		if enough(path.Base(file), s.number(file)) && s.value(file) != "" {
			value = s.value(file)
		}
		fmt.Fprintf(&b, "-%s = %s\n", file, value)
	}
	return b.String()
}

// withdraw adds the steps that undo everything in the record that is no longer wanted.
func (p *planner) withdraw() {
	p.unroute()
	p.unclaim()
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
	p.reclaim()
	if p.record.DropIn != "" && p.config.DropIn == "" {
		p.add(p.formerFile())
		p.record.DropIn, p.record.FormerDropIn = "", ""
	}
	p.unkeep()
	p.unloadModules()
}

// formerFile restores the file in the record.
func (p *planner) formerFile() Step {
	if former := p.record.FormerDropIn; former != "" {
		return Step{Action: WriteDropIn, Name: p.record.DropIn, Value: former}
	}
	return Step{Action: RemoveDropIn, Name: p.record.DropIn}
}

// unloadModules adds the steps that unload the modules that tandem has loaded, except those that another program uses by now.
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
