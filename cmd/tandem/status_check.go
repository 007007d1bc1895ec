// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// A problem is something that is wrong, in a sentence. It is critical if clients are not served, or if this director cannot
// serve them when it must.
type problem struct {
	critical bool
	text     string
}

// problems returns what is wrong, the worst first. The director tells its warnings in the order of their weight.
func problems(s control.Status) (all []problem) {
	told := make(map[string]bool)
	add := func(critical bool, text string) {
		if !told[text] {
			told[text] = true
			all = append(all, problem{critical, text})
		}
	}
	for _, svc := range s.Services {
		if !serves(svc) {
			add(true, fmt.Sprintf("no real server of %s gets clients: %d of %d are up", svc.Name, svc.Up, len(ofPool(svc))))
		}
	}
	for _, r := range s.VRRP {
		if r.State == "fault" {
			add(true, fmt.Sprintf("virtual router %s is in FAULT: %s", r.Name, r.Reason))
		}
	}
	if s.Table != nil {
		add(true, s.Table.Warning)
	}
	for _, w := range s.Warnings {
		add(false, w)
	}
	for _, svc := range s.Services {
		if text := failedServers(svc); text != "" {
			add(false, text)
		}
	}
	return all
}

// ofPool returns the servers of a service without the sorry server and those that leave.
func ofPool(svc control.Service) (all []control.Server) {
	for _, srv := range svc.Servers {
		if !srv.Sorry && !srv.Leaving {
			all = append(all, srv)
		}
	}
	return all
}

// serves reports whether new clients of a service reach a server. A service without servers is not configured to.
func serves(svc control.Service) bool {
	for _, srv := range svc.Servers {
		if srv.EffectiveWeight > 0 {
			return true
		}
	}
	return len(svc.Servers) == 0
}

// maxFailed is how many failed servers of a service are named.
const maxFailed = 3

// failedServers returns a sentence about the servers of a service whose checks fail; "" if there are none.
func failedServers(svc control.Service) string {
	var failed []string
	for _, srv := range svc.Servers {
		if srv.Health == "unhealthy" {
			failed = append(failed, fmt.Sprintf("%s (%s)", hostPort(srv), srv.Reason))
		}
	}
	n := len(failed)
	if n == 0 {
		return ""
	}
	if n > maxFailed+1 {
		failed = append(failed[:maxFailed], fmt.Sprintf("and %d more", n-maxFailed))
	}
	verb := "fail"
	if n == 1 {
		verb = "fails"
	}
	return fmt.Sprintf("%d of %s of %s %s: %s", n, counted(len(svc.Servers), "server"), svc.Name, verb, strings.Join(failed, ", "))
}

// sums are the numbers of a status.
type sums struct {
	routers, masters, faults, services, servers, up, active int
	rate                                                    uint64 // connections per second
}

func sumsOf(s control.Status) (n sums) {
	for _, r := range s.VRRP {
		n.routers++
		switch r.State {
		case "master":
			n.masters++
		case "fault":
			n.faults++
		}
	}
	for _, svc := range s.Services {
		n.services++
		n.up += svc.Up
		n.servers += len(ofPool(svc))
		n.rate += svc.Stats.ConnectionRate
		for _, srv := range svc.Servers {
			n.active += srv.Active
		}
	}
	return n
}

// String writes the sums for people.
func (n sums) String() string {
	var parts []string
	if n.routers > 0 {
		parts = append(parts, fmt.Sprintf("master of %d of %s", n.masters, counted(n.routers, "virtual router")))
	}
	if n.services > 0 {
		parts = append(parts, counted(n.services, "service"), fmt.Sprintf("%d of %s up", n.up, counted(n.servers, "server")),
			fmt.Sprintf("%s, %d new a second", connections(n.active), n.rate))
	}
	return dash(strings.Join(parts, " · "))
}

// perfdata writes the sums for a monitor: 'label'=value;warn;crit;min;max of the Monitoring Plugins guidelines.
func (n sums) perfdata(warnings int) string {
	return fmt.Sprintf("masters=%d;;;0;%d faults=%d;;0;0;%d servers_up=%d;;;0;%d connections=%d;;;0; connection_rate=%d;;;0; warnings=%d;0;;0;",
		n.masters, n.routers, n.faults, n.routers, n.up, n.servers, n.active, n.rate, warnings)
}

// The exit codes of status --check, as the Monitoring Plugins guidelines give them.
const (
	monitorOK monitored = iota
	monitorWarning
	monitorCritical
	monitorUnknown
)

// A monitored is the result of status --check. It sets the exit code, and its text is printed already.
type monitored int

func (m monitored) Error() string { return "" }

// monitorLine returns a status as a line for a monitor, and its exit code.
func monitorLine(s control.Status, err error) (line string, code monitored) {
	switch {
	case errors.Is(err, control.ErrNoDirector), errors.Is(err, control.ErrSilent):
		return "TANDEM CRITICAL: " + oneLine(err.Error()), monitorCritical
	case err != nil:
		return "TANDEM UNKNOWN: " + oneLine(err.Error()), monitorUnknown
	}
	all, n := problems(s), sumsOf(s)
	warnings := 0
	for _, p := range all {
		if !p.critical {
			warnings++
		}
	}
	word, text, code := "OK", n.String(), monitorOK
	switch {
	case warnings < len(all):
		word, code = "CRITICAL", monitorCritical
	case warnings > 0:
		word, code = "WARNING", monitorWarning
	}
	if len(all) > 0 {
		text = all[0].text
	}
	if len(all) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(all)-1)
	}
	return fmt.Sprintf("TANDEM %s: %s: %s | %s", word, s.Name, oneLine(text), n.perfdata(warnings)), code
}

// oneLine makes a text fit before the "|" of a monitor's line.
func oneLine(text string) string { return strings.NewReplacer("\n", "; ", "|", "/").Replace(text) }
