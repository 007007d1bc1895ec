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

// Parse reads the text of a file by its schema. The name is used in mistakes only. The error is always Mistakes.
func Parse[T any](name string, text []byte, schema SchemaType[T]) (v T, warnings Mistakes, err error) {
	r := &report{file: name, text: string(text), keys: schema.Keys}
	tree, ok := r.decode()
	if ok {
		v = schema.Read(Node{Value: tree, report: r})
	}
	if len(r.mistakes) > 0 {
		r.mistakes.sort()
		return v, nil, r.mistakes
	}
	r.warnings.sort()
	return v, r.warnings, nil
}

// decode returns the tree of the file, or reports why there is none.
func (r *report) decode() (tree map[string]any, ok bool) {
	if i := invalidUTF8(r.text); i >= 0 {
		hint := ""
		if strings.HasPrefix(r.text, "\xff\xfe") || strings.HasPrefix(r.text, "\xfe\xff") {
			hint = "it looks like UTF-16, save it as UTF-8"
		}
		r.unreadable(1+strings.Count(r.text[:i], "\n"), "", hint,
			fmt.Sprintf("is not a text file in UTF-8: it has the byte 0x%02x", r.text[i]))
		return nil, false
	}
	if len(r.text) > MaxSize {
		r.unreadable(1, "", "", fmt.Sprintf("is larger than %d MiB", MaxSize>>20))
		return nil, false
	}
	if n := nesting(r.text); n > maxNesting {
		r.unreadable(1, "", "", fmt.Sprintf("has arrays or tables nested %d deep: want at most %d", n, maxNesting))
		return nil, false
	}
	tree, err := decode(r.text)
	if err == nil {
		return tree, true
	}
	line, key, problem := 1, "", oneLine(err.Error())
	if syntax := (toml.ParseError{}); errors.As(err, &syntax) {
		line, key, problem = max(1, syntax.Position.Line), oneLine(syntax.LastKey), oneLine(syntax.Message)
	}
	r.unreadable(line, key, "", "not TOML: "+strings.TrimSuffix(problem, "."))
	return nil, false
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

// unreadable reports what makes the file unreadable as a whole.
func (r *report) unreadable(line int, key, hint, problem string) {
	r.mistakes = append(r.mistakes, Mistake{File: r.file, Line: line, Key: key, Problem: problem, Hint: hint})
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

// Lookup returns the string that a text has at a path, whatever else is wrong with the text as a
// configuration; "" if there is none. The error says that the text is not TOML.
func Lookup(text []byte, keys ...string) (string, error) {
	tree, err := decode(string(text))
	if err != nil {
		return "", err
	}
	var v any = tree
	for _, key := range keys {
		table, _ := v.(map[string]any)
		v = table[key]
	}
	s, _ := v.(string)
	return s, nil
}
