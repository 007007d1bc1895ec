// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// guards judges the paths of the advertisements, and the witnesses, as the running director sees them.
func (e *examination) guards() {
	if e.snapshot.Status == nil {
		return
	}
	var said []string // members of a sync group may have the same witnesses
	for _, r := range e.config.Routers {
		is := e.stateOf(r)
		for _, p := range is.Paths {
			e.path(r, is.Paths, p)
		}
		if f, owner, faulty := e.witnesses(r, is); faulty && !slices.Contains(said, f.What) {
			said = append(said, f.What)
			f.What = owner + ": " + f.What
			e.add(f)
		}
	}
}

// path judges one path of a virtual router's advertisements. A fault of the interface, or of the firewall, is a finding of its own.
func (e *examination) path(r configs.Router, all []control.Path, p control.Path) {
	filtered := slices.ContainsFunc(e.snapshot.Filtered, func(f FilteredFlow) bool { return f.Port == 0 && f.Interface == p.Name })
	if p.Name == r.Interface && !e.snapshot.working(r.Interface) || filtered {
		return
	}
	f := diagnosis.Finding{Severity: diagnosis.Warning}
	switch p.State {
	case vrrp.PathSilent.String():
		f.ID = "path-silent"
		f.What = fmt.Sprintf("%s: the master is heard over %s, and not over %s", r.Name, strings.Join(heardOver(all), " and "), p.Name)
		f.Why = "the path is of no use: if the others break as well, this director becomes a second master"
		f.Mend = "look at the cable, the switch and the firewalls of " + p.Name + " (IP protocol 112, multicast), run tandem doctor on both, " +
			"and write the same heartbeat in the files of both" + afterwards
		if p.Unicast {
			f.Mend = "check that " + p.Name + " is an address of the other director, that this director's address is a peer in the heartbeat there, " +
				"and that IP protocol 112 passes between them" + afterwards
		}
	case vrrp.PathDown.String():
		f.ID = "path-down"
		f.What = fmt.Sprintf("%s: the path over %s does not work: %s", r.Name, p.Name, p.Reason)
		f.Why = "the path is of no use: if the others break as well, both directors become master"
		f.Mend = "connect and configure " + p.Name + ", or write another path in heartbeat" + afterwards
		if p.Unicast {
			f.Mend = "add a route to " + p.Name + ", or write another path in heartbeat" + afterwards
		}
	default:
		return
	}
	e.add(f)
}

// heardOver names the paths over which the master is heard.
func heardOver(paths []control.Path) (names []string) {
	for _, p := range paths {
		if p.State == vrrp.PathHeard.String() {
			names = append(names, p.Name)
		}
	}
	return names
}

// witnesses judges the witnesses of a virtual router, or of its sync group, and names the owner. While an interface of the owner is at
// fault, nothing follows from their silence.
func (e *examination) witnesses(r configs.Router, is control.Router) (f diagnosis.Finding, owner string, faulty bool) {
	var silent []string
	owner, group, asked := r.Name, "", 0
	for _, t := range e.config.Tracks {
		if t.Router != r.Name || t.Kind != configs.TrackWitness {
			continue
		}
		i := slices.IndexFunc(is.Track, func(row control.Track) bool { return row.Name == t.Name })
		if i < 0 {
			continue // the director has another configuration
		}
		asked++
		if t.Group != "" {
			owner, group = "sync group "+t.Group, t.Group
		}
		if row := is.Track[i]; !row.OK {
			silent = append(silent, fmt.Sprintf("%s (%s)", row.Name, row.Reason))
		}
	}
	cutOff := slices.ContainsFunc(e.config.Routers, func(other configs.Router) bool {
		owns := other.Name == r.Name || group != "" && other.SyncGroup == group
		return owns && !e.snapshot.working(other.Interface)
	})
	if len(silent) == 0 || cutOff {
		return f, owner, false
	}
	f = diagnosis.Finding{ID: "witness-silent", Severity: diagnosis.Note,
		What: strings.Join(silent, ", ") + ": no answer, and others answer",
		Why:  "if the others fall silent as well, this director does not take over from a dead master",
		Mend: "look at that machine and at the way to it, or write another witness" + afterwards}
	if len(silent) == asked {
		f.Severity, f.What = diagnosis.Warning, strings.Join(silent, ", ")+": no witness answers"
		f.Why = "this director does not take over from a dead master"
		f.Mend = "look at the network of this machine and at the way to the witness from here, or write another witness" + afterwards
	}
	return f, owner, true
}
