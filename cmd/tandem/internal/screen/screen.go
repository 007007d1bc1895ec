// SPDX-License-Identifier: Apache-2.0

// Package screen lays out text for people: styled lines, tables, bars, and what a terminal can show.
package screen

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Style is how a text looks on a terminal with colours.
type Style uint8

// The styles.
const (
	Plain Style = iota
	Bold
	Dim
	Red
	Yellow
	Green
	Reverse
)

// codes are the parameters of the terminals' SGR sequence.
var codes = [...]string{Plain: "0", Bold: "1", Dim: "2", Red: "31", Yellow: "33", Green: "32", Reverse: "7"}

// A Span is a text in one style.
type Span struct {
	Text  string
	Style Style
}

// A Line is a line of a display, without its end.
type Line []Span

// Text returns a line in the plain style.
func Text(text string) Line { return Line{{Text: text}} }

// Width returns the number of a text's characters.
func Width(text string) int { return utf8.RuneCountInString(text) }

// Width returns the number of characters.
func (l Line) Width() (n int) {
	for _, s := range l {
		n += Width(s.Text)
	}
	return n
}

// Clip returns the line with at most that many characters. What is cut off is shown by "…". 0 is no limit.
func (l Line) Clip(width int) Line {
	if width <= 0 || l.Width() <= width {
		return l
	}
	var clipped Line
	room := width - 1
	for _, s := range l {
		if n := Width(s.Text); n > room {
			s.Text = string([]rune(s.Text)[:room]) + "…"
			return append(clipped, s)
		} else {
			room -= n
		}
		clipped = append(clipped, s)
	}
	return clipped
}

// Pad returns the line with spaces at its end, so that it has at least that many characters.
func (l Line) Pad(width int, style Style) Line {
	if n := l.Width(); n < width {
		return append(l, Span{strings.Repeat(" ", width-n), style})
	}
	return l
}

// Render writes the line, with sequences for its styles if colour is set. A character that is not printable becomes "?": text of
// a script or of a server must not command the terminal.
func (l Line) Render(colour bool) string {
	var b strings.Builder
	for _, s := range l {
		text := strings.Map(printable, s.Text)
		if colour && s.Style != Plain && text != "" {
			text = "\x1b[" + codes[s.Style] + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
	}
	if colour {
		return b.String()
	}
	return strings.TrimRight(b.String(), " ")
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}

// Wrap breaks a text between words into lines of at most that many characters. A word that is longer has a line of its own. 0 is no
// limit.
func Wrap(text string, width int) (lines []string) {
	if width <= 0 || Width(text) <= width {
		return []string{text}
	}
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case Width(line)+1+Width(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// Bar returns a bar of cells characters for a value from 0 to most. A value above 0 has at least one mark.
func Bar(value, most, cells int, mark rune) string {
	n := 0
	if most > 0 && value > 0 {
		n = max(1, min(cells, (value*cells+most/2)/most))
	}
	return strings.Repeat(string(mark), n) + strings.Repeat(" ", cells-n)
}
