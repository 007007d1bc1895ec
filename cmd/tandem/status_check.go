// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// perfdata writes the sums for a monitor: 'label'=value;warn;crit;min;max of the Monitoring Plugins guidelines.
func perfdata(n summary.Sums, warnings int) string {
	return fmt.Sprintf("masters=%d;;;0;%d faults=%d;;0;0;%d servers_up=%d;;;0;%d connections=%d;;;0; connection_rate=%d;;;0; warnings=%d;0;;0;",
		n.Masters, n.Routers, n.Faults, n.Routers, n.Up, n.Servers, n.Active, n.Rate, warnings)
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
	all, n := summary.Problems(s), summary.SumsOf(s)
	warnings := 0
	for _, p := range all {
		if !p.Critical {
			warnings++
		}
	}
	word, text, code := "OK", summary.Dash(n.String()), monitorOK
	switch {
	case warnings < len(all):
		word, code = "CRITICAL", monitorCritical
	case warnings > 0:
		word, code = "WARNING", monitorWarning
	}
	if len(all) > 0 {
		text = all[0].Text
	}
	if len(all) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(all)-1)
	}
	return fmt.Sprintf("TANDEM %s: %s: %s | %s", word, s.Name, oneLine(text), perfdata(n, warnings)), code
}

// oneLine makes a text fit before the "|" of a monitor's line.
func oneLine(text string) string { return strings.NewReplacer("\n", "; ", "|", "/").Replace(text) }
