// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"maps"
	"slices"
)

// An override says that what is written at one path of the tree counts at another.
type override struct{ from, to string }

// Override checks the table at from, which has the form of the tree, and puts its values in the place of those in the tree. An
// array of tables is a table there, whose keys are the names of its elements. With apply false, it only checks whether the keys
// exist. Keys at the top that are in except cannot be given.
func (d *Document) Override(from Node, apply bool, except ...string) {
	table, ok := from.Value.(map[string]any)
	if !ok {
		from.WrongType(TableName, "")
		return
	}
	for _, key := range except {
		if _, given := table[key]; given {
			from.Key(key).Mistake("write it at the top of the file", "cannot differ between directors")
			delete(table, key)
		}
	}
	o := overriding{d.report, apply}
	o.table(from, "", d.Top(), d.tree)
}

// An overriding is one use of Override.
type overriding struct {
	*report
	apply bool
}

// table puts the values of the table at from in the place of those in a table of the tree. The schema has the table at path.
func (o *overriding) table(from Node, path string, to Node, into map[string]any) {
	table, _ := from.Value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(table)) {
		here, there, below := from.Key(name), to.Key(name), name
		if path != "" {
			below = path + "." + name
		}
		k, ok := o.schemaKey(below)
		if !ok && path != "" {
			below = path + "." + AnyName
			k, ok = o.schemaKey(below)
		}
		if !ok {
			here.Mistake(unknownKey(name, o.children(path), o.keys), "unknown key")
			continue
		}
		value, isTable := here.Value.(map[string]any)
		switch {
		case isTable && k.Type == ArrayOfTables:
			o.elements(here, below, there)
		case isTable && len(o.children(below)) > 0:
			inside, is := there.Value.(map[string]any)
			if there.Value != nil && !is {
				here.Mistake("write the whole value, in the same form", "%s is no table", there.Describe())
				continue
			}
			if inside == nil && o.apply {
				inside = make(map[string]any)
				into[name] = inside
				o.record(here, there)
			}
			o.table(here, below, there, inside)
		case o.apply && into != nil:
			into[name] = here.Value
			if isTable {
				into[name] = maps.Clone(value)
			}
			o.record(here, there)
		}
	}
}

func (o *overriding) record(from, to Node) {
	o.overrides = append(o.overrides, override{from.path.String(), to.path.String()})
	o.places = nil
}

// elements puts the values of a table of names in the place of those of the elements with these names.
func (o *overriding) elements(from Node, path string, array Node) {
	id := "name"
	if _, ok := o.schemaKey(path + "." + id); !ok {
		id = "address"
	}
	if _, ok := o.schemaKey(path + "." + id); !ok {
		from.Mistake("write an array, which replaces all of them", "its tables have no names")
		return
	}
	elements, _ := tablesOf(array.Value)
	var names []string
	at := make(map[string]int)
	for i, e := range elements {
		if name, ok := e[id].(string); ok {
			if _, twice := at[name]; !twice {
				names, at[name] = append(names, name), i
			}
		}
	}
	table, _ := from.Value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(table)) {
		here := from.Key(name)
		i, ok := at[name]
		switch _, isTable := here.Value.(map[string]any); {
		case !ok && len(names) == 0:
			here.Mistake("give it the key "+id, "no [[%s]] has a %s", path, id)
		case !ok:
			hint := Suggest(name, names)
			if hint == "" {
				hint = "the names are " + SomeOf(names)
			}
			here.Mistake(hint, "no [[%s]] has the %s %q", path, id, Abbreviate(name))
		case !isTable:
			here.WrongType(TableName, "write the keys that differ below it")
		default:
			o.table(here, path, array.Index(i), elements[i])
		}
	}
}

// children returns the names of the keys of a table of the schema.
func (r *report) children(path string) (names []string) {
	for _, k := range r.keys {
		if parent, name := k.Split(); parent == path {
			names = append(names, name)
		}
	}
	return names
}

// SomeOf joins the first names of the user's choice, each abbreviated.
func SomeOf(names []string) string {
	const most = 8
	var shown []string
	for _, name := range names[:min(most, len(names))] {
		shown = append(shown, oneLine(Abbreviate(name)))
	}
	if len(names) > most {
		shown = append(shown, "others")
	}
	return Alternatives(shown)
}
