// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// A Report is how a drill ended. Its JSON form is stable: members are added, never renamed or removed.
type Report struct {
	Kind     Kind      `json:"kind"`
	Director string    `json:"director"` // whose failure it was
	Peer     string    `json:"peer"`
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
	By       string    `json:"by,omitempty"` // the user
	Passed   bool      `json:"passed"`
	// Refused are why it was not made; empty: it was.
	Refused []string `json:"refused,omitempty"`
	// Would is what would be done, with --dry-run: first the failure, then what undoes it.
	Would []string `json:"would,omitempty"`
	// Killed says that the drill died, and that the dead-man's switch undid the fault.
	Killed  bool     `json:"killed,omitempty"`
	Did     []string `json:"did"` // what was done, in order
	Routers []Router `json:"routers"`
	// Server is the real server that a drill of kind server took out.
	Server *Server  `json:"server,omitempty"`
	Outage *Seconds `json:"outage_seconds"` // the longest; null: not known
	// Clients are what clients saw, if they were asked. ClientsOutage is their longest outage; absent: not known.
	Clients       []Clients    `json:"clients,omitempty"`
	ClientsOutage *Seconds     `json:"clients_outage_seconds,omitempty"`
	Budget        *Seconds     `json:"budget_seconds,omitempty"`
	Compared      int          `json:"compared"` // items
	Changed       []Difference `json:"changed"`  // since before the drill; empty: nothing
	Failures      []string     `json:"failures"` // empty: it passed
	Notes         []string     `json:"notes,omitempty"`
}

// NewReport returns the report of a drill that begins.
func (s *Situation) NewReport(now time.Time, by string) Report {
	r := Report{
		Kind: s.Order.Kind, Director: s.Here.Name, Began: now, By: by,
		Did: []string{}, Routers: []Router{}, Changed: []Difference{}, Failures: []string{},
	}
	if s.Order.Budget >= 0 {
		r.Budget = seconds(s.Order.Budget)
	}
	if s.Here.Peer != nil {
		r.Peer = s.Here.Peer.Name
	}
	return r
}

// Undone completes the report of a drill that died. undone says what was undone, and failed what could not be.
func (r *Report) Undone(now time.Time, undone, failed []string) {
	r.Killed, r.Ended, r.Passed = true, now, false
	r.Did = append(r.Did, undone...)
	r.Failures = append(r.Failures, "the drill died or took too long; the dead-man's switch undid the fault")
	for _, text := range failed {
		r.Failures = append(r.Failures, "not undone: "+text)
	}
}

// Summary is what the director is told about a drill.
func (r *Report) Summary() api.Drill {
	d := api.Drill{Kind: r.Kind.String(), Began: r.Began, Ended: r.Ended, By: r.By, Failures: r.Failures}
	if !r.Ended.IsZero() {
		d.Result = r.Result()
	}
	switch {
	case r.ClientsOutage != nil:
		d.OutageSeconds = new(float64(*r.ClientsOutage))
	case r.Outage != nil:
		d.OutageSeconds = new(float64(*r.Outage))
	}
	if r.Budget != nil {
		d.BudgetSeconds = new(float64(*r.Budget))
	}
	return d
}

// Words says how a drill ended: "failed; outage at most 3.6s, budget 1s: the outage of at most 3.6s is over the budget of 1s".
func Words(d api.Drill) string {
	text := d.Result
	if d.OutageSeconds != nil {
		text += "; outage at most " + Seconds(*d.OutageSeconds).String()
		if d.BudgetSeconds != nil {
			text += ", budget " + Seconds(*d.BudgetSeconds).String()
		}
	}
	if len(d.Failures) > 0 {
		text += ": " + strings.Join(d.Failures, "; ")
	}
	return text
}

// Latest returns the last drill of each kind, the latest first. all are in order.
func Latest(all []Report) (last []api.Drill) {
	passed := make(map[Kind]time.Time)
	for _, r := range all {
		if r.Passed {
			passed[r.Kind] = r.Ended
		}
	}
	seen := make(map[Kind]bool)
	for _, r := range slices.Backward(all) {
		// A kind that this version does not know is 0.
		if r.Kind != 0 && !seen[r.Kind] {
			seen[r.Kind] = true
			d := r.Summary()
			d.LastPassed = passed[r.Kind]
			last = append(last, d)
		}
	}
	return last
}

// ReportsFile is the file of the state directory that has the reports.
const ReportsFile = "drills.json"

// MaxReports is how many reports are kept.
const MaxReports = 100

// Kept returns the reports that are kept, with a new one, the oldest first.
func Kept(old []Report, now Report) []Report {
	all := append(slices.Clone(old), now)
	return all[max(0, len(all)-MaxReports):]
}

// Text returns the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	for _, m := range r.Routers {
		fmt.Fprintln(&b, m.text(r))
	}
	if r.Server != nil {
		fmt.Fprintln(&b, r.Server.text())
	}
	for _, c := range r.Clients {
		fmt.Fprintln(&b, c.text())
	}
	if r.Compared > 0 && len(r.Changed) == 0 {
		fmt.Fprintf(&b, "all as before: %d items compared\n", r.Compared)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	for _, failure := range r.Failures {
		fmt.Fprintf(&b, "failed: %s\n", failure)
	}
	fmt.Fprintln(&b, r.Line())
	return b.String()
}

// Line returns the result in one line.
func (r *Report) Line() string {
	text := fmt.Sprintf("%s: %s", r.Kind, r.Result())
	if r.Server != nil && r.Server.Out != nil {
		text += fmt.Sprintf("; %s out after %s, back after %s", r.Server.Name, r.Server.Out, orDash(r.Server.Back))
	}
	if r.Outage != nil {
		text += fmt.Sprintf("; outage at most %s", r.Outage)
	}
	if r.ClientsOutage != nil {
		text += fmt.Sprintf("; clients saw %s", r.ClientsOutage)
	}
	if r.Budget != nil && (r.Outage != nil || r.ClientsOutage != nil) {
		text += fmt.Sprintf(", budget %s", r.Budget)
	}
	return text
}

// Result is how the drill ended, in a word or two.
func (r *Report) Result() string {
	switch {
	case len(r.Refused) > 0:
		return "refused"
	case r.Killed:
		return "died, undone"
	case r.Passed:
		return api.DrillPassed
	}
	return "failed"
}

// text says how a virtual router moved.
func (m *Router) text(r *Report) string {
	if m.Stayed {
		return fmt.Sprintf("%s: %s was master again before %s took over; outage at most %s", m.Name, r.Director, r.Peer, orDash(m.Outage))
	}
	if m.Moves > 0 {
		return fmt.Sprintf("%s: %s took over %s (%s): detection %s; outage at most %s", m.Name, r.Peer, summary.Counted(m.Moves, "time"), m.Cause,
			orDash(m.Detection), orDash(m.Outage))
	}
	if m.Detection == nil {
		return fmt.Sprintf("%s: not taken over", m.Name)
	}
	text := fmt.Sprintf("%s: %s took over (%s): detection %s, takeover %s, announcement %s", m.Name, r.Peer, m.Cause,
		orDash(m.Detection), orDash(m.Takeover), orDash(m.Announcement))
	if m.TwoMasters != nil {
		text += fmt.Sprintf("; both were master for %s", m.TwoMasters)
	}
	if m.Outage != nil {
		text += fmt.Sprintf("; outage at most %s", m.Outage)
	}
	if m.Back != nil {
		text += fmt.Sprintf("; %s on the way back", m.Back)
	}
	return text
}

// orDash is a duration, or a dash if it is not known.
func orDash(s *Seconds) string {
	if s == nil {
		return "-"
	}
	return s.String()
}
