// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A report collects the mistakes and warnings of a document.
type report struct {
	sources   []*source
	overrides []override
	keys      []Key
	byPath    map[string]Key // made on first use
	secrets   Secrets
	mistakes  Mistakes
	warnings  Mistakes
	bad       map[string]bool  // by path: true for a mistake right there, false for a mistake below
	reported  map[string]bool  // bad, before the schema was read: such a value gets no second mistake
	places    map[string]place // made on first use: a file without mistakes does not need it
}

// place returns where the value at p is written. If it is not written, it is the place of the nearest parent, with the key
// that is missing there.
func (r *report) place(p *path) place {
	if r.places == nil {
		r.places = r.locate()
	}
	full := p.String()
	for ; p != nil; p = p.up {
		here := p.String()
		if is, ok := r.places[here]; ok {
			is.key += full[len(here):]
			return is
		}
	}
	return place{r.sources[0], 1, full}
}

// A path leads from the top of a file, which is nil, to a key or to an element of an array.
type path struct {
	up    *path
	key   string
	index int // position of an array element; -1 for a key
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

// schema returns the path as the schema has it, without indices: service.server.weight.
func (p *path) schema() string {
	for p != nil && p.index >= 0 {
		p = p.up
	}
	if p == nil {
		return ""
	}
	return joinKey(p.up.schema(), p.key)
}

// A Node is one place in a file, and the value there.
type Node struct {
	Value any // as the TOML parser gives it; nil if the file has no value here

	report *report
	path   *path
}

// Key returns the node of a key in the table here.
func (at Node) Key(name string) Node {
	m, _ := at.Value.(map[string]any)
	return Node{m[name], at.report, &path{at.path, name, -1}}
}

// Len returns the number of elements of the array here, and whether there is an array.
func (at Node) Len() (n int, ok bool) {
	switch v := at.Value.(type) {
	case []any:
		return len(v), true
	case []map[string]any:
		return len(v), true
	}
	return 0, false
}

// Index returns the node of an element of the array here.
func (at Node) Index(i int) Node {
	el := Node{nil, at.report, &path{at.path, "", i}}
	switch v := at.Value.(type) {
	case []any:
		el.Value = v[i]
	case []map[string]any:
		el.Value = v[i]
	}
	return el
}

// Has reports whether the table here has the key.
func (at Node) Has(name string) bool {
	return at.Key(name).Value != nil
}

// Sound reports whether this node is a table and none of the keys has a mistake. Rules about several keys call it first, so
// that a mistake is not reported twice.
func (at Node) Sound(names ...string) bool {
	bad := at.report.bad
	if len(bad) == 0 {
		return true
	}
	if bad[at.path.String()] {
		return false
	}
	for _, name := range names {
		if _, found := bad[at.Key(name).path.String()]; found {
			return false
		}
	}
	return true
}

// Describe names the node in a mistake of another node: "service[0] (line 12)".
func (at Node) Describe() string {
	is := at.report.place(at.path)
	if len(at.report.sources) > 1 {
		return fmt.Sprintf("%s (%s:%d)", is.key, is.source.file, is.line)
	}
	return fmt.Sprintf("%s (line %d)", is.key, is.line)
}

// Mistake reports what is wrong here. The hint says what to do, and may be empty.
func (at Node) Mistake(hint, problem string, args ...any) {
	r := at.report
	if r.reported[at.path.String()] {
		return
	}
	r.mistakes = append(r.mistakes, at.finding(hint, problem, args...))
	if r.bad == nil {
		r.bad = make(map[string]bool)
	}
	for p := at.path; p != nil; p = p.up {
		r.bad[p.String()] = p == at.path || r.bad[p.String()]
	}
}

// Place returns a mistake here without a problem, for a problem that only a reader of other files can find.
func (at Node) Place() Mistake { return at.finding("", "") }

// Refuse reports a refusal as a mistake here, if there is one.
func (at Node) Refuse(no *Refusal) {
	if no != nil {
		at.Mistake(no.Hint, "%s", no.Problem)
	}
}

// Warn reports a value that is valid, but probably not intended.
func (at Node) Warn(hint, problem string, args ...any) {
	at.report.warnings = append(at.report.warnings, at.finding(hint, problem, args...))
}

func (at Node) finding(hint, problem string, args ...any) Mistake {
	is := at.report.place(at.path)
	return Mistake{
		File:    is.source.file,
		Line:    is.line,
		Key:     is.key,
		Problem: fmt.Sprintf(problem, args...),
		Hint:    hint,
	}
}

// WrongType reports that the value here is not of the wanted type.
func (at Node) WrongType(want, hint string) {
	at.Mistake(hint, "want %s, not %s", article(want), found(at.Value))
}

// article puts the indefinite article before a type.
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// found describes a value of the wrong type.
func found(v any) string {
	switch v := v.(type) {
	case string:
		return "the string " + strconv.Quote(Abbreviate(v))
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

// Abbreviate shortens a text that would make a mistake unreadable.
func Abbreviate(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
