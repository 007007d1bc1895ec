// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strconv"
	"strings"
)

// repeat handles a line that begins with ~SEQ(…), ~SEQx(…) or ~LST(…): the rest of the line for each value.
func (r *reader) repeat(l line, kind string, depth int) {
	open := strings.IndexByte(l.text, '(')
	closing := strings.IndexByte(l.text, ')')
	if closing < 0 {
		r.refuse(l.at, "", "~%s has no closing parenthesis", kind)
		return
	}
	args, rest := r.substitute(line{l.at, l.text[open+1 : closing]}), strings.TrimSpace(l.text[closing+1:])
	names, rows, ok := listOf(args)
	if kind != "LST" {
		names, rows, ok = r.numbers(args, kind == "SEQx")
	}
	if !ok {
		r.refuse(l.at, "", "~%s(%s) cannot be read", kind, abbreviate(args))
		return
	}
	for _, row := range rows {
		for i, name := range names {
			r.params[name] = parameter{{l.at, row[i]}}
		}
		r.logical([]line{{l.at, rest}}, depth+1)
		if r.full {
			return
		}
	}
}

// substitute replaces the parameters of one line in a text that is not a line of its own.
func (r *reader) substitute(l line) string {
	for range maxNesting {
		from, to, value, ok := r.reference(l)
		if !ok || len(value) > 1 || len(l.text) > maxLength {
			break
		}
		l.text = l.text[:from] + value[0].text + l.text[to:]
	}
	return l.text
}

// numbers reads the arguments of ~SEQ: name, start, step, end. Start and step may be left out.
func (r *reader) numbers(args string, hex bool) (names []string, rows [][]string, ok bool) {
	parts := strings.Split(args, ",")
	if len(parts) < 2 || len(parts) > 4 {
		return nil, nil, false
	}
	name := strings.TrimSpace(parts[0])
	var n []int64
	for _, p := range parts[1:] {
		v, err := strconv.ParseInt(strings.TrimSpace(p), 0, 32)
		if err != nil {
			return nil, nil, false
		}
		n = append(n, v)
	}
	end := n[len(n)-1]
	start, step := int64(1), int64(1)
	if end < 0 {
		start = -1
	}
	if len(n) > 1 {
		start = n[0]
	}
	if end < start {
		step = -1
	}
	if len(n) == 3 {
		step = n[1]
	}
	if step == 0 || !parameterName(name) {
		return nil, nil, false
	}
	base := 10
	if hex {
		base = 16
	}
	for v := start; step > 0 && v <= end || step < 0 && v >= end; v += step {
		if len(rows) > maxLines {
			return nil, nil, false
		}
		rows = append(rows, []string{strconv.FormatInt(v, base)})
	}
	return []string{name}, rows, true
}

// listOf reads the arguments of ~LST: a name and its values, or {names} and {values}.
func listOf(args string) (names []string, rows [][]string, ok bool) {
	var items [][]string
	for rest := strings.TrimSpace(args); rest != ""; {
		item, after := "", ""
		if strings.HasPrefix(rest, "{") {
			inner, more, closed := strings.Cut(rest[1:], "}")
			if !closed {
				return nil, nil, false
			}
			item = inner
			_, after, _ = strings.Cut(more, ",")
		} else {
			item, after, _ = strings.Cut(rest, ",")
			item = strings.ReplaceAll(item, ",", "")
		}
		var fields []string
		for f := range strings.SplitSeq(item, ",") {
			fields = append(fields, strings.TrimSpace(f))
		}
		items = append(items, fields)
		rest = strings.TrimSpace(after)
	}
	if len(items) < 2 {
		return nil, nil, false
	}
	for _, row := range items[1:] {
		if len(row) != len(items[0]) {
			return nil, nil, false
		}
	}
	for _, name := range items[0] {
		if !parameterName(name) {
			return nil, nil, false
		}
	}
	return items[0], items[1:], true
}

func parameterName(s string) bool {
	odd := func(r rune) bool { return r > 127 || !nameByte(byte(r)) }
	return s != "" && (s[0] < '0' || s[0] > '9') && !strings.ContainsFunc(s, odd)
}
