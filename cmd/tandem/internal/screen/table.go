// SPDX-License-Identifier: Apache-2.0

package screen

import "strings"

// A Table has columns of equal width. The last one has what is left of the line.
type Table struct {
	Indent int
	Header []string
	rows   [][]Span
}

// gap is the number of spaces between two columns.
const gap = 2

// minLast is the width from which the last column is worth having: with less, its text has lines of its own.
const minLast = 20

// Row adds a row. It has a cell for each column.
func (t *Table) Row(cells ...Span) { t.rows = append(t.rows, cells) }

// Len returns the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Lines returns the header and the rows, of at most that many characters. 0 is no limit.
func (t *Table) Lines(width int) []Line {
	last := len(t.Header) - 1
	widths := make([]int, len(t.Header))
	for i, h := range t.Header {
		widths[i] = Width(h)
	}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], Width(cell.Text))
		}
	}
	used := t.Indent
	for _, w := range widths[:last] {
		used += w + gap
	}
	room := 0
	if width > 0 {
		room = width - used
	}
	own := width > 0 && room < minLast && room < widths[last] // the last column has lines of its own
	header := make([]Span, len(t.Header))
	for i, h := range t.Header {
		header[i] = Span{h, Dim}
	}
	lines := []Line{t.line(header, widths).Clip(width)}
	for _, row := range t.rows {
		text := row[last]
		switch {
		case text.Text == "" || width <= 0 || Width(text.Text) <= room && !own:
			lines = append(lines, t.line(row, widths).Clip(width))
		case own:
			lines = append(lines, t.line(row[:last], widths).Clip(width))
			for _, part := range Wrap(text.Text, width-t.Indent-2*gap) {
				lines = append(lines, Line{{Text: strings.Repeat(" ", t.Indent+2*gap)}, {part, text.Style}}.Clip(width))
			}
		default:
			for i, part := range Wrap(text.Text, room) {
				cells := make([]Span, last, last+1)
				if i == 0 {
					copy(cells, row)
				}
				lines = append(lines, t.line(append(cells, Span{part, text.Style}), widths).Clip(width))
			}
		}
	}
	return lines
}

// line joins cells. The last one is not padded.
func (t *Table) line(cells []Span, widths []int) Line {
	var l Line
	if t.Indent > 0 {
		l = append(l, Span{Text: strings.Repeat(" ", t.Indent)})
	}
	for i, cell := range cells {
		l = append(l, cell)
		if i < len(cells)-1 {
			l = append(l, Span{Text: strings.Repeat(" ", widths[i]-Width(cell.Text)+gap)})
		}
	}
	return l
}
