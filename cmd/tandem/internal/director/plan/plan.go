// SPDX-License-Identifier: Apache-2.0

// Package plan says what a reload of a configuration would change, and what each change costs clients.
//
// It has no diff of its own for what the reload writes. The wanted tables come from a rehearsal of the reload
// (core.Rehearsal), the changes of the table from lvs.Diff, and those of kernel settings from lvs.PlanSettings: a reload uses
// the same functions.
package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// An Input is everything that decides a plan.
type Input struct {
	Now           time.Time
	Before, After core.Prospect
	Fixed         []core.FixedSetting // what the new configuration changes although it cannot change while the director runs
	Routers       []vrrp.Status       // the state of the election
	Peer          *core.Peer          // what the other director tells; nil: there is no channel
	Kernel        []lvs.ServiceStatus // the kernel's table
	Owned         map[lvs.ServiceID]bool
	// Settings are the writes of kernel settings: those that are due anyway, and those that are due after the reload.
	SettingsBefore, SettingsAfter lvs.SettingsPlan
	Probes                        map[CheckID]Probe
	// Interfaces are those of this machine, and Schedulers are those of its kernel; nil: not known.
	Interfaces map[string]bool
	Schedulers []string
}

// The areas of a line.
const (
	areaDirector = "director"
	areaVRRP     = "vrrp"
	areaAddress  = "address"
	areaService  = "service"
	areaServer   = "server"
	areaCheck    = "check"
	areaSync     = "sync"
	areaSysctl   = "sysctl"
	areaHooks    = "hooks"
)

// The operations of a line.
const (
	opAdd    = "add"
	opRemove = "remove"
	opChange = "change"
)

// A planner makes the lines of one plan.
type planner struct {
	Input
	lines []api.PlanLine
	names map[lvs.ServiceID]string // of the configured services
	is    map[lvs.ServiceID]*configs.Service
	roles map[string]vrrp.Status // by routerKey
	// For each address of a virtual router: whether this director has it now. And the routers that have it afterwards.
	held   map[netip.Addr]bool
	anyVIP bool // some virtual router holds its addresses
	next   map[netip.Addr][]pairing
	pairs  []pairing // of the virtual routers
}

// Of returns the changes, the worst first. Changes that are equally bad are in the order of the areas.
func Of(in Input) []api.PlanLine {
	p := newPlanner(in)
	p.director()
	p.hooks()
	p.routers()
	p.table()
	p.services()
	p.settings()
	rank := func(l api.PlanLine) int { return slices.Index(api.Harms(), l.Harm) }
	slices.SortStableFunc(p.lines, func(a, b api.PlanLine) int { return cmp.Compare(rank(a), rank(b)) })
	return p.lines
}

// newPlanner returns a planner that finds things fast: there may be 10,000 services.
func newPlanner(in Input) *planner {
	p := &planner{
		Input: in, lines: []api.PlanLine{}, names: make(map[lvs.ServiceID]string), is: make(map[lvs.ServiceID]*configs.Service),
		roles: make(map[string]vrrp.Status), held: make(map[netip.Addr]bool),
	}
	for _, cfg := range []*configs.Config{in.Before.Config, in.After.Config} {
		for i, svc := range cfg.Services {
			for _, v := range svc.Virtuals {
				p.names[v.ServiceID] = svc.Name
				if cfg == in.After.Config {
					p.is[v.ServiceID] = &cfg.Services[i]
				}
			}
		}
	}
	for _, s := range in.Routers {
		p.roles[routerKey(s.Name, s.Interface)] = s
	}
	for _, r := range in.Before.Config.Routers {
		holds := p.stateOf(r).Holding
		p.anyVIP = p.anyVIP || holds
		for _, vip := range slices.Concat(r.VIPs, r.ExcludedVIPs) {
			p.held[vip.Addr()] = p.held[vip.Addr()] || holds
		}
	}
	return p
}

func routerKey(name, link string) string { return name + " " + link }

// add adds a line. Without a harm it is harmless.
func (p *planner) add(l api.PlanLine) {
	l.Harm = cmp.Or(l.Harm, api.Harmless)
	p.lines = append(p.lines, l)
}

// serves reports whether the clients of a service come to this director. Without virtual routers they always do.
func (p *planner) serves(id lvs.ServiceID) bool {
	if id.FWMark != 0 {
		return p.anyVIP || len(p.Before.Config.Routers) == 0
	}
	holds, known := p.held[id.Addr]
	return holds || !known
}

// stateOf returns the state of a virtual router of the configuration in force.
func (p *planner) stateOf(r configs.Router) vrrp.Status {
	if s, ok := p.roles[routerKey(r.Name, r.Interface)]; ok {
		return s
	}
	return vrrp.Status{State: vrrp.Initialize}
}

// sentence joins the parts that are not empty.
func sentence(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

// few joins names. Of many names it gives the first few and the number of the others.
func few(names []string) string {
	const most = 4
	if len(names) > most+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// short writes a duration without zero units.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
