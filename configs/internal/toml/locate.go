// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// A locator finds the line of every key, table and array element of a TOML text. The parser's metadata does not have the
// lines. The text must be one that the parser has accepted. In another text the locator finds only a part.
type locator struct {
	text   string
	pos    int
	line   int
	lines  map[string]int // by path, as path.String writes it
	tables map[string]int // by path, how many [[tables]] an array has so far
}

// Locate returns the lines of text by path: "service[1].server[0].weight" → 17. For a table that is opened more than
// once, by a header or by a dotted key, it is the first line.
func Locate(text string) map[string]int {
	l := locator{
		text:   strings.TrimPrefix(text, "\ufeff"),
		line:   1,
		lines:  make(map[string]int),
		tables: make(map[string]int),
	}
	table := ""
	for l.skipBlank(); l.pos < len(l.text); l.skipBlank() {
		switch start := l.pos; {
		case l.skip("[["):
			table = l.enter(l.key(), true)
			l.skip("]]")
		case l.skip("["):
			table = l.enter(l.key(), false)
			l.skip("]")
		default:
			l.assignment(table)
			l.advance(start)
		}
	}
	return l.lines
}

// nesting returns the maximum depth of the arrays and inline tables of text. The parser and the locator recurse into
// them, and a program cannot recover from a stack overflow.
func nesting(text string) int {
	l := locator{text: text}
	depth, most := 0, 0
	for l.pos < len(l.text) {
		switch l.text[l.pos] {
		case '"', '\'':
			l.skipString()
			continue
		case '#':
			l.skipUntil("\n")
			continue
		case '[', '{':
			depth++
			most = max(most, depth)
		case ']', '}':
			depth--
		}
		l.pos++
	}
	return most
}

// enter records the table that a header opens, and returns its path.
func (l *locator) enter(key []string, array bool) string {
	p := ""
	for i, part := range key {
		p = joinKey(p, part)
		l.record(p)
		n := l.tables[p]
		switch {
		case array && i == len(key)-1:
			l.tables[p]++
			p = joinIndex(p, n)
			l.record(p)
		case n > 0: // the header is below the last table of the array
			p = joinIndex(p, n-1)
		}
	}
	return p
}

// assignment reads "key = value" in the table at prefix.
func (l *locator) assignment(prefix string) {
	for _, part := range l.key() {
		prefix = joinKey(prefix, part)
		l.record(prefix)
	}
	l.skipSpace()
	if l.skip("=") {
		l.skipSpace()
		l.value(prefix)
	}
}

// value reads the value of the key at p, and records what is inside.
func (l *locator) value(p string) {
	switch {
	case l.pos == len(l.text):
	case l.text[l.pos] == '"' || l.text[l.pos] == '\'':
		l.skipString()
	case l.skip("["):
		for i := 0; l.inside(']'); i++ {
			start, element := l.pos, joinIndex(p, i)
			l.record(element)
			l.value(element)
			l.advance(start)
		}
	case l.skip("{"):
		for l.inside('}') {
			start := l.pos
			l.assignment(p)
			l.advance(start)
		}
	default:
		l.skipUntil(",]}#\r\n")
	}
}

// inside moves to the next element of an array or inline table, or past its end and returns false.
func (l *locator) inside(end byte) bool {
	l.skipBlank()
	if l.pos == len(l.text) {
		return false
	}
	if l.text[l.pos] == end {
		l.pos++
		return false
	}
	return true
}

// advance moves on by one byte if the position is still start. So the locator ends in any text.
func (l *locator) advance(start int) {
	if l.pos == start {
		l.pos++
	}
}

// key reads a key with its dots, and the white space after it.
func (l *locator) key() []string {
	var parts []string
	for {
		l.skipSpace()
		start := l.pos
		if l.pos < len(l.text) && (l.text[l.pos] == '"' || l.text[l.pos] == '\'') {
			l.skipString()
			parts = append(parts, unquote(l.text[start:l.pos]))
		} else {
			l.skipUntil(" \t\r\n.=,#[]{}\"'")
			if l.pos == start {
				return parts
			}
			parts = append(parts, l.text[start:l.pos])
		}
		l.skipSpace()
		if !l.skip(".") {
			return parts
		}
	}
}

func (l *locator) record(p string) {
	if _, ok := l.lines[p]; !ok {
		l.lines[p] = l.line
	}
}

// skip moves past s if the text continues with it.
func (l *locator) skip(s string) bool {
	if !strings.HasPrefix(l.text[l.pos:], s) {
		return false
	}
	l.pos += len(s)
	return true
}

func (l *locator) skipSpace() {
	for l.pos < len(l.text) && (l.text[l.pos] == ' ' || l.text[l.pos] == '\t') {
		l.pos++
	}
}

// skipBlank moves past white space, line ends, comments and the commas between elements.
func (l *locator) skipBlank() {
	for ; l.pos < len(l.text); l.pos++ {
		switch l.text[l.pos] {
		case ' ', '\t', '\r', ',':
		case '#':
			l.skipUntil("\n")
			l.pos-- // the line end is counted in the next turn
		case '\n':
			l.line++
		default:
			return
		}
	}
}

// skipUntil moves to the first of the bytes in stop, or to the end.
func (l *locator) skipUntil(stop string) {
	for l.pos < len(l.text) && strings.IndexByte(stop, l.text[l.pos]) < 0 {
		l.pos++
	}
}

// skipString moves past the string of any of TOML's four forms that begins here.
func (l *locator) skipString() {
	quote := l.text[l.pos : l.pos+1]
	multiline := l.skip(strings.Repeat(quote, 3))
	if !multiline {
		l.pos++
	}
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == '\\' && quote == `"`:
			l.pos++
			if l.pos < len(l.text) && l.text[l.pos] != '\n' {
				l.pos++
			}
			continue
		case c == '\n' && !multiline:
			return
		case c == '\n':
			l.line++
		case c == quote[0] && !multiline:
			l.pos++
			return
		case l.skip(strings.Repeat(quote, 3)):
			for range 2 { // the string itself may end in quotes
				l.skip(quote)
			}
			return
		}
		l.pos++
	}
}

// unquote returns the text of a quoted key.
func unquote(quoted string) string {
	if len(quoted) >= 2 && !strings.Contains(quoted, `\`) {
		return quoted[1 : len(quoted)-1]
	}
	var v struct{ K string }
	if _, err := toml.Decode("K="+quoted, &v); err != nil {
		return quoted
	}
	return v.K
}

// joinKey writes the path of a key below p, as path.String does.
func joinKey(p, key string) string {
	if key == "" || strings.ContainsFunc(key, NotBare) {
		key = strconv.Quote(key)
	}
	if p == "" {
		return key
	}
	return p + "." + key
}

// joinIndex writes the path of an element of p, as path.String does.
func joinIndex(p string, i int) string {
	return p + "[" + strconv.Itoa(i) + "]"
}

// NotBare reports whether a key needs quotes for the character.
func NotBare(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
}
