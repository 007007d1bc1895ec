// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"maps"
	"slices"
	"strings"
)

// A KeyInfo describes a key of the schema.
type KeyInfo struct {
	Path     string // from the top of the file: service.check.interval
	Type     string // in words: integer, duration, array of tables
	Values   string // the values that it takes, in words and with their unit; empty if the type says it all
	Default  string // as TOML writes it; empty if there is none
	Required bool   // within its table
	Doc      string // what it is for, in a sentence
}

// The types of keys that hold other keys.
const (
	table         = "table"
	arrayOfTables = "array of tables"
)

// split returns the table and the name of the key in it.
func (k KeyInfo) split() (parent, name string) {
	i := strings.LastIndexByte(k.Path, '.')
	if i < 0 {
		return "", k.Path
	}
	return k.Path[:i], k.Path[i+1:]
}

// Keys returns every key that a file may have, tables before what they hold.
func Keys() []KeyInfo {
	return fileTable().keys
}

// A field is a key in a table that becomes an S.
type field[S any] struct {
	info KeyInfo
	keys []KeyInfo
	read func(at place, s *S)
}

// required is a key that its table must have.
func required[S, T any](name string, k kind[T], doc string, set func(*S, T)) field[S] {
	f := derived(name, k, doc, set)
	f.info.Required = true
	given := f.read
	f.read = func(at place, s *S) {
		if at.value != nil {
			given(at, s)
			return
		}
		hint := ""
		if k.typ == arrayOfTables {
			hint = "add [[" + at.path.schema() + "]]"
		}
		at.mistake(hint, "is missing: want %s", article(k.typ))
	}
	return f
}

// optional is a key with a default.
func optional[S, T any](name string, k kind[T], fallback T, doc string, set func(*S, T)) field[S] {
	f := derived(name, k, doc, set)
	f.info.Default = k.show(fallback)
	given := f.read
	f.read = func(at place, s *S) {
		if at.value == nil {
			set(s, fallback)
			return
		}
		given(at, s)
	}
	return f
}

// derived is a key without which the field stays as it is, for the table's check to work out or to leave empty.
func derived[S, T any](name string, k kind[T], doc string, set func(*S, T)) field[S] {
	return field[S]{
		info: KeyInfo{Path: name, Type: k.typ, Values: k.values, Doc: doc},
		keys: k.keys,
		read: func(at place, s *S) {
			if at.value != nil {
				set(s, k.read(at))
			}
		},
	}
}

// section is a table that is read, for its defaults, even if the file does not have it.
func section[S, T any](name string, k kind[T], doc string, set func(*S, T)) field[S] {
	f := derived(name, k, doc, set)
	f.read = func(at place, s *S) { set(s, k.read(at)) }
	return f
}

// tableOf is a table whose fields make up an S. The fields are read in their order; then check, which may be nil, works
// out what several of them say together.
func tableOf[S any](check func(at place, s *S), fields ...field[S]) kind[S] {
	k := kind[S]{typ: table}
	names, order := make(map[string]bool, len(fields)), make([]string, 0, len(fields))
	for _, f := range fields {
		names[f.info.Path], order = true, append(order, f.info.Path)
		k.keys = append(k.keys, f.info)
		for _, sub := range f.keys {
			sub.Path = f.info.Path + "." + sub.Path
			k.keys = append(k.keys, sub)
		}
	}
	k.read = func(at place) (s S) {
		m, ok := at.value.(map[string]any)
		if !ok && at.value != nil {
			hint := ""
			if _, array := at.value.([]map[string]any); array {
				hint = "write [" + at.path.schema() + "]"
			}
			at.wrongType(table, hint)
			return s
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !names[name] {
				at.key(name).mistake(unknownKey(name, order, at.report.keys), "unknown key")
			}
		}
		for _, f := range fields {
			f.read(at.key(f.info.Path), &s)
		}
		if check != nil && ok {
			check(at, &s)
		}
		return s
	}
	return k
}
