// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A table is a table of tandem's file, with the line that it comes from.
type table struct {
	key      string // its name in the table around it: vrrp
	array    bool   // it is an element of an array of tables
	at       Place
	comments []string
	entries  []entry
	children []*table
}

// An entry is a key with its value. A value of several lines is an array with one element a line.
type entry struct {
	key, text string
	list      []string // the elements, if the value is an array
	from      []Place  // where the elements come from, if it is not one place
	at        Place
	comment   string
}

// set adds a key. The text is a value of TOML.
func (t *table) set(at Place, key, text string) *entry {
	t.entries = append(t.entries, entry{key: key, text: text, at: at})
	return &t.entries[len(t.entries)-1]
}

// setList adds a key whose value is an array.
func (t *table) setList(at Place, key string, list []string) *entry {
	e := t.set(at, key, "["+strings.Join(list, ", ")+"]")
	e.list = list
	return e
}

// because adds a comment that says why the value is given.
func (e *entry) because(why string) { e.comment = why }

// child adds a table.
func (t *table) child(at Place, key string, array bool) *table {
	c := &table{key: key, array: array, at: at}
	t.children = append(t.children, c)
	return c
}

// find returns the table with this name, if there is one.
func (t *table) find(key string) *table {
	for _, c := range t.children {
		if c.key == key {
			return c
		}
	}
	return nil
}

// get returns the text of a key; "" if it is not there.
func (t *table) get(key string) string {
	for _, e := range t.entries {
		if e.key == key {
			return e.text
		}
	}
	return ""
}

// longList is the length of an array that is written in several lines.
const longList = 100

// A writer writes tables, and remembers where each line comes from.
type writer struct {
	b      strings.Builder
	places []origin // of each line
}

// An origin is where a line comes from, and where the elements of its array do.
type origin struct {
	Place
	elements []Place
}

func (w *writer) line(at Place, s string) {
	w.b.WriteString(s + "\n")
	w.places = append(w.places, origin{Place: at})
}

// write writes a table and those in it. The path is that of the table.
func (w *writer) write(t *table, path string) {
	if path != "" {
		w.line(Place{}, "")
		for _, c := range t.comments {
			w.line(t.at, "# "+oneLine(c))
		}
		if t.array {
			w.line(t.at, "[["+path+"]]")
		} else if len(t.entries) > 0 || len(t.children) == 0 {
			w.line(t.at, "["+path+"]")
		}
	}
	for _, e := range t.entries {
		w.entry(e)
	}
	for _, c := range t.children {
		below := bare(c.key)
		if path != "" {
			below = path + "." + below
		}
		w.write(c, below)
	}
}

func (w *writer) entry(e entry) {
	comment := ""
	if e.comment != "" {
		comment = " # " + oneLine(e.comment)
	}
	key := e.key
	if !strings.Contains(key, ".") { // a path is written already
		key = bare(key)
	}
	if e.list == nil || len(key)+len(e.text) < longList {
		w.line(e.at, key+" = "+e.text+comment)
		w.places[len(w.places)-1].elements = e.from
		return
	}
	w.line(e.at, key+" = ["+comment)
	for i, element := range e.list {
		at := e.at
		if i < len(e.from) {
			at = e.from[i]
		}
		w.line(at, "  "+element+",")
	}
	w.line(e.at, "]")
}

// inline returns a table as a value in one line.
func (t *table) inline() string {
	var parts []string
	for _, e := range t.entries {
		parts = append(parts, bare(e.key)+" = "+e.text)
	}
	done := make(map[string]bool)
	for _, c := range t.children {
		if done[c.key] {
			continue
		}
		done[c.key] = true
		if c.array {
			parts = append(parts, bare(c.key)+" = ["+strings.Join(t.elements(c.key), ", ")+"]")
		} else {
			parts = append(parts, bare(c.key)+" = "+c.inline())
		}
	}
	if parts == nil {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// elements returns the tables of an array, each in one line.
func (t *table) elements(key string) (all []string) {
	for _, c := range t.children {
		if c.key == key {
			all = append(all, c.inline())
		}
	}
	return all
}

// bare returns a key, in quotes if it needs them.
func bare(key string) string {
	odd := func(c rune) bool {
		return c != '-' && (c > 127 || !nameByte(byte(c)))
	}
	if key == "" || strings.ContainsFunc(key, odd) {
		return quoteKey(key)
	}
	return key
}

// tomlString returns a string of TOML. A dollar that tandem would take for a variable is doubled.
func tomlString(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteByte(s[i])
		if s[i] == '$' && (i > 0 && s[i-1] == '$' || i+1 < len(s) && (s[i+1] == '$' || s[i+1] == '{')) {
			b.WriteByte('$')
		}
	}
	return quoteKey(shown.Replace(b.String()))
}

// quoteKey returns a basic string of TOML.
func quoteKey(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range strings.ToValidUTF8(s, "?") {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// tomlStrings returns strings of TOML.
func tomlStrings(all []string) []string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = tomlString(s)
	}
	return quoted
}

func tomlInt[T ~int | ~int64 | ~uint32](n T) string { return strconv.FormatInt(int64(n), 10) }

// span returns a duration as a string of TOML, in the unit that a person would use.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "us"}} {
		if d != 0 && d%u.unit == 0 {
			return fmt.Sprintf("%q", strconv.FormatInt(int64(d/u.unit), 10)+u.name)
		}
	}
	if d == 0 {
		return `"0s"`
	}
	return fmt.Sprintf(`"%dns"`, d)
}
