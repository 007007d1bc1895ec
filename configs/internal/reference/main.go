// SPDX-License-Identifier: Apache-2.0

// Command reference writes configs/reference.toml from the schema: go generate ./configs.
//
// layout.toml gives the order of tables and keys. The schema gives each key's comment and value. A layout line is a table
// header, names of keys, "key = value" for a value of its own, a comment, or blank.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// width is the maximum length of a line in characters.
const width = 120

//go:embed layout.toml
var layout string

func main() {
	text, err := render(layout, configs.Keys())
	if err == nil {
		err = os.WriteFile("reference.toml", []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "failed to write the reference:", err)
		os.Exit(1)
	}
}

// A writer writes the reference.
type writer struct {
	strings.Builder
	keys    map[string]toml.Key
	pending map[string]bool // keys that are not documented yet, by path
	table   string          // the path of the current table
}

func render(layout string, keys []toml.Key) (string, error) {
	w := &writer{keys: make(map[string]toml.Key), pending: make(map[string]bool)}
	for _, k := range keys {
		w.keys[k.Path], w.pending[k.Path] = k, true
	}
	for n, line := range strings.Split(strings.TrimSpace(layout), "\n") {
		if err := w.line(line); err != nil {
			return "", fmt.Errorf("layout.toml:%d: %w", n+1, err)
		}
	}
	for _, k := range keys {
		if w.pending[k.Path] {
			return "", fmt.Errorf("layout.toml does not have %s", k.Path)
		}
	}
	return w.String(), nil
}

func (w *writer) line(line string) error {
	text := strings.TrimSpace(line)
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	switch {
	case text == "" || text[0] == '#':
		fmt.Fprintln(w, line)
	case text[0] == '[':
		w.header(indent, text)
	case strings.Contains(text, " = "):
		name, value, _ := strings.Cut(text, " = ")
		w.key(indent, name, value)
	default:
		for name := range strings.FieldsSeq(text) {
			k, ok := w.keys[w.path(name)]
			value := k.Default
			if value == "" {
				value = k.Example
			}
			if !ok || value == "" {
				return fmt.Errorf("%s is unknown, or has neither a default nor an example", w.path(name))
			}
			w.key(indent, name, value)
		}
	}
	return nil
}

var namedTable = regexp.MustCompile(`^(check|director)\.[^.]+`)

func (w *writer) header(indent, text string) {
	w.table = namedTable.ReplaceAllString(strings.Trim(text, "[]"), "$1."+toml.AnyName)
	for i, c := range w.table {
		if c == '.' {
			w.document(indent, w.table[:i])
		}
	}
	w.document(indent, w.table)
	fmt.Fprintln(w, indent+text)
}

func (w *writer) path(name string) string {
	if w.table == "" {
		return name
	}
	return w.table + "." + name
}

func (w *writer) key(indent, name, value string) {
	w.document(indent, w.path(name))
	fmt.Fprintf(w, "%s%s = %s\n", indent, name, value)
}

// document writes the comment of a key, if it is not written yet.
func (w *writer) document(indent, path string) {
	if !w.pending[path] {
		return
	}
	delete(w.pending, path)
	for paragraph := range strings.SplitSeq(w.keys[path].Description(), "\n") {
		line := indent + "#"
		for word := range strings.FieldsSeq(paragraph) {
			if len([]rune(line))+1+len([]rune(word)) > width {
				fmt.Fprintln(w, line)
				line = indent + "#"
			}
			line += " " + word
		}
		fmt.Fprintln(w, line)
	}
}
