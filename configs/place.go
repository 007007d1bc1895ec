// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A report collects what is found in one file.
type report struct {
	file     string
	text     string
	keys     []KeyInfo
	mistakes Mistakes
	warnings Mistakes
	bad      map[string]bool // by path: true with a mistake right there, false with one below
	lines    map[string]int  // made when first asked for: a file without mistakes does without
}

// line returns the line of what is at p, or of the nearest thing above it that the file has.
func (r *report) line(p *path) int {
	if r.lines == nil {
		r.lines = locate(r.text)
	}
	for ; p != nil; p = p.up {
		if line, ok := r.lines[p.String()]; ok {
			return line
		}
	}
	return 1
}

// A path leads from the top of a file, which is nil, to a key or to an element of an array.
type path struct {
	up    *path
	key   string
	index int // of an element, which has no key; else -1
}

func (p *path) String() string {
	switch {
	case p == nil:
		return ""
	case p.index >= 0:
		return joinIndex(p.up.String(), p.index)
	}
	return joinKey(p.up.String(), p.key)
}

// schema returns the path as the schema knows it, without indices: service.server.weight.
func (p *path) schema() string {
	for p != nil && p.index >= 0 {
		p = p.up
	}
	if p == nil {
		return ""
	}
	return joinKey(p.up.schema(), p.key)
}

// A place is one spot in a file: where it is and what stands there.
type place struct {
	report *report
	path   *path
	value  any // as the TOML parser gives it; nil if the file does not have it
}

// key is the place of a key in the table here.
func (at place) key(name string) place {
	m, _ := at.value.(map[string]any)
	return place{at.report, &path{at.path, name, -1}, m[name]}
}

// index is the place of an element of the array here.
func (at place) index(i int) place {
	el := place{at.report, &path{at.path, "", i}, nil}
	switch v := at.value.(type) {
	case []any:
		el.value = v[i]
	case []map[string]any:
		el.value = v[i]
	}
	return el
}

// given tells whether the table here has the key.
func (at place) given(name string) bool {
	return at.key(name).value != nil
}

// sound tells whether the table here is one, and no mistake was found at or below any of the keys, so that a rule about
// several keys does not report what follows from a mistake in one.
func (at place) sound(names ...string) bool {
	bad := at.report.bad
	if len(bad) == 0 {
		return true
	}
	if bad[at.path.String()] {
		return false
	}
	for _, name := range names {
		if _, found := bad[at.key(name).path.String()]; found {
			return false
		}
	}
	return true
}

// line is the line of this place.
func (at place) line() int {
	return at.report.line(at.path)
}

// describe names another place in a mistake: "service[0] (line 12)".
func (at place) describe() string {
	return fmt.Sprintf("%s (line %d)", at.path, at.line())
}

// mistake notes what is wrong here. The hint may be empty.
func (at place) mistake(hint, problem string, args ...any) {
	r := at.report
	r.mistakes = append(r.mistakes, at.complain(hint, problem, args...))
	if r.bad == nil {
		r.bad = make(map[string]bool)
	}
	for p := at.path; p != nil; p = p.up {
		r.bad[p.String()] = p == at.path || r.bad[p.String()]
	}
}

// warn notes what is probably not meant, though it can be done.
func (at place) warn(hint, problem string, args ...any) {
	at.report.warnings = append(at.report.warnings, at.complain(hint, problem, args...))
}

func (at place) complain(hint, problem string, args ...any) Mistake {
	return Mistake{
		File:    at.report.file,
		Line:    at.line(),
		Key:     at.path.String(),
		Problem: fmt.Sprintf(problem, args...),
		Hint:    hint,
	}
}

// wrongType notes that what stands here is not of the type wanted.
func (at place) wrongType(want, hint string) {
	at.mistake(hint, "want %s, not %s", article(want), found(at.value))
}

// article puts the indefinite article before a type.
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// found says what a value is that should be something else.
func found(v any) string {
	switch v := v.(type) {
	case string:
		return "the string " + strconv.Quote(abbreviate(v))
	case int64, bool:
		return fmt.Sprint(v)
	case float64:
		return "the number " + strconv.FormatFloat(v, 'g', -1, 64)
	case time.Time:
		return "a date or time"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "an array of tables"
	}
	return "an array"
}

// abbreviate cuts what would make a mistake unreadable.
func abbreviate(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
