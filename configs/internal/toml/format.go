// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Line is one line of a text before and after it was formatted. A line that is nil is not there.
type Line struct{ Before, After *string }

// Format returns the lines of a file with the usual white space, and the new text. It changes nothing else: comments, the order, and
// the form of the values stay. The error is Mistakes: the text is not TOML.
func Format(name string, text []byte) (lines []Line, formatted string, err error) {
	s := &source{file: name, text: string(text)}
	tree, wrong := s.decode()
	if wrong != nil {
		return nil, "", Mistakes{*wrong}
	}
	items := scan(strings.TrimPrefix(s.text, "\ufeff"))
	indent(items)
	align(items)
	lines = spaced(items)
	var b strings.Builder
	for _, l := range lines {
		if l.After != nil {
			b.WriteString(*l.After + "\n")
		}
	}
	formatted = b.String()
	if after, err := decode(formatted); err != nil || !reflect.DeepEqual(tree, after) && !hasNaN(tree) {
		return nil, "", errors.New(name + ": cannot be formatted without a change of its meaning")
	}
	return lines, formatted, nil
}

// hasNaN reports whether a tree has a number that does not equal itself.
func hasNaN(v any) bool { return !reflect.DeepEqual(v, v) }

// A form is what a line begins with.
type form uint8

const (
	blankLine form = iota + 1
	commentLine
	headerLine
	keyLine
)

// An item is a blank line, a comment, a header, or a key with its value.
type item struct {
	form       form
	raw        []string // the lines as they are
	head       []string // of a header: its parts
	array      bool     // a [[header]]
	key, value string   // value: also a comment or a header; it may have several lines
	comment    string   // behind it
	indent     string
	width      int // of the key, with the spaces behind it
	column     int // of the comment as it is; -1: it cannot be kept
	commentAt  int // the column of the comment
}

// scan splits a text that the parser has accepted.
func scan(text string) (items []*item) {
	l := &locator{text: text, line: 1, lines: make(map[string]int), tables: make(map[string]int)}
	for l.pos < len(text) {
		start := l.pos
		l.skipSpace()
		it := &item{indent: text[start:l.pos]}
		rest, _, _ := strings.Cut(text[l.pos:], "\n")
		switch rest = strings.TrimSpace(rest); {
		case rest == "":
			it.form = blankLine
		case rest[0] == '#':
			it.form, it.value = commentLine, rest
		case rest[0] == '[':
			it.form = headerLine
			it.header(l)
		default:
			it.form = keyLine
			it.assignment(l)
		}
		if it.form >= headerLine {
			behind, _, _ := strings.Cut(text[l.pos:], "\n")
			it.comment = strings.TrimSpace(behind)
			it.column = columnOf(text[:l.pos+strings.Index(behind+"#", "#")])
		}
		l.skipUntil("\n")
		it.raw = strings.Split(text[start:l.pos], "\n")
		l.pos++
		items = append(items, it)
	}
	return items
}

// columnOf returns the number of characters in the last line of a text; -1: it has tabs.
func columnOf(text string) int {
	last := text[strings.LastIndexByte(text, '\n')+1:]
	if strings.Contains(last, "\t") {
		return -1
	}
	return utf8.RuneCountInString(last)
}

// header reads a header and its comment.
func (it *item) header(l *locator) {
	brackets := "["
	if it.array = l.skip("[["); it.array {
		brackets = "[["
	} else {
		l.skip("[")
	}
	start := l.pos
	it.head = l.key()
	it.value = brackets + strings.TrimSpace(l.text[start:l.pos]) + strings.Repeat("]", len(brackets))
	l.skip(it.value[len(it.value)-len(brackets):])
}

// assignment reads a key and its value, which may have several lines.
func (it *item) assignment(l *locator) {
	start := l.pos
	l.key()
	it.key = strings.TrimSpace(l.text[start:l.pos])
	l.skip("=")
	l.skipSpace()
	start = l.pos
	l.value("")
	it.value = strings.TrimSpace(l.text[start:l.pos])
}

// indent gives each table two spaces for each table around it that was opened before, and its keys the same. Comments directly above
// a line have its indent.
func indent(items []*item) {
	opened := make(map[string]bool)
	now := ""
	for i, it := range items {
		switch it.form {
		case headerLine:
			depth, path := 0, ""
			for j, part := range it.head {
				if path = joinKey(path, part); j < len(it.head)-1 && opened[path] {
					depth++
				}
			}
			for other := range opened {
				if _, below := within(other, path); below {
					delete(opened, other)
				}
			}
			opened[path] = true
			now = strings.Repeat("  ", depth)
			it.indent = now
		case keyLine:
			it.indent = now
		default:
			continue
		}
		for j := i - 1; j >= 0 && items[j].form == commentLine; j-- {
			items[j].indent = it.indent
		}
	}
}

// align gives the equals signs of lines that follow each other the same column, and likewise the comments behind the values. Comments
// that have one column already keep it, if the values leave room.
func align(items []*item) {
	for start := 0; start < len(items); {
		if items[start].form == headerLine {
			alignComments(items[start : start+1])
		}
		end := start
		for end < len(items) && items[end].form == keyLine {
			end++
			if len(items[end-1].raw) > 1 {
				break
			}
		}
		group := items[start:end]
		width := 0
		for _, it := range group {
			width = max(width, utf8.RuneCountInString(it.key))
		}
		for _, it := range group {
			it.width = width
		}
		alignComments(group)
		start = max(end, start+1)
	}
}

// alignComments gives the comments of lines that follow each other the same column.
func alignComments(group []*item) {
	for i := 0; i < len(group); i++ {
		first, room, one := i, 0, true
		for ; i < len(group) && group[i].comment != ""; i++ {
			last := group[i].text()
			room = max(room, utf8.RuneCountInString(last[strings.LastIndexByte(last, '\n')+1:]))
			one = one && group[i].column == group[first].column
		}
		for _, it := range group[first:i] {
			if it.commentAt = room + 2; one && it.column > room {
				it.commentAt = it.column
			}
		}
	}
}

// text returns the item without its comment. Lines of a value behind the first one stay as they are.
func (it *item) text() string {
	switch it.form {
	case blankLine:
		return ""
	case keyLine:
		return it.indent + it.key + strings.Repeat(" ", it.width-utf8.RuneCountInString(it.key)) + " = " + it.value
	}
	return it.indent + it.value
}

// after returns the formatted lines of the item.
func (it *item) after() []string {
	text := it.text()
	if it.comment != "" {
		last := text[strings.LastIndexByte(text, '\n')+1:]
		text += strings.Repeat(" ", it.commentAt-utf8.RuneCountInString(last)) + it.comment
	}
	return strings.Split(text, "\n")
}

// spaced returns the lines, with one blank line between tables, and no two blank lines.
func spaced(items []*item) (lines []Line) {
	none := ""
	wants := make(map[int]bool) // a blank line before this item
	for i, it := range items {
		if it.form != headerLine {
			continue
		}
		for i > 0 && items[i-1].form == commentLine {
			i--
		}
		wants[i] = true
	}
	last := len(items)
	for last > 0 && items[last-1].form == blankLine {
		last--
	}
	blank, begun := true, false // whether the line before is blank, and whether there is a line
	for i, it := range items {
		if it.form == blankLine {
			l := Line{Before: &it.raw[0]}
			if !blank && i < last {
				l.After, blank = &none, true
			}
			lines = append(lines, l)
			continue
		}
		if wants[i] && begun && !blank {
			lines = append(lines, Line{After: &none})
		}
		blank, begun = false, true
		after := it.after()
		for j := range max(len(it.raw), len(after)) {
			var l Line
			if j < len(it.raw) {
				l.Before = &it.raw[j]
			}
			if j < len(after) {
				l.After = &after[j]
			}
			lines = append(lines, l)
		}
	}
	return slices.Clip(lines)
}
