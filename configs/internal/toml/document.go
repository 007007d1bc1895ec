// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A source is one file of a document.
type source struct {
	file    string
	text    string
	tree    map[string]any
	offsets map[string]int // by key at the top: how many tables of the array come from earlier files
	lines   map[string]int // made on first use
}

func (s *source) line(path string) int {
	if s.lines == nil {
		s.lines = Locate(s.text)
	}
	return max(1, s.lines[path])
}

// A Document is a file with the files that it includes, read as one tree. Its methods report what is wrong. Read returns the
// reports.
type Document struct {
	report *report
	tree   map[string]any
	first  map[string]*source // by key at the top, or by table and name: the file that has it
	size   int                // of all files in bytes
}

// Open decodes the text of a file. The name is used in mistakes only. If ok is false, the text is not TOML.
func Open(name string, text []byte, keys []Key) (d *Document, ok bool) {
	d = &Document{report: &report{keys: keys}, tree: make(map[string]any), first: make(map[string]*source)}
	s, ok := d.decode(name, text)
	if !ok {
		return d, false
	}
	d.merge(s)
	return d, true
}

// decode adds a file. It reports a text that is not TOML.
func (d *Document) decode(name string, text []byte) (*source, bool) {
	s := &source{file: name, text: string(text)}
	d.report.sources = append(d.report.sources, s)
	d.size += len(s.text)
	tree, wrong := s.decode()
	if wrong != nil {
		d.report.mistakes = append(d.report.mistakes, *wrong)
		return s, false
	}
	s.tree = tree
	return s, true
}

// Top returns the node of the whole tree.
func (d *Document) Top() Node { return Node{Value: d.tree, report: d.report} }

// Take returns the node of a key at the top, and removes the key from the tree.
func (d *Document) Take(key string) Node {
	at := d.Top().Key(key)
	delete(d.tree, key)
	return at
}

// Set gives a key at the top another value.
func (d *Document) Set(key string, value any) { d.tree[key] = value }

// Read reads the tree by a schema. The error is always Mistakes.
func Read[T any](d *Document, schema SchemaType[T], secrets Secrets) (v T, warnings Mistakes, err error) {
	r := d.report
	r.secrets, r.reported = secrets, maps.Clone(r.bad)
	v = schema.Read(d.Top())
	if err := d.Mistakes(); err != nil {
		return v, nil, err
	}
	r.warnings.sort()
	return v, r.warnings, nil
}

// Mistakes returns what was reported so far, as Mistakes.
func (d *Document) Mistakes() error {
	if len(d.report.mistakes) == 0 {
		return nil
	}
	d.report.mistakes.sort()
	return d.report.mistakes
}

// Sources returns the names and the texts of the files, in the order in which they were read.
func (d *Document) Sources() (all []File) {
	for _, s := range d.report.sources {
		all = append(all, File{s.file, s.text})
	}
	return all
}

// A File is the name and the text of a file.
type File struct{ Name, Text string }

// merge adds the tree of a file. Arrays of tables grow, and tables with names of the user's choice gain names. Anything else
// may be in one file only.
func (d *Document) merge(s *source) {
	s.offsets = make(map[string]int)
	for _, key := range slices.Sorted(maps.Keys(s.tree)) {
		is, was := s.tree[key], d.tree[key]
		if was == nil {
			d.tree[key] = is
			d.own(key, is, s)
			continue
		}
		if d.report.isArray(key) {
			more, ok := tablesOf(is)
			before, also := tablesOf(was)
			if ok && also {
				s.offsets[key] = len(before)
				d.tree[key] = slices.Concat(before, more)
				continue
			}
		}
		named, ok := is.(map[string]any)
		before, also := was.(map[string]any)
		if !ok || !also || !d.report.isNamed(key) {
			d.refuseAgain(s, key)
			continue
		}
		both := maps.Clone(before)
		for _, name := range slices.Sorted(maps.Keys(named)) {
			if full := joinKey(key, name); d.first[full] != nil {
				d.refuseAgain(s, full)
			} else {
				both[name], d.first[full] = named[name], s
			}
		}
		d.tree[key] = both
	}
}

// own records that a file has a key, and the names in it.
func (d *Document) own(key string, value any, s *source) {
	d.first[key] = s
	if table, ok := value.(map[string]any); ok && d.report.isNamed(key) {
		for name := range table {
			d.first[joinKey(key, name)] = s
		}
	}
}

// refuseAgain reports a key that an earlier file has too.
func (d *Document) refuseAgain(s *source, key string) {
	earlier := d.first[key]
	d.report.mistakes = append(d.report.mistakes, Mistake{
		File: s.file, Line: s.line(key), Key: key,
		Problem: fmt.Sprintf("is already in %s:%d", earlier.file, earlier.line(key)),
		Hint:    "write it in one file only",
	})
}

// isArray reports whether the schema has an array of tables at a key.
func (r *report) isArray(key string) bool {
	k, ok := r.schemaKey(key)
	return ok && k.Type == ArrayOfTables
}

// isNamed reports whether the schema has a table with names of the user's choice at a key.
func (r *report) isNamed(key string) bool {
	_, ok := r.schemaKey(key + "." + AnyName)
	return ok
}

// schemaKey returns the key of the schema at a path.
func (r *report) schemaKey(path string) (Key, bool) {
	if r.byPath == nil {
		r.byPath = make(map[string]Key, len(r.keys))
		for _, k := range r.keys {
			r.byPath[k.Path] = k
		}
	}
	k, ok := r.byPath[path]
	return k, ok
}

// tablesOf returns the elements of an array of tables, however it is written.
func tablesOf(v any) ([]map[string]any, bool) {
	switch v := v.(type) {
	case []map[string]any:
		return v, true
	case []any:
		tables := make([]map[string]any, len(v))
		for i := range v {
			table, ok := v[i].(map[string]any)
			if !ok {
				return nil, false
			}
			tables[i] = table
		}
		return tables, true
	}
	return nil, false
}

// A place is where a value is written.
type place struct {
	source *source
	line   int
	key    string // in its file
}

// locate returns the places of all values of the merged tree, by path.
func (r *report) locate() map[string]place {
	places := make(map[string]place)
	for _, s := range r.sources {
		for key, line := range Locate(s.text) {
			p := s.merged(key)
			if _, ok := places[p]; !ok {
				places[p] = place{s, line, key}
			}
		}
	}
	for _, o := range r.overrides {
		moved := make(map[string]place)
		for p, is := range places {
			if rest, ok := within(p, o.from); ok {
				moved[o.to+rest] = is
			}
		}
		for p := range places {
			if _, ok := within(p, o.to); ok {
				delete(places, p)
			}
		}
		maps.Copy(places, moved)
	}
	return places
}

// merged returns the path in the merged tree of a path in a file.
func (s *source) merged(path string) string {
	i := strings.IndexByte(path, '[')
	if i < 0 || len(s.offsets) == 0 {
		return path
	}
	offset, ok := s.offsets[path[:i]]
	if !ok {
		return path
	}
	var index int
	digits, rest, _ := strings.Cut(path[i+1:], "]")
	if _, err := fmt.Sscanf(digits, "%d", &index); err != nil {
		return path
	}
	return joinIndex(path[:i], index+offset) + rest
}

// within returns what of a path is below another, if it is the same or below.
func within(path, top string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, top)
	return rest, ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
