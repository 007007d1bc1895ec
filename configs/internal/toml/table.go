// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"maps"
	"slices"
	"strings"
)

// A Key describes a key of the schema.
type Key struct {
	Path     string // from the top of the file: service.check.interval
	Type     string // in words: integer, duration, array of tables
	Values   string // the values that it takes, in words and with their unit; empty if the type says it all
	Default  string // as TOML writes it; empty if there is none
	Unset    string // what applies without the key, in words, where there is no Default
	Required bool   // within its table
	Doc      string // what it is for, in sentences; each line is a paragraph
	OnlyFor  string // what the key is limited to, in words; may be empty
	Example  string // as TOML writes it, where there is no Default
}

// The types of keys that hold other keys.
const (
	TableName     = "table"
	ArrayOfTables = "array of tables"
)

// AnyName stands for the name of a named table in the paths of keys.
const AnyName = "NAME"

// Split returns the path of the table that holds the key, and the name of the key in it.
func (k Key) Split() (parent, name string) {
	i := strings.LastIndexByte(k.Path, '.')
	if i < 0 {
		return "", k.Path
	}
	return k.Path[:i], k.Path[i+1:]
}

// IsTable reports whether the key holds other keys.
func (k Key) IsTable() bool { return k.Type == TableName || k.Type == ArrayOfTables }

// IsArray reports whether the key is an array of tables.
func (k Key) IsArray() bool { return k.Type == ArrayOfTables }

// Description returns what the key is for, its values, and its default. Each line is a paragraph.
func (k Key) Description() string {
	text := k.Doc
	switch {
	case k.Type == ArrayOfTables && k.Required:
		return text + "\nAt least one of these tables is required."
	case k.Type == ArrayOfTables:
		return text + "\nThere may be any number of these tables."
	case k.Type == TableName && k.Values == "":
		return text
	}
	text += "\n"
	if k.OnlyFor != "" {
		text += "Only for " + k.OnlyFor + ". "
	}
	if k.Required {
		return text + "Required: " + k.Values + "."
	}
	return text + "Values: " + k.Values + ". Default: " + k.Default + k.Unset + "."
}

// below returns keys with their paths below a table.
func below(table string, keys []Key) []Key {
	all := slices.Clone(keys)
	for i := range all {
		all[i].Path = table + "." + all[i].Path
	}
	return all
}

// A Field is a key of a table that becomes an S.
type Field[S any] struct {
	key  Key
	keys []Key // below it
	read func(at Node, s *S)
}

// Example gives an example value to a field without a default, as TOML writes it.
func (f Field[S]) Example(value string) Field[S] {
	f.key.Example = value
	return f
}

// Unset returns the field with the documentation of what applies without the key.
func (f Field[S]) Unset(words string) Field[S] {
	f.key.Unset = words
	return f
}

// OnlyFor returns the field with the documentation of what the key is limited to.
func (f Field[S]) OnlyFor(words string) Field[S] {
	f.key.OnlyFor = words
	return f
}

// When returns the field limited to tables for which applies returns true. applies sees the fields before this one. In other
// tables the field has no default, and refuse reports a mistake if it is given. The words are for the documentation.
func (f Field[S]) When(words string, applies func(*S) bool, refuse func(at Node, s *S)) Field[S] {
	read := f.read
	f.read = func(at Node, s *S) {
		switch {
		case applies(s):
			read(at, s)
		case at.Value != nil:
			var unused S
			read(at, &unused)
			refuse(at, s)
		}
	}
	return f.OnlyFor(words)
}

// Required returns a key that its table must have. The example is for its documentation, and for the mistake if it is missing.
func Required[S, T any](name string, k SchemaType[T], example, doc string, set func(*S, T)) Field[S] {
	f := Derived(name, k, doc, set)
	f.key.Required, f.key.Example = true, example
	given := f.read
	f.read = func(at Node, s *S) {
		if at.Value != nil {
			given(at, s)
			return
		}
		hint := "for example: " + name + " = " + example
		if k.Name == ArrayOfTables {
			hint = "add [[" + at.path.schema() + "]]"
		}
		at.Mistake(hint, "is missing: want %s", article(k.Name))
	}
	return f
}

// Optional returns a key with a default.
func Optional[S, T any](name string, k SchemaType[T], fallback T, doc string, set func(*S, T)) Field[S] {
	f := Derived(name, k, doc, set)
	f.key.Default = k.Show(fallback)
	given := f.read
	f.read = func(at Node, s *S) {
		if at.Value == nil {
			set(s, fallback)
			return
		}
		given(at, s)
	}
	return f
}

// Derived returns a key whose default depends on other keys. Without the key set is not called: the table's check works out the
// default, or leaves it empty.
func Derived[S, T any](name string, k SchemaType[T], doc string, set func(*S, T)) Field[S] {
	return Field[S]{
		key:  Key{Path: name, Type: k.Name, Values: k.Values, Doc: doc},
		keys: k.Keys,
		read: func(at Node, s *S) {
			if at.Value != nil {
				set(s, k.Read(at))
			}
		},
	}
}

// Section returns a table that is read even if the file does not have it, for its defaults.
func Section[S, T any](name string, k SchemaType[T], doc string, set func(*S, T)) Field[S] {
	f := Derived(name, k, doc, set)
	f.read = func(at Node, s *S) { set(s, k.Read(at)) }
	return f
}

// Table returns the schema type of a table whose fields make up an S. The fields are read in their order. Then check, which may
// be nil, applies the rules about several of them.
func Table[S any](check func(at Node, s *S), fields ...Field[S]) SchemaType[S] {
	k := SchemaType[S]{Name: TableName}
	order := make([]string, len(fields))
	known := make(map[string]bool, len(fields))
	for i, f := range fields {
		order[i], known[f.key.Path] = f.key.Path, true
		k.Keys = append(append(k.Keys, f.key), below(f.key.Path, f.keys)...)
	}
	k.Read = func(at Node) (s S) {
		m, ok := at.Value.(map[string]any)
		if !ok && at.Value != nil {
			hint := ""
			if _, array := at.Value.([]map[string]any); array {
				hint = "write [" + at.path.schema() + "]"
			}
			at.WrongType(TableName, hint)
			return s
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !known[name] {
				at.Key(name).Mistake(unknownKey(name, order, at.report.keys), "unknown key")
			}
		}
		for _, f := range fields {
			f.read(at.Key(f.key.Path), &s)
		}
		if check != nil && ok {
			check(at, &s)
		}
		return s
	}
	return k
}

// NamedTables returns the schema type of a table of tables with names of the user's choice. The names must be valid.
func NamedTables[T any](element SchemaType[T], doc string, valid func(string) *Refusal) SchemaType[map[string]T] {
	k := SchemaType[map[string]T]{Name: TableName}
	k.Keys = append([]Key{{Path: AnyName, Type: TableName, Doc: doc}}, below(AnyName, element.Keys)...)
	k.Read = func(at Node) map[string]T {
		m, ok := at.Value.(map[string]any)
		if !ok {
			at.WrongType(TableName, "write ["+at.path.schema()+"."+AnyName+"]")
			return nil
		}
		all := make(map[string]T, len(m))
		for _, name := range slices.Sorted(maps.Keys(m)) {
			here := at.Key(name)
			here.Refuse(valid(name))
			if here.Value != nil {
				all[name] = element.Read(here)
			}
		}
		return all
	}
	return k
}
