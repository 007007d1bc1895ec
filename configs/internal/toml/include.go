// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"fmt"
	slashed "path"
	"slices"
	"strings"
)

// MaxIncludes is the maximum depth of files that include files, and maxFiles is the maximum number of files.
const (
	MaxIncludes = 8
	maxFiles    = 10_000
)

// Files are the files that a document may include.
type Files interface {
	// Match returns the names of the files that match a pattern in the form of path.Match. The error says what is wrong.
	Match(pattern string) ([]string, error)
	// Read returns the text of a file.
	Read(name string) ([]byte, error)
}

// Include reads the files that the key at the top of a file lists, and those that these list. Patterns are relative to the
// directory of the file that has them.
func (d *Document) Include(key string, files Files) {
	first := d.report.sources[0]
	d.include(key, files, first, []string{slashed.Clean(first.file)}, map[string]string{})
	delete(d.tree, key)
}

// include reads what the file s lists. The trail are the files that lead to s, and itself. seen has where each file was
// included.
func (d *Document) include(key string, files Files, s *source, trail []string, seen map[string]string) {
	patterns := d.patterns(key, s)
	delete(d.tree, key) // each file may have its own
	delete(d.first, key)
	for i, pattern := range patterns {
		at := joinIndex(key, i)
		for _, name := range d.matching(files, s, at, pattern) {
			here := fmt.Sprintf("%s:%d", s.file, s.line(at))
			switch {
			case slices.Contains(trail, name):
				d.wrong(s, at, "remove one of the includes", "%s includes itself: %s", name, strings.Join(append(slices.Clone(trail), name), " → "))
				continue
			case seen[name] != "":
				d.wrong(s, at, "include it once", "%s is already included by %s", name, seen[name])
				continue
			case len(trail) > MaxIncludes:
				d.wrong(s, at, "", "%s is included at depth %d: want at most %d", name, len(trail), MaxIncludes)
				continue
			case len(d.report.sources) >= maxFiles:
				d.wrong(s, at, "", "includes too many files: want at most %d", maxFiles)
				return
			}
			seen[name] = here
			text, err := files.Read(name)
			if err != nil {
				d.wrong(s, at, "", "failed to read it: %v", err)
				continue
			}
			if d.size+len(text) > MaxSize {
				d.wrong(s, at, "", "with %s, the files are larger than %d MiB together", name, MaxSize>>20)
				return
			}
			if included, ok := d.decode(name, text); ok {
				d.merge(included)
				d.include(key, files, included, append(slices.Clone(trail), name), seen)
			}
		}
	}
}

// patterns returns what a file includes.
func (d *Document) patterns(key string, s *source) []string {
	value, ok := s.tree[key]
	if !ok {
		return nil
	}
	list, ok := value.([]any)
	if one, text := value.(string); text {
		list, ok = []any{one}, false
	}
	patterns := make([]string, len(list))
	for i, v := range list {
		text, is := v.(string)
		patterns[i], ok = text, ok && is
	}
	if !ok {
		d.wrong(s, key, `write include = ["services.d/*.toml"]`, "want an array of strings, not %s", found(value))
		return nil
	}
	return patterns
}

// matching returns the files of a pattern, in the order of their names. Files whose name begins with a dot are left out, as a
// shell does: editors leave them behind.
func (d *Document) matching(files Files, s *source, at, pattern string) []string {
	full := pattern
	if !slashed.IsAbs(full) {
		full = slashed.Join(slashed.Dir(s.file), full)
	}
	_, malformed := slashed.Match(full, "")
	switch wild := strings.ContainsAny(pattern, `*?[\`); {
	case pattern == "" || malformed != nil:
		d.wrong(s, at, `write a name or a pattern, such as "services.d/*.toml"`, "%q is not a pattern", Abbreviate(pattern))
		return nil
	case strings.Contains(pattern, "${"):
		d.wrong(s, at, "write the path", "include takes no variables: %q", Abbreviate(pattern))
		return nil
	case files == nil:
		d.wrong(s, at, "", "files cannot be included here")
		return nil
	case !wild:
		return []string{full}
	}
	names, err := files.Match(full)
	if err != nil {
		d.wrong(s, at, "", "failed to list %s: %v", full, err)
		return nil
	}
	hidden := func(name string) bool {
		return strings.HasPrefix(slashed.Base(name), ".") && !strings.HasPrefix(slashed.Base(pattern), ".")
	}
	names = slices.DeleteFunc(slices.Clone(names), hidden)
	if slices.Sort(names); len(names) == 0 {
		d.report.warnings = append(d.report.warnings, Mistake{
			File: s.file, Line: s.line(at), Key: at, Problem: fmt.Sprintf("no file matches %s", full),
		})
	}
	return names
}

// wrong reports a mistake at a key of a file.
func (d *Document) wrong(s *source, key, hint, problem string, args ...any) {
	d.report.mistakes = append(d.report.mistakes, Mistake{
		File: s.file, Line: s.line(key), Key: key, Problem: oneLine(fmt.Sprintf(problem, args...)), Hint: hint,
	})
}
