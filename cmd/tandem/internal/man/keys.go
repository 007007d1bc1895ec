// SPDX-License-Identifier: Apache-2.0

package man

import (
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

// Configuration returns the page tandem.toml(5): every key, with what reference.toml says about it. example is a small file.
func Configuration(example string) string {
	p := newPage("tandem.toml", "5", "File Formats Manual", "the configuration of a director or a real server")
	p.section("DESCRIPTION")
	p.text(`The file /etc/tandem/tandem.toml is the configuration of tandem(8). Its format is TOML, version 1.0. A file needs only the required
keys, and the keys that you want to change.

Durations are strings with their unit: ns, us, ms, s, m or h, as in "1.5s" or "1m30s". An unknown key, a value out of range and a
contradiction are errors: "tandem check FILE" lists all of them, with their lines. "tandem plan" says what a changed file would change,
and what that costs clients. "tandem reload" puts it into force.

In the headings below, [table] may be in the file once, and [[table]] any number of times. [table.sub] belongs to the [[table]] above
it in the file. NAME stands for a name that you choose.`)
	p.section("KEYS")
	for _, s := range sections(configs.Keys()) {
		p.subsection(s.title)
		if s.doc != "" {
			p.text(paragraphs(s.doc))
		}
		for _, k := range s.keys {
			p.item(strings.TrimPrefix(k.Path, s.path+"."), paragraphs(k.Description()))
		}
	}
	p.section("EXAMPLES")
	p.text("Two real servers behind one virtual address:")
	p.WriteString(".PP\n")
	p.verbatim(example)
	p.section("SEE ALSO")
	p.text("tandem(8), ipvsadm(8)")
	return p.String()
}

// paragraphs makes each line a paragraph.
func paragraphs(text string) string { return strings.ReplaceAll(text, "\n", "\n\n") }

// A keySection is a table with its keys.
type keySection struct {
	path, title, doc string
	keys             []configs.Key
}

// sections returns the tables in the order of the schema, each with those of its keys that are no tables.
func sections(keys []configs.Key) []*keySection {
	top := &keySection{title: "The top of the file"}
	all, at := []*keySection{top}, map[string]*keySection{"": top}
	for _, k := range keys {
		parent, _ := k.Split()
		in := at[parent]
		for in == nil { // below a key that is a table or something else
			parent, _ = configs.Key{Path: parent}.Split()
			in = at[parent]
		}
		if !k.IsTable() {
			in.keys = append(in.keys, k)
			continue
		}
		title := "[" + k.Path + "]"
		if k.IsArray() {
			title = "[" + title + "]"
		}
		s := &keySection{path: k.Path, title: title, doc: k.Description()}
		all, at[k.Path] = append(all, s), s
	}
	return all
}
