// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// liveLine is the line of a probe under way, in the width of a terminal.
func liveLine(v prober.Live, device screen.Device) string {
	var parts []string
	elapsed, whole := time.Duration(v.Elapsed), time.Duration(v.For)
	if whole > 0 {
		mark, empty := '#', "."
		if device.Wide {
			mark, empty = '━', "─"
		}
		bar := screen.Bar(int(elapsed/time.Millisecond), int(whole/time.Millisecond), 20, mark)
		parts = append(parts, strings.ReplaceAll(bar, " ", empty), elapsed.Round(time.Second).String()+" of "+whole.String())
	} else {
		parts = append(parts, elapsed.Round(time.Second).String())
	}
	if v.Silent > 0 {
		parts = append(parts, "NO ANSWER for "+time.Duration(v.Silent).Round(100*time.Millisecond).String())
	}
	parts = append(parts, fmt.Sprintf("%d asked", v.Asked))
	for _, one := range []struct {
		n    int
		what string
	}{{v.Failed, "failed"}, {v.Slow, "slow"}} {
		if one.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", one.n, one.what))
		}
	}
	if v.Outages > 0 {
		parts = append(parts, fmt.Sprintf("%s (longest %s)", summary.Counted(v.Outages, "outage"), v.Longest))
	}
	if v.Median > 0 {
		parts = append(parts, fmt.Sprintf("p50 %s  p99 %s", v.Median, v.P99))
	}
	return screen.Text(strings.Join(parts, "  ")).Clip(device.Width - min(1, device.Width)).Render(false)
}

// listedDisturbances is the maximum number of disturbances that the text lists.
const listedDisturbances = 20

// A probeReport is a report for people.
type probeReport struct {
	prober.Report
	lines []screen.Line
}

// probeText returns a report as lines: the verdict first.
func probeText(r prober.Report, device screen.Device) []screen.Line {
	p := &probeReport{Report: r}
	p.add(screen.Span{Text: r.Target, Style: screen.Bold},
		screen.Span{Text: fmt.Sprintf(": a question every %s for %s, from %s", r.Every, r.Duration, r.Began.Format(time.DateTime))})
	style := screen.Red
	if r.Clean() {
		style = screen.Green
	}
	p.add(screen.Span{Text: r.Verdict(), Style: style}, screen.Span{Text: ". " + p.counts()})
	p.disturbances(device)
	p.facts()
	if advice := r.Advice(); advice != "" {
		p.add()
		for _, line := range screen.Wrap(advice, device.Width) {
			p.add(screen.Span{Text: line, Style: screen.Yellow})
		}
	}
	return p.lines
}

func (p *probeReport) add(spans ...screen.Span) { p.lines = append(p.lines, screen.Line(spans)) }

// counts writes how the questions ended.
func (p *probeReport) counts() string {
	text := fmt.Sprintf("%d asked, %d answered", p.Asked, p.Answered)
	if p.Counts.Slow > 0 {
		text += fmt.Sprintf(", %d of them slow (over %s)", p.Counts.Slow, p.SlowFrom)
	}
	if p.Failed > 0 {
		text += fmt.Sprintf(", %d failed", p.Failed)
	}
	return text
}

// disturbances lists the first ones.
func (p *probeReport) disturbances(device screen.Device) {
	if len(p.Disturbed) == 0 {
		return
	}
	table := screen.Table{Indent: 2, Header: []string{"AT", "AFTER", "LASTED", "LONGEST OUTAGE", "QUESTIONS"}}
	for _, d := range p.Disturbed[:min(len(p.Disturbed), listedDisturbances)] {
		length := d.Length.String()
		if d.GoesOn {
			length = "at least " + length
		}
		bad := fmt.Sprintf("%d failed or slow", d.Bad)
		if d.Outages > 1 {
			bad += fmt.Sprintf(", in %d outages", d.Outages)
		}
		table.Row(screen.Span{Text: p.Began.Add(time.Duration(d.Start)).Format("15:04:05.000")}, screen.Span{Text: d.Start.String()},
			screen.Span{Text: length}, screen.Span{Text: d.Longest.String(), Style: screen.Bold}, screen.Span{Text: bad})
	}
	p.add()
	p.lines = append(p.lines, table.Lines(device.Width)...)
	if more := len(p.Disturbed) - listedDisturbances; more > 0 {
		p.add(screen.Span{Text: fmt.Sprintf("  and %d more: see --json or --page", more)})
	}
}

// facts lists what is behind the verdict.
func (p *probeReport) facts() {
	p.add()
	fact := func(name, text string) {
		p.add(screen.Span{Text: fmt.Sprintf("  %-10s", name), Style: screen.Dim}, screen.Span{Text: text})
	}
	var within []string
	for _, one := range p.Percentiles {
		took := "failed"
		if one.Took != nil {
			took = one.Took.String()
		}
		within = append(within, fmt.Sprintf("p%v %s", one.Percent, took))
	}
	fact("answered", strings.Join(within, "   "))
	if p.Failed > 0 {
		fact("failed", listed(p.Failures))
	}
	if len(p.Servers) > 0 {
		var all []string
		for _, s := range p.Servers {
			all = append(all, fmt.Sprintf("%s %d", s.Name, s.Answers))
		}
		fact("servers", strings.Join(all, ", "))
	}
	if f := p.Flows; f != nil {
		text := fmt.Sprintf("%d of %d connections lived without a break", f.Unbroken, f.Flows)
		if f.Breaks > 0 {
			text += fmt.Sprintf("; %s: %s", summary.Counted(f.Breaks, "break"), listed(f.Causes))
		}
		if f.Stalls > 0 {
			text += fmt.Sprintf("; longest wait %s", f.Longest)
		}
		fact("flows", text)
	}
	own := fmt.Sprintf("sent questions %s late (median), %s at most", p.Prober.LateMedian, p.Prober.LateMost)
	if p.Prober.CPU > 0 && p.Duration > 0 {
		own += fmt.Sprintf(", with %.1f %% of a core", 100*float64(p.Prober.CPU)/float64(p.Duration))
	}
	if len(p.Prober.Reasons) > 0 {
		own += "; not sent: " + listed(p.Prober.Reasons)
	}
	fact("prober", own)
	if ahead := p.ClockAhead; ahead != nil {
		by := "the clock of the machine that asked is %s ahead of this one's"
		if *ahead < 0 {
			by = "the clock of the machine that asked is %s behind this one's"
		}
		fact("clock", fmt.Sprintf(by, prober.Seconds(time.Duration(*ahead).Abs())))
	}
}

// listed writes causes with their numbers, the most frequent first.
func listed(causes map[string]int) string {
	var all []string
	for _, cause := range prober.Causes(causes) {
		all = append(all, fmt.Sprintf("%s %d", cause, causes[cause]))
	}
	return strings.Join(all, ", ")
}
