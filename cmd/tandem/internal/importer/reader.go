// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

// The limits of a configuration. keepalived's manual has an example with 65,024 virtual routers, which no machine runs.
const (
	maxLines    = 100_000  // after all replacements
	maxLength   = 1 << 16  // of one line, in bytes
	maxWork     = 32 << 20 // of all lines together, also of those that are replaced, in bytes
	maxIncludes = 16       // files that include files
	maxFiles    = 1000
	maxNesting  = 64 // parameters that contain parameters
)

// A line is a line of a file without comments. A part is one of the lines that a backslash has joined.
type line struct {
	at   Place
	text string
}

// A parameter is $NAME with its value, of one or more lines.
type parameter []line

// A reader follows includes, conditions, parameters and sequences. What is left are plain lines.
type reader struct {
	*report
	files  Files
	id     string
	params map[string]parameter
	lines  []line
	read   []string // the names of all files
	trail  []string // the files that lead to the present one
	work   int
	ids    []string // that conditions name, in their order
	strict checks
	full   bool // a limit was reached
}

// file reads the text of a file.
func (r *reader) file(name string, text []byte) {
	if len(text) > configs.MaxSize {
		r.refuse(Place{File: name}, "", "is larger than %d MiB", configs.MaxSize>>20)
		return
	}
	clean := strings.Map(func(c rune) rune {
		if c >= markHash && c <= markEnd {
			return -1
		}
		return c
	}, strings.ToValidUTF8(string(text), "?"))
	outer := r.params["_PWD"]
	before := r.strict
	r.trail = append(r.trail, path.Clean(name))
	r.read = append(r.read, name)
	r.params["_PWD"] = parameter{{text: path.Dir(name)}}
	for _, parts := range joined(name, clean) {
		r.logical(parts, 0)
	}
	r.trail, r.params["_PWD"], r.strict = r.trail[:len(r.trail)-1], outer, before
}

// joined splits a text into lines without comments. Lines that end with a backslash belong together.
func joined(name, text string) (all [][]line) {
	var parts []line
	n := 0
	for s := range strings.SplitSeq(text, "\n") {
		n++
		s = strings.TrimSpace(withoutComment(strings.TrimPrefix(s, "\ufeff")))
		rest, more := strings.CutSuffix(s, `\`)
		parts = append(parts, line{Place{name, n}, strings.TrimSpace(rest)})
		if !more {
			all, parts = append(all, parts), nil
		}
	}
	if parts != nil {
		all = append(all, parts)
	}
	return all
}

// withoutComment removes a comment: from a # or ! outside quotes to the end.
func withoutComment(s string) string {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#' || c == '!':
			return s[:i]
		}
	}
	return s
}

var (
	definition = regexp.MustCompile(`^\$([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)
	include    = regexp.MustCompile(`^(include[rmwba]?)[ \t]+(.+)$`)
	condition  = regexp.MustCompile(`^@(\^?)([^ \t]+)[ \t]*(.*)$`)
	sequence   = regexp.MustCompile(`^~(SEQx?|LST)\(`)
)

// logical handles lines that belong together. Its depth is that of the parameters that it comes from.
func (r *reader) logical(parts []line, depth int) {
	if r.full || !r.step(parts[0], depth) {
		return
	}
	first := strings.TrimSpace(parts[0].text)
	if m := include.FindStringSubmatch(first); m != nil && len(parts) == 1 {
		r.include(parts[0].at, m[1], m[2])
		return
	}
	for strings.HasPrefix(first, "@") {
		m := condition.FindStringSubmatch(first)
		if m == nil {
			break
		}
		if !slices.Contains(r.ids, m[2]) {
			r.ids = append(r.ids, m[2])
		}
		if (m[2] == r.id) == (m[1] == "^") {
			return
		}
		first = strings.TrimSpace(m[3])
	}
	if m := definition.FindStringSubmatch(first); m != nil {
		value := slices.Clone(parts)
		value[0].text = strings.TrimSpace(m[2])
		if len(value) > 1 && value[0].text == "" {
			value = value[1:]
		}
		r.params[m[1]] = value
		return
	}
	text := first
	for _, p := range parts[1:] {
		text += " " + p.text
	}
	r.expand(line{parts[0].at, strings.TrimSpace(text)}, depth)
}

// step counts what is done, and reports whether a limit is reached.
func (r *reader) step(l line, depth int) bool {
	const least = 64 // what a short line costs
	at := l.at
	r.work += len(l.text) + least
	switch {
	case depth > maxNesting:
		r.refuse(at, "remove the cycle", "parameters contain each other without end")
	case r.work > maxWork || len(r.lines) > maxLines:
		r.refuse(at, "convert a part of it", "becomes more than %d lines, or %d MiB", maxLines, maxWork>>20)
	default:
		return true
	}
	r.full = true
	return false
}

// expand replaces sequences and parameters, and keeps the plain line that results.
func (r *reader) expand(l line, depth int) {
	if l.text == "" || r.full {
		return
	}
	if m := sequence.FindStringSubmatch(l.text); m != nil {
		r.repeat(l, m[1], depth)
		return
	}
	for range maxNesting {
		from, to, value, ok := r.reference(l)
		if !ok {
			r.keep(l)
			return
		}
		if len(value) > 1 || strings.HasPrefix(l.text[:from]+value[0].text, "@") || from == 0 {
			r.replace(l, from, to, value, depth)
			return
		}
		l.text = l.text[:from] + value[0].text + l.text[to:]
		if len(l.text) > maxLength {
			r.refuse(l.at, "", "is longer than %d bytes", maxLength)
			r.full = true
			return
		}
		if !r.step(l, depth) {
			return
		}
	}
	r.step(l, maxNesting+1)
}

// replace puts the lines of a parameter in the place of its name. The first and the last may have text around them.
func (r *reader) replace(l line, from, to int, value parameter, depth int) {
	for i, v := range value {
		switch {
		case i == 0 && i == len(value)-1:
			v.at, v.text = l.at, l.text[:from]+v.text+l.text[to:]
		case i == 0:
			v.text = l.text[:from] + v.text
		case i == len(value)-1:
			v.text += l.text[to:]
		}
		if len(v.text) > maxLength {
			r.refuse(l.at, "", "is longer than %d bytes", maxLength)
			r.full = true
			return
		}
		r.logical([]line{v}, depth+1)
	}
}

// reference finds the first parameter in a line that has a value: $NAME before white space, or ${NAME}.
func (r *reader) reference(l line) (from, to int, value parameter, ok bool) {
	s := l.text
	for i := 0; i < len(s); i++ {
		if s[i] != '$' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '{' {
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return 0, 0, nil, false
			}
			if value = r.braced(l.at, s[i+2:i+end]); value != nil {
				return i, i + end + 1, value, true
			}
			continue
		}
		end := i + 1
		for end < len(s) && nameByte(s[end]) {
			end++
		}
		if end < len(s) && s[end] != ' ' && s[end] != '\t' {
			continue
		}
		if value = r.params[s[i+1:end]]; value != nil {
			return i, end, value, true
		}
	}
	return 0, 0, nil, false
}

func nameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// The marks that stand for characters which the reader must not see again, and around the name of a variable of the environment.
// They are noncharacters of Unicode, so that no text has them.
const (
	markHash, markBang = '\ufdd0', '\ufdd1'
	markEnv, markEnd   = '\ufdd2', '\ufdd3'
)

// braced returns the value of ${NAME}; nil if there is none.
func (r *reader) braced(at Place, name string) parameter {
	word, rest, _ := strings.Cut(name, " ")
	rest = strings.TrimSpace(rest)
	one := func(text string) parameter { return parameter{{at, text}} }
	switch {
	case r.params[name] != nil:
		return r.params[name]
	case word == "_HASH":
		return one(string(markHash))
	case word == "_BANG":
		return one(string(markBang))
	case word == "_INSTANCE":
		return one(r.id)
	case word == "_RANDOM":
		least, _, _ := strings.Cut(rest, " ")
		if least == "" || strings.Trim(least, "0123456789") != "" {
			least = "0"
		}
		r.note(at, "write the number that you want", "${%s}: a random number; %s is used", name, least)
		return one(least)
	case word == "_ENV" && rest != "" && strings.IndexFunc(rest, func(c rune) bool { return c > 127 || !nameByte(byte(c)) }) < 0:
		return one(string(markEnv) + rest + string(markEnd))
	}
	return nil
}

// plain replaces the marks of characters. shown also replaces those of variables, as a file of tandem writes them.
var (
	plain = strings.NewReplacer(string(markHash), "#", string(markBang), "!")
	shown = strings.NewReplacer(string(markHash), "#", string(markBang), "!", string(markEnv), "${", string(markEnd), "}")
)

// keep keeps a plain line.
func (r *reader) keep(l line) { r.lines = append(r.lines, l) }
