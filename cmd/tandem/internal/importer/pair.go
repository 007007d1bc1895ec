// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"path"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/plan"
	"github.com/tandem-lvs/tandem/configs"
)

// A pairing makes one document of those of two directors. What differs is in the overrides of both.
type pairing struct {
	*converter
	over  [2]*table // the [director.NAME]
	files [2]string
}

// equal are the keys that both directors must have alike. If they differ, the first file counts.
var equal = map[string][]string{
	"vrrp":         {"vrid", "version", "advert_interval", "down_adverts", "auth_pass", "virtual_mac", "carrier"},
	"service":      {"virtual", "protocol", "method"},
	"sync":         {"id", "group", "port"},
	"server":       {"port", "method"},
	"sorry_server": {"address", "port", "method"},
}

// needed are the keys that a table must have in the file itself, and that may differ.
var needed = []string{"interface"}

// pair makes one document of those of two directors.
func (c *converter) pair(a, b *table, first, second Source) *table {
	names := c.directors(a, b, first, second)
	p := &pairing{converter: c, files: [2]string{path.Clean(first.File), path.Clean(second.File)}}
	for i := range p.over {
		p.over[i] = &table{key: names[i]}
	}
	d := p.merge(a, b, "")
	d.entries = slices.DeleteFunc(d.entries, func(e entry) bool { return e.key == "name" })
	directors := d.child(Place{}, "director", false)
	for i, o := range p.over {
		if len(o.entries) == 0 { // a director without differences has a table too: it is known by it
			o.comments = []string{"nothing differs"}
		}
		o.entries = slices.DeleteFunc(o.entries, func(e entry) bool { return e.key == "name" })
		directors.children = append(directors.children, p.over[i])
	}
	return d
}

// directors returns the names of the two directors, by which they find their table.
func (c *converter) directors(a, b *table, first, second Source) [2]string {
	unquote := func(t *table) string { return strings.Trim(t.get("name"), `"`) }
	for _, n := range [][2]string{{first.Name, second.Name}, {unquote(a), unquote(b)}, {first.ID, second.ID}} {
		if n[0] != "" && n[1] != "" && n[0] != n[1] && identifier(n[0]) == n[0] && identifier(n[1]) == n[1] {
			return n
		}
	}
	c.note(Place{File: path.Clean(first.File)}, "give --name and --peer-name, or rename them in the file: a director finds its "+
		"table by its host name",
		"the files do not name the two directors: they are lb1 and lb2 now")
	return [2]string{"lb1", "lb2"}
}

// merge returns what two tables have in common. The path is that of the overrides.
func (p *pairing) merge(a, b *table, at string) *table {
	t := &table{key: a.key, array: a.array, at: a.at, comments: a.comments}
	for _, e := range a.entries {
		o, ok := b.entry(e.key)
		switch {
		case ok && o.text == e.text:
			t.entries = append(t.entries, e)
		case slices.Contains(equal[a.key], e.key), strings.HasSuffix(e.key, "vips") && !samePlaces(e, o):
			p.drift(e, o, ok)
			t.entries = append(t.entries, e)
		case slices.Contains(needed, e.key) && ok:
			t.entries = append(t.entries, e)
			p.override(1, at, o)
		default:
			p.override(0, at, e)
			if ok {
				p.override(1, at, o)
			}
		}
	}
	for _, o := range b.entries {
		switch _, ok := a.entry(o.key); {
		case ok:
		case slices.Contains(equal[a.key], o.key):
			p.note(o.at, "make them equal: both directors need the same", "%s: is in %s only, and is left out", o.key, p.files[1])
		default:
			p.override(1, at, o)
		}
	}
	p.children(t, a, b, at)
	return t
}

// samePlaces reports whether two lists have the same addresses: only their interfaces may differ.
func samePlaces(a, b entry) bool {
	addresses := func(e entry) (all []string) {
		for _, v := range e.list {
			if _, rest, is := strings.Cut(v, "{ address = "); is { // with an interface or a label
				v, _, _ = strings.Cut(rest, ",")
			}
			all = append(all, v)
		}
		return all
	}
	return slices.Equal(addresses(a), addresses(b))
}

// drift notes that something differs that must not.
func (p *pairing) drift(e, o entry, ok bool) {
	where := "it is not in " + p.files[1]
	if ok {
		where = "it is another one in " + o.at.place()
	}
	p.note(e.at, "make them equal: both directors need the same", "%s: %s: the converted file has what is here", e.key, where)
}

func (t *table) entry(key string) (entry, bool) {
	for _, e := range t.entries {
		if e.key == key {
			return e, true
		}
	}
	return entry{}, false
}

// override adds a key to the overrides of a director.
func (p *pairing) override(who int, at string, e entry) {
	if at != "" {
		e.key = at + "." + bare(e.key)
	}
	p.over[who].entries = append(p.over[who].entries, e)
}

// overrideTable adds a whole table to the overrides of a director.
func (p *pairing) overrideTable(who int, at string, t *table) {
	for _, e := range t.entries {
		p.override(who, at, e)
	}
	var done []string
	for _, c := range t.children {
		below := at + "." + bare(c.key)
		switch {
		case !c.array:
			p.overrideTable(who, below, c)
		case !slices.Contains(done, c.key):
			done = append(done, c.key)
			p.overrideArray(who, at, t, c.key)
		}
	}
}

// overrideArray adds an array of tables, which replaces that of the file.
func (p *pairing) overrideArray(who int, at string, t *table, key string) {
	list := t.elements(key)
	e := entry{key: key, text: "[" + strings.Join(list, ", ") + "]", list: list, at: t.at}
	for _, c := range t.children {
		if c.key == key {
			e.from = append(e.from, c.at)
		}
	}
	p.override(who, at, e)
}

// children merges the tables in two tables.
func (p *pairing) children(t, a, b *table, at string) {
	var done []string
	for _, c := range slices.Concat(a.children, b.children) {
		if slices.Contains(done, c.key) {
			continue
		}
		done = append(done, c.key)
		below := bare(c.key)
		if at != "" {
			below = at + "." + below
		}
		x, y := a.find(c.key), b.find(c.key)
		switch {
		case a.key == "check" && at == "check": // equal names are equal checks
			t.children = append(t.children, c)
		case c.array:
			p.arrays(t, a, b, c.key, at, below)
		case x == nil:
			if c.key == "check" && at == "" {
				t.children = append(t.children, y)
			} else {
				p.overrideTable(1, below, y)
			}
		case y == nil:
			if c.key == "check" && at == "" {
				t.children = append(t.children, x)
			} else {
				p.overrideTable(0, below, x)
			}
		default:
			t.children = append(t.children, p.merge(x, y, below))
		}
	}
}

// id returns the key by which overrides find the elements of an array; "" if the array is replaced as a whole.
func id(key string) string {
	switch key {
	case "vrrp", "service":
		return "name"
	case "server":
		return "address"
	}
	return ""
}

// arrays merges two arrays of tables.
func (p *pairing) arrays(t, a, b *table, key, at, below string) {
	list := func(t *table) (all []*table) {
		for _, c := range t.children {
			if c.key == key {
				all = append(all, c)
			}
		}
		return all
	}
	x, y := list(a), list(b)
	if id(key) == "" {
		if slices.Equal(a.elements(key), b.elements(key)) {
			t.children = append(t.children, x...)
			return
		}
		for who, from := range []*table{a, b} {
			if len(list(from)) > 0 {
				p.overrideArray(who, at, from, key)
			}
		}
		return
	}
	for _, one := range x {
		other := matching(one, y, id(key))
		if other == nil {
			p.note(one.at, "add it there, or remove it here", "%s %s: is not in %s: the converted file has it for both directors",
				what(key), one.get(id(key)), p.files[1])
			t.children = append(t.children, one)
			continue
		}
		y = slices.DeleteFunc(y, func(o *table) bool { return o == other })
		name := strings.Trim(one.get(id(key)), `"`)
		if key == "vrrp" {
			p.gap(one, other)
			other.entries = slices.DeleteFunc(slices.Clone(other.entries), func(e entry) bool { return e.key == "name" })
			e, _ := one.entry("name")
			other.entries = append(other.entries, e)
		}
		t.children = append(t.children, p.merge(one, other, below+"."+bare(name)))
	}
	for _, other := range y {
		p.note(other.at, "add it there, or remove it here", "%s %s: is not in %s: the converted file has it for both directors",
			what(key), other.get(id(key)), p.files[0])
		t.children = append(t.children, other)
	}
}

// what returns keepalived's word for a table.
func what(key string) string {
	return map[string]string{"vrrp": "vrrp_instance", "service": "virtual_server", "server": "real_server"}[key]
}

// matching returns the table with the same name. Virtual routers with different names match by their number.
func matching(one *table, list []*table, id string) *table {
	for _, keys := range [][]string{{id}, {"vrid", "interface"}, {"vrid"}} {
		if keys[0] != id && one.key != "vrrp" {
			return nil
		}
		for _, o := range list {
			if !slices.ContainsFunc(keys, func(k string) bool { return o.get(k) != one.get(k) }) {
				return o
			}
		}
	}
	return nil
}

// gap notes weights that are too small: a failure then never moves the VIPs.
func (p *pairing) gap(a, b *table) {
	priority := func(t *table) int64 {
		if n, ok := integer(t.get("priority"), 1, 255); ok {
			return n
		}
		return 100
	}
	high, low := priority(a), priority(b)
	first := a
	if low > high {
		high, low, first = low, high, b
	}
	for _, t := range first.children {
		n, ok := integer(t.get("weight"), -maxWeight, maxWeight)
		if t.key != "track" || !ok || n == 0 || t.get("file") != "" || max(n, -n) > high-low {
			continue
		}
		p.note(t.at, "use a weight above the difference, or weight 0",
			"weight %d is not more than the difference between the priorities %d and %d: this failure alone never moves the VIPs", n,
			high, low)
	}
}

// compare notes what does not fit between two directors.
func (c *converter) compare(at Place, a, b *configs.Config) {
	for _, d := range plan.Pair(a, b) {
		if d.Wrong {
			c.note(at, "correct it in the converted file", "the two directors do not fit: %s", d.Text)
		}
	}
}
