// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

const (
	// MaxSize is the maximum size of a file in bytes: room for some 20,000 services of ten servers.
	MaxSize = 16 << 20

	// maxNesting is far above what a schema has, and far below what the stack can hold.
	maxNesting = 1000
)

// decode returns the tree of the file, or what is wrong with it as a whole.
func (s *source) decode() (map[string]any, *Mistake) {
	if i := invalidUTF8(s.text); i >= 0 {
		hint := ""
		if strings.HasPrefix(s.text, "\xff\xfe") || strings.HasPrefix(s.text, "\xfe\xff") {
			hint = "it looks like UTF-16, save it as UTF-8"
		}
		return nil, s.unreadable(1+strings.Count(s.text[:i], "\n"), "", hint,
			fmt.Sprintf("is not a text file in UTF-8: it has the byte 0x%02x", s.text[i]))
	}
	if len(s.text) > MaxSize {
		return nil, s.unreadable(1, "", "", fmt.Sprintf("is larger than %d MiB", MaxSize>>20))
	}
	if n := nesting(s.text); n > maxNesting {
		return nil, s.unreadable(1, "", "", fmt.Sprintf("has arrays or tables nested %d deep: want at most %d", n, maxNesting))
	}
	tree, err := decode(s.text)
	if err == nil {
		return tree, nil
	}
	line, key, problem := 1, "", oneLine(err.Error())
	if syntax := (toml.ParseError{}); errors.As(err, &syntax) {
		line, key, problem = max(1, syntax.Position.Line), oneLine(syntax.LastKey), oneLine(syntax.Message)
	}
	return nil, s.unreadable(line, key, "", "not TOML: "+strings.TrimSuffix(problem, "."))
}

// decode calls the TOML parser. The parser panics if one of its own assertions fails. This counts as an unknown syntax error.
func decode(text string) (tree map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %s", strings.TrimSpace(fmt.Sprint(p)))
		}
	}()
	_, err = toml.Decode(text, &tree)
	return tree, err
}

// oneLine makes the parser's text printable: keys may have control characters.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// unreadable returns what makes the file unreadable as a whole.
func (s *source) unreadable(line int, key, hint, problem string) *Mistake {
	return &Mistake{File: s.file, Line: line, Key: key, Problem: problem, Hint: hint}
}

// invalidUTF8 returns the index of the first byte that is not UTF-8, or -1.
func invalidUTF8(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i := 0; ; {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
}

// Lookup returns the string that the tree has at a path; "" if there is none.
func (d *Document) Lookup(keys ...string) string {
	var v any = d.tree
	for _, key := range keys {
		table, _ := v.(map[string]any)
		v = table[key]
	}
	s, _ := v.(string)
	return s
}
