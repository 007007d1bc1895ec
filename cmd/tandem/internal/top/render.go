// SPDX-License-Identifier: Apache-2.0

package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// The lines above and below the rows.
const (
	above = 4 // the director, the warning, an empty line, the header
	below = 1
)

// room returns how many rows fit on the screen.
func (m *Model) room() int { return max(1, m.Height-above-below) }

// Render returns the lines of the screen: exactly Height of them, none longer than Width.
func Render(m Model, now time.Time) []screen.Line {
	lines := []screen.Line{m.title(now), m.trouble(), {}}
	header, cells := m.header(), m.cells
	widths := make([]int, len(header))
	for i, h := range header {
		widths[i] = screen.Width(h)
	}
	last := min(len(m.rows), m.first+m.room())
	var table [][]screen.Span
	for _, r := range m.rows[min(m.first, last):last] {
		row := cells(r)
		table = append(table, row)
		for i, c := range row {
			widths[i] = max(widths[i], screen.Width(c.Text))
		}
	}
	titles := make([]screen.Span, len(header))
	for i, h := range header {
		titles[i] = screen.Span{Text: h}
	}
	cursor := m.cursor()
	lines = append(lines, restyle(layOut(titles, widths).Clip(m.Width), screen.Bold))
	for i, row := range table {
		line := layOut(row, widths).Clip(m.Width)
		if m.first+i == cursor {
			line = restyle(line.Pad(m.Width, screen.Reverse), screen.Reverse)
		}
		lines = append(lines, line)
	}
	if len(m.rows) == 0 && m.status != nil {
		lines = append(lines, screen.Line{{Text: m.nothing(), Style: screen.Dim}})
	}
	for len(lines) < m.Height-below {
		lines = append(lines, screen.Line{})
	}
	lines = append(lines[:max(0, m.Height-below)], m.foot())
	for i := range lines {
		lines[i] = lines[i].Clip(m.Width)
	}
	return lines[max(0, len(lines)-m.Height):]
}

// title is the line about the director.
func (m *Model) title(now time.Time) screen.Line {
	if m.status == nil {
		return screen.Text("asking the director …")
	}
	masters, up, servers := 0, 0, 0
	for _, r := range m.status.VRRP {
		if r.State == "master" {
			masters++
		}
	}
	for _, svc := range m.status.Services {
		up, servers = up+svc.Up, servers+svc.Pool()
	}
	text := fmt.Sprintf("  master of %d of %s  %s  %d of %s up", masters, summary.Counted(len(m.status.VRRP), "router"),
		summary.Counted(len(m.status.Services), "service"), up, summary.Counted(servers, "server"))
	return screen.Line{{Text: m.status.Name, Style: screen.Bold}, {Text: text}, {Text: "  " + now.Format(time.TimeOnly), Style: screen.Dim}}
}

// trouble is the line about what is wrong.
func (m *Model) trouble() screen.Line {
	switch {
	case m.silent != "":
		text := "no answer: " + m.silent
		if m.status != nil {
			text = fmt.Sprintf("as of %s; no answer since: %s", m.status.At.Format(time.TimeOnly), m.silent)
		}
		return screen.Line{{Text: text, Style: screen.Red}}
	case m.status == nil || len(m.status.Warnings) == 0:
		return screen.Line{}
	case len(m.status.Warnings) == 1:
		return screen.Line{{Text: "warning: " + m.status.Warnings[0], Style: screen.Yellow}}
	}
	return screen.Line{{Text: fmt.Sprintf("%d warnings: %s", len(m.status.Warnings), m.status.Warnings[0]), Style: screen.Yellow}}
}

func (m *Model) header() []string {
	switch m.view {
	case Routers:
		return []string{"ROUTER", "STATE", "PRIORITY", "REASON"}
	case Servers:
		return []string{"SERVER", "ACTIVE", "NEW/s", "IN/s", "OUT/s", "WEIGHT", "HEALTH"}
	}
	return []string{"SERVICE", "ACTIVE", "NEW/s", "IN/s", "OUT/s", "WEIGHT", "SERVERS"}
}

func (m *Model) cells(r row) []screen.Span {
	if m.view == Routers {
		return []screen.Span{{Text: r.key}, {Text: r.state, Style: r.style}, {Text: r.priority}, {Text: r.reason}}
	}
	connections, in, out := "-", "-", "-"
	if r.known {
		connections, in, out = amount(r.connections), amount(r.in), amount(r.out)
	}
	return []screen.Span{
		{Text: r.key}, {Text: fmt.Sprint(r.active)}, {Text: connections}, {Text: in}, {Text: out}, {Text: fmt.Sprint(r.weight)},
		{Text: r.state, Style: r.style},
	}
}

// nothing says why there are no rows.
func (m *Model) nothing() string {
	if m.filter != "" {
		return "nothing has " + m.filter + " in its name: Esc shows all"
	}
	return "this director has none"
}

// foot is the last line: a question, the filter, the result of an order, or the keys.
func (m *Model) foot() screen.Line {
	switch {
	case m.question != nil:
		answers := " y/n"
		if asked := screen.Text(m.asked).Clip(m.Width - len(answers)); m.Width > len(answers) {
			return restyle(append(asked, screen.Span{Text: answers}), screen.Yellow)
		}
		return screen.Line{{Text: "y/n", Style: screen.Yellow}}
	case m.typing:
		return screen.Line{{Text: "filter: " + m.filter + "_", Style: screen.Bold}}
	case m.note != "" && m.failed:
		return screen.Line{{Text: m.note, Style: screen.Red}}
	case m.note != "":
		return screen.Text(m.note)
	}
	keys := "q quit  Tab view  s sort: " + m.sort.String() + "  r reverse  / filter"
	if m.filter != "" {
		keys += ": " + m.filter
	}
	switch m.view {
	case Servers:
		keys += "  d drain  u undrain"
	case Routers:
		keys += "  f failover  l release"
	}
	return screen.Line{{Text: keys, Style: screen.Dim}}
}

// layOut joins cells. All but the first and the last are numbers, and are aligned at the right, except those of virtual routers.
func layOut(cells []screen.Span, widths []int) (l screen.Line) {
	for i, c := range cells {
		fill := screen.Span{Text: strings.Repeat(" ", widths[i]-screen.Width(c.Text))}
		switch {
		case i == len(cells)-1:
			l = append(l, c)
		case i == 0 || len(cells) == 4:
			l = append(l, c, fill, screen.Span{Text: "  "})
		default:
			l = append(l, fill, c, screen.Span{Text: "  "})
		}
	}
	return l
}

// restyle gives a line one style.
func restyle(l screen.Line, style screen.Style) screen.Line {
	styled := make(screen.Line, len(l))
	for i, s := range l {
		styled[i] = screen.Span{Text: s.Text, Style: style}
	}
	return styled
}

// amount writes a number with three digits: 0.4, 12, 3.1k, 250M.
func amount(n float64) string {
	unit := ""
	for _, next := range []string{"k", "M", "G", "T"} {
		if n < 999.5 {
			break
		}
		n, unit = n/1000, next
	}
	if n > 0 && n < 9.95 {
		return fmt.Sprintf("%.1f%s", n, unit)
	}
	return fmt.Sprintf("%.0f%s", n, unit)
}
