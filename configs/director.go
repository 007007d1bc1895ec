// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// The keys that say how a file is put together. They are used before the schema is applied.
const (
	nameKey     = "name"
	includeKey  = "include"
	directorKey = "director"
)

// keys are those of the schema, which is made once.
var keys = sync.OnceValue(func() []toml.Key { return fileTable().Keys })

// assemblyFields are the keys that say how a file is put together.
func assemblyFields() []toml.Field[file] {
	files := toml.String("", anything)
	noFiles := toml.List(files, 0, toml.Unlimited).Valued("an array of file names and patterns")
	overrides := toml.SchemaType[struct{}]{
		Name: toml.TableName,
		Keys: []toml.Key{{Path: toml.AnyName, Type: toml.TableName, Doc: "The values of the director with this name."}},
	}
	return []toml.Field[file]{
		toml.Optional(includeKey, noFiles, nil,
			"More files of this configuration, in the order of their names. A relative name is relative to the directory of this file. "+
				"An included file may include others. The tables of [[vrrp]], [[service]] and [[hook]] of all files count. Any other "+
				"table, and any key at the top, may be in one file only.\n"+
				"In the strings of all files, ${NAME} is the value of a variable of tandem's environment. $$ is a dollar.",
			func(*file, []string) {}),
		toml.Derived(directorKey, overrides,
			"What differs between the directors, if both have the same file. The director uses the table with its name: that of --name, "+
				"of TANDEM_NAME in its environment, of the key name, or its host name.\n"+
				"The keys in the table are those of the whole file. vrrp.web.priority is the key priority of the [[vrrp]] with the name web.",
			func(*file, struct{}) {}),
	}
}

// Directors returns the names that a file has a [director.NAME] for, sorted. It reports no mistakes.
func Directors(s Surroundings, name string, text []byte) []string {
	d, ok := open(s, name, text)
	if !ok {
		return nil
	}
	tables, _ := d.Top().Key(directorKey).Value.(map[string]any)
	return slices.Sorted(maps.Keys(tables))
}

// choose returns the name of the director, and how it was chosen; "" if there is none. If the file has overrides for some
// directors, it is one of them, or a mistake.
func choose(s Surroundings, d *toml.Document) (name string, choice Choice) {
	at := d.Top().Key(directorKey)
	tables, _ := at.Value.(map[string]any)
	switch given := d.Top().Key(nameKey); {
	case s.Name != "":
		name, choice = s.Name, ChosenByName
		if no := validName(name); no != nil {
			d.Top().Mistake("", "the name that --name or TANDEM_NAME gives cannot be used: %s", no.Problem)
			return "", choice
		}
	case given.Value != nil:
		if name, choice = given.ExpandString(s.Variable), ChosenByFile; len(tables) == 0 || name == "" {
			return "", choice // read by the schema, with its mistakes
		}
	case s.Host != nil:
		host, err := s.Host()
		if err != nil {
			d.Top().Key(nameKey).Mistake("", "is missing, and the host name cannot be read: %s", err)
			return "", choice
		}
		name, choice = host, ChosenByHost
		if short, _, _ := strings.Cut(host, "."); tables[host] == nil && tables[short] != nil {
			name = short
		}
	}
	if len(tables) == 0 || tables[name] != nil {
		return name, choice
	}
	names := slices.Sorted(maps.Keys(tables))
	hint := toml.Suggest(name, names)
	if hint == "" {
		hint = "choose one of them with --name or TANDEM_NAME: " + toml.SomeOf(names)
	}
	at.Mistake(hint, "no [director.NAME] is for %q, which is %s", toml.Abbreviate(name), choice)
	return "", choice
}

// override checks the overrides of all directors, and applies those of one.
func override(d *toml.Document, director string) {
	at := d.Take(directorKey)
	tables, ok := at.Value.(map[string]any)
	if at.Value != nil && !ok {
		at.WrongType(toml.TableName, "write [director.NAME]")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		at.Key(name).Refuse(validName(name))
		if name != director {
			d.Override(at.Key(name), false, nameKey, includeKey, directorKey)
		}
	}
	if tables[director] != nil {
		d.Override(at.Key(director), true, nameKey, includeKey, directorKey)
	}
}

// A Choice says where the name of a director comes from.
type Choice uint8

// The choices.
const (
	ChosenByHost Choice = iota + 1 // the host name
	ChosenByFile                   // the name in the file
	ChosenByName                   // the name of --name or TANDEM_NAME
)
