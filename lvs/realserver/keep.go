// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/lvs"
)

// MakeKeepPlan returns the steps that give sysctls their values, and that write the values to file, which the machine reads when it
// starts. values has the paths as keys. Settings that r keeps already stay kept.
func MakeKeepPlan(values map[string]string, file string, s State, r Record) Plan {
	p := planner{config: r.Config, state: s, record: r.clone()}
	for _, path := range slices.Sorted(maps.Keys(values)) {
		now, there := s.Sysctls[path]
		if !there {
			continue
		}
		c, known := p.record.Kept[path]
		if !known {
			c.Former = now
		}
		c.Ours = values[path]
		p.record.Kept[path] = c
		if !lvs.SameSetting(now, c.Ours) {
			p.add(Step{Action: SetSysctl, Name: path, Value: c.Ours + "\n"})
		}
	}
	if former := p.record.KeptFile; former != "" && former != file {
		p.add(Step{Action: RemoveDropIn, Name: former})
	}
	p.record.KeptFile = file
	p.add(Step{Action: WriteDropIn, Name: file, Value: keptText(p.record.Kept)})
	return Plan{Steps: p.steps, before: p.record, after: p.record}
}

// keptText returns the text of the file of kept settings, in the form of sysctl.d(5).
func keptText(kept map[string]lvs.ChangedSetting) string {
	var b strings.Builder
	b.WriteString("# Written by tandem doctor --fix --persist. `tandem realserver remove` removes it.\n")
	for _, path := range slices.Sorted(maps.Keys(kept)) {
		fmt.Fprintf(&b, "-%s = %s\n", path, kept[path].Ours)
	}
	return b.String()
}

// unkeep adds the steps that undo MakeKeepPlan, if everything is undone. A setting that another program has changed since
// stays.
func (p *planner) unkeep() {
	if len(p.config.VIPs) > 0 {
		return
	}
	for _, c := range lvs.PlanSettings(p.state.Sysctls, nil, p.record.Kept).Restore {
		p.add(Step{Action: SetSysctl, Name: c.Path, Value: c.New})
	}
	if p.record.KeptFile != "" {
		p.add(Step{Action: RemoveDropIn, Name: p.record.KeptFile})
	}
	p.record.Kept, p.record.KeptFile = nil, ""
}

// Keep gives settings their values, by path below /proc/sys. It also writes them to file, in the form of sysctl.d(5), so that
// they have the same values at the start of the machine. Remove undoes this.
func (m *Machine) Keep(values map[string]string, file string) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	s, r, err := m.read(Config{}, slices.Collect(maps.Keys(values)))
	if err != nil {
		return err
	}
	p := MakeKeepPlan(values, file, s, r)
	if err := m.save(p.before); err != nil {
		return err
	}
	for _, step := range p.Steps {
		if err := m.take(step); err != nil {
			return err
		}
	}
	return nil
}
