// SPDX-License-Identifier: Apache-2.0

// Package page draws the report of a probe as an HTML page that needs nothing else: no other file, no network, no script.
package page

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

//go:embed page.html
var source string

var page = template.Must(template.New("page").Parse(source))

// A figure is a number that one looks at first.
type figure struct{ Name, Value, Style string }

// A bar is a row with a bar.
type bar struct {
	Name, Value string
	Width       float64 // percent
	Style       string
}

// A disturbance is a row of the table.
type disturbance struct{ At, Since, Length, Longest, Bad string }

// maxRows is the maximum number of disturbances in the table: the longest.
const maxRows = 50

// A view is what the page shows.
type view struct {
	prober.Report
	Good                           bool
	Subtitle, Note                 string
	Figures                        []figure
	Latency, Questions, Who, Flows template.HTML
	Disturbances                   []disturbance
	Left                           int // that are not in the table
	Percentiles, Failures, Servers []bar
	FlowFacts, Own                 []string
}

// Write writes the page.
func Write(w io.Writer, r prober.Report) error {
	v := view{Report: r, Good: r.Clean(), Note: r.Advice(), Own: own(r)}
	v.Subtitle = fmt.Sprintf("a question every %s for %s, from %s", r.Every, r.Duration, r.Began.Format("Mon 2 Jan 2006 15:04:05 MST"))
	v.figures()
	c := newCanvas(r)
	v.Latency, v.Questions = c.latency(r), c.questions()
	if len(r.Servers) > 0 {
		v.Who = c.who(r.Servers)
	}
	if r.Flows != nil {
		v.Flows, v.FlowFacts = c.flows(r.Flows), flowFacts(r.Flows)
	}
	v.disturbances()
	v.bars()
	return page.Execute(w, v)
}

// figures collects the numbers.
func (v *view) figures() {
	count := func(name string, n int, style string) {
		if n == 0 {
			style = ""
		}
		v.Figures = append(v.Figures, figure{name, fmt.Sprint(n), style})
	}
	count("asked", v.Asked, "")
	count("failed", v.Failed, "bad")
	count("slow", v.Counts.Slow, "slow")
	count("resets", v.Resets, "bad")
	for _, p := range v.Report.Percentiles {
		if p.Percent == 50 || p.Percent == 99 || p.Percent == 99.9 {
			value, style := "failed", "bad"
			if p.Took != nil {
				value, style = p.Took.String(), ""
			}
			v.Figures = append(v.Figures, figure{fmt.Sprintf("p%v", p.Percent), value, style})
		}
	}
}

// disturbances collects the longest ones, in the order of time.
func (v *view) disturbances() {
	all := longest(v.Disturbed)
	v.Left = len(all) - min(len(all), maxRows)
	all = all[:min(len(all), maxRows)]
	slices.SortFunc(all, func(a, b prober.Disturbance) int { return cmp.Compare(a.Start, b.Start) })
	for _, d := range all {
		row := disturbance{
			v.Began.Add(time.Duration(d.Start)).Format("15:04:05.000"), d.Start.String(), d.Length.String(), d.Longest.String(), fmt.Sprint(d.Bad),
		}
		if d.GoesOn {
			row.Length = "at least " + row.Length
		}
		v.Disturbances = append(v.Disturbances, row)
	}
}

// longest returns disturbances, that with the longest outage first.
func longest(all []prober.Disturbance) []prober.Disturbance {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b prober.Disturbance) int { return cmp.Compare(b.Longest, a.Longest) })
	return all
}

// bars collects what has a bar.
func (v *view) bars() {
	for _, p := range v.Report.Percentiles {
		b := bar{Name: fmt.Sprintf("%v %%", p.Percent), Value: "failed", Width: 100, Style: "bad"}
		if p.Took != nil {
			b.Value, b.Style = p.Took.String(), "good"
			b.Width = 100 * min(1, max(0.01, part(time.Duration(*p.Took))))
			if *p.Took > v.SlowFrom {
				b.Style = "slow"
			}
		}
		v.Percentiles = append(v.Percentiles, b)
	}
	for _, cause := range prober.Causes(v.Report.Failures) {
		n := v.Report.Failures[cause]
		v.Failures = append(v.Failures, bar{cause, fmt.Sprint(n), 100 * float64(n) / float64(v.Failed), "bad"})
	}
	for i, s := range v.Report.Servers {
		v.Servers = append(v.Servers, bar{
			s.Name, fmt.Sprintf("%d (%.0f %%)", s.Answers, 100*float64(s.Answers)/float64(v.Answered)),
			100 * float64(s.Answers) / float64(v.Answered), fmt.Sprintf("s%d", min(i, len(prober.Bucket{}.Servers)-1)),
		})
	}
}

// part returns where a latency is on the logarithmic axis from 10 µs to 10 s, from 0 to 1.
func part(d time.Duration) float64 {
	row := 0
	for row < prober.Rows && prober.RowStart(row+1) <= d {
		row++
	}
	return float64(row) / 41
}

// flowFacts says how the long-lived connections did.
func flowFacts(f *prober.FlowReport) []string {
	all := []string{
		fmt.Sprintf("%d of %d connections lived without a break", f.Unbroken, f.Flows),
		fmt.Sprintf("%d answers", f.Answers),
	}
	if f.Breaks > 0 {
		all = append(all, fmt.Sprintf("%d breaks, %d of them by a reset", f.Breaks, f.Resets))
	}
	for _, cause := range prober.Causes(f.Causes) {
		all = append(all, fmt.Sprintf("%s: %d", cause, f.Causes[cause]))
	}
	if f.Stalls > 0 {
		all = append(all, fmt.Sprintf("%d slow exchanges, the longest %s", f.Stalls, f.Longest))
	}
	return all
}

// own says how well the prober itself ran.
func own(r prober.Report) []string {
	all := []string{
		fmt.Sprintf("questions were sent %s late (median), %s at most", r.Prober.LateMedian, r.Prober.LateMost),
		fmt.Sprintf("an outage's start and end are exact to one interval: %s", r.Every),
	}
	if r.Prober.CPU > 0 && r.Duration > 0 {
		all = append(all, fmt.Sprintf("it used %.1f %% of a processor core", 100*float64(r.Prober.CPU)/float64(r.Duration)))
	}
	if n := len(r.Prober.Pauses); n > 0 {
		longest := prober.Seconds(0)
		for _, p := range r.Prober.Pauses {
			longest = max(longest, p.Length)
		}
		all = append(all, fmt.Sprintf("it stood still %d times, at most for %s: grey in the timeline", n, longest))
	}
	for _, reason := range prober.Causes(r.Prober.Reasons) {
		all = append(all, fmt.Sprintf("not sent: %s: %d", reason, r.Prober.Reasons[reason]))
	}
	return all
}
