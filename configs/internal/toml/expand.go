// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"slices"
	"strings"
)

// Expand replaces each ${NAME} in the strings of the tree by the value of the variable, and each $$ by a dollar. It reports
// variables that are not set.
func (d *Document) Expand(variable func(name string) (value string, set bool)) {
	dollar := func(s *source) bool { return strings.Contains(s.text, "$") }
	if slices.ContainsFunc(d.report.sources, dollar) {
		d.tree, _ = expand(d.Top(), variable).(map[string]any)
	}
}

// ExpandString returns the string here with its variables replaced; "" if there is no string.
func (at Node) ExpandString(variable func(name string) (value string, set bool)) string {
	s, _ := expand(at, variable).(string)
	return s
}

// expand returns the value here with its variables replaced.
func expand(at Node, variable func(string) (string, bool)) any {
	switch v := at.Value.(type) {
	case string:
		text, no := expandText(v, variable)
		if !at.report.bad[at.path.String()] {
			at.Refuse(no)
		}
		return text
	case map[string]any:
		table := make(map[string]any, len(v))
		for key := range v {
			table[key] = expand(at.Key(key), variable)
		}
		return table
	case []map[string]any:
		tables := make([]map[string]any, len(v))
		for i := range v {
			tables[i], _ = expand(at.Index(i), variable).(map[string]any)
		}
		return tables
	case []any:
		values := make([]any, len(v))
		for i := range v {
			values[i] = expand(at.Index(i), variable)
		}
		return values
	}
	return at.Value
}

// expandText replaces the variables of a text.
func expandText(s string, variable func(string) (string, bool)) (string, *Refusal) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if s = rest; strings.HasPrefix(rest, "$") {
			b.WriteByte('$')
			s = rest[1:]
			continue
		}
		if !strings.HasPrefix(rest, "{") {
			b.WriteByte('$') // "$" alone stands for itself
			continue
		}
		name, after, closed := strings.Cut(rest[1:], "}")
		if !closed || !validVariable(name) {
			return "", Refuse("write ${NAME}, and $${ for a dollar and a brace", "%q is not a variable", Abbreviate("${"+name))
		}
		value, set := "", false
		if variable != nil {
			value, set = variable(name)
		}
		if !set {
			return "", Refuse("set it in the environment of tandem (for the units: in /etc/default/tandem, then restart them), or write $${ for a dollar and a brace", "the variable %s is not set", name)
		}
		b.WriteString(value)
		s = after
	}
}

// validVariable follows POSIX: letters, digits and underscores, no digit first.
func validVariable(name string) bool {
	odd := func(r rune) bool { return r > 0x7f || r == '-' || NotBare(r) }
	return name != "" && !strings.ContainsFunc(name, odd) && (name[0] < '0' || name[0] > '9')
}
