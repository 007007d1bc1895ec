// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"path"
	"slices"
	"strings"
)

// checks are what an include refuses: keepalived's include_check.
type checks struct{ match, wildcard, brace bool }

// variants are what the forms of include add.
var variants = map[string]checks{
	"include": {}, "includer": {}, "includem": {match: true}, "includew": {wildcard: true}, "includeb": {brace: true},
	"includea": {true, true, true},
}

// include reads the files that match a pattern. keepalived goes on without a file that it cannot read. A conversion would then
// lack a part that the machine may have, so this is refused, unless it is a pattern.
func (r *reader) include(at Place, keyword, pattern string) {
	c := variants[keyword]
	c.match, c.wildcard, c.brace = c.match || r.strict.match, c.wildcard || r.strict.wildcard, c.brace || r.strict.brace
	pattern = strings.Trim(strings.TrimSpace(pattern), `"'`)
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(at.File), pattern)
	}
	any := false
	all := braces(pattern)
	for _, one := range all {
		names, wild := []string{one}, strings.ContainsAny(one, "*?[")
		if wild {
			names = r.matching(at, one)
		}
		if len(names) == 0 && (c.wildcard || c.brace && len(all) > 1) {
			r.refuse(at, "", "%s: no file matches %s", keyword, abbreviate(one))
		}
		any = any || len(names) > 0
		for _, name := range names {
			r.open(at, name)
		}
	}
	if !any && !c.wildcard {
		r.note(at, "run tandem import where the files are", "%s: no file matches %s", keyword, abbreviate(pattern))
	}
}

func (r *reader) matching(at Place, pattern string) []string {
	if r.files == nil {
		return nil
	}
	names, err := r.files.Match(pattern)
	if err != nil {
		r.refuse(at, "", "include: %s cannot be a pattern: %v", abbreviate(pattern), err)
	}
	return slices.Sorted(slices.Values(names))
}

// open reads an included file.
func (r *reader) open(at Place, name string) {
	name = path.Clean(name)
	switch {
	case r.full:
		return
	case slices.Contains(r.trail, name):
		r.refuse(at, "remove one of the includes", "include: %s includes itself", name)
		return
	case len(r.trail) > maxIncludes:
		r.refuse(at, "", "include: %s is included at depth %d: want at most %d", name, len(r.trail), maxIncludes)
		return
	case len(r.read) >= maxFiles:
		r.refuse(at, "convert a part of it", "include: more than %d files", maxFiles)
		r.full = true
		return
	case r.files == nil:
		r.refuse(at, "", "include: %s cannot be read here", name)
		return
	}
	text, err := r.files.Read(name)
	if err != nil {
		r.refuse(at, "run tandem import where the file is, or remove the include", "include: %v", err)
		return
	}
	r.file(name, text)
}

// maxBraces limits the patterns of one include.
const maxBraces = 256

// braces expands {a,b} in a pattern as a shell does: conf.d/{web,mail}.conf.
func braces(pattern string) []string {
	done, todo := []string(nil), []string{pattern}
	for len(todo) > 0 && len(done)+len(todo) <= maxBraces {
		p := todo[0]
		todo = todo[1:]
		open, end, commas := innermost(p)
		if end < 0 || len(commas) == 0 {
			done = append(done, p)
			continue
		}
		from := open + 1
		for _, to := range append(commas, end) {
			todo = append(todo, p[:open]+p[from:to]+p[end+1:])
			from = to + 1
		}
	}
	return append(done, todo...)
}

// innermost finds the first closing brace, the brace that it closes, and the commas between them.
func innermost(p string) (open, end int, commas []int) {
	open = -1
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '{':
			open, commas = i, nil
		case ',':
			if open >= 0 {
				commas = append(commas, i)
			}
		case '}':
			if open >= 0 {
				return open, i, commas
			}
		}
	}
	return -1, -1, nil
}
