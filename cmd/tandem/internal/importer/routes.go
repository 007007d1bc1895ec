// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"math"
	"net/netip"
	"slices"
)

// tables are the names of routing tables that every machine has.
var tables = map[string]int64{"main": 254, "default": 253, "local": 255}

// tableNumber reads the number of a routing table.
func (c *converter) tableNumber(at Place, s string) (n int64, ok bool) {
	if n, ok = tables[s]; ok {
		return n, true
	}
	if n, ok = integer(s, 1, math.MaxUint32); !ok {
		c.note(at, "write the number of the table in /etc/iproute2/rt_tables, in both files", "table: %s is not a number",
			abbreviate(s))
	}
	return n, ok
}

// refusedWords are words that keepalived 2.2.7 does not understand, or after which it skips a word. It leaves the line out.
var refusedWords = map[string][]string{"virtual_routes": {"inet", "inet6", "proto"}, "virtual_rules": {"inet", "inet6", "pref"}}

// refusedWord tells of a line that was perhaps never in force.
func (c *converter) refusedWord(at Place, block, word string) {
	if slices.Contains(refusedWords[block], word) {
		c.note(at, "see in ip route and ip rule whether it was ever there", "%s: keepalived 2.2.7 leaves the line out because of %s: "+
			"the converted file has it", block, word)
	}
}

// network writes a prefix without the bits beyond it, as the kernel takes it.
func network(s string) (string, bool) {
	if s == "default" || s == "all" {
		return `"default"`, true
	}
	a, bits, ok := prefixOf(s)
	if !ok || a.Zone() != "" || bits == badLength {
		return "", false
	}
	if bits == noLength {
		return tomlString(a.String()), true
	}
	return tomlString(netip.PrefixFrom(a, bits).Masked().String()), true
}

// emitRoutes translates virtual_routes.
func (c *converter) emitRoutes(t *table, i *instance) {
	for _, s := range i.routes {
		r := &table{key: "route", array: true, at: s.at}
		if c.route(r, s) {
			t.children = append(t.children, r)
		}
	}
}

// A routeLine is a line of virtual_routes, in words.
type routeLine struct {
	to, via, dev, src, table, metric string
	onlink                           bool
}

// readRoute reads [OPTION VALUE]… [to] DESTINATION [OPTION VALUE]…
func (c *converter) readRoute(s *statement) (l routeLine, ok bool) {
	for k := 0; k < len(s.words); k++ {
		name := s.words[k]
		row, known := c.option(s.at, "route", name)
		next := s.valueAt(k + 1)
		switch {
		case !known:
			if l.to != "" {
				c.note(s.at, "", "virtual_routes: %s is not understood, and the route is left out", abbreviate(name))
				return l, false
			}
			l.to = name
			continue
		case row.fate == missing:
			c.note(s.at, row.text, "virtual_routes: %s has no equivalent, and the route is left out", name)
			return l, false
		}
		c.refusedWord(s.at, "virtual_routes", name)
		k++
		switch name {
		case "to":
			l.to = next
		case "via", "gw":
			if next == "inet" || next == "inet6" {
				k++
				next = s.valueAt(k)
			}
			l.via = next
		case "dev", "oif":
			l.dev = next
		case "src":
			l.src = next
		case "table":
			l.table = next
		case "metric", "priority", "preference":
			l.metric = next
		case "onlink":
			l.onlink = true
			k--
		case "scope", "proto", "protocol":
		default: // a word without a value
			k--
		}
	}
	return l, true
}

// route writes a line of virtual_routes, if tandem has an equivalent.
func (c *converter) route(r *table, s *statement) bool {
	l, ok := c.readRoute(s)
	if !ok {
		return false
	}
	destination, ok := network(l.to)
	if !ok {
		c.note(s.at, "", "virtual_routes: %s is not a destination, and the route is left out", abbreviate(l.to))
		return false
	}
	r.set(s.at, "to", destination)
	for _, e := range []struct{ key, value string }{{"via", l.via}, {"dev", l.dev}, {"src", l.src}} {
		if e.value != "" {
			r.set(s.at, e.key, tomlString(e.value))
		}
	}
	if l.table != "" {
		n, ok := c.tableNumber(s.at, l.table)
		if !ok {
			return false
		}
		r.set(s.at, "table", tomlInt(n))
	}
	if n, ok := integer(l.metric, 0, math.MaxUint32); ok {
		r.set(s.at, "metric", tomlInt(n))
	}
	if l.onlink {
		r.set(s.at, "onlink", "true")
	}
	return true
}

// usualPriority is the position of the first rule without one.
const usualPriority = 1000

// emitRules translates virtual_rules.
func (c *converter) emitRules(t *table, i *instance) {
	for n, s := range i.rules {
		r := &table{key: "rule", array: true, at: s.at}
		if c.rule(r, s, int64(usualPriority+n)) {
			t.children = append(t.children, r)
		}
	}
}

func (c *converter) rule(r *table, s *statement, position int64) bool {
	number, priority := int64(0), ""
	for k := 0; k < len(s.words); k++ {
		name, next := s.words[k], s.valueAt(k+1)
		row, known := c.option(s.at, "rule", name)
		switch {
		case !known:
			c.note(s.at, "", "virtual_rules: %s is not understood, and the rule is left out", abbreviate(name))
			return false
		case row.fate == missing:
			c.note(s.at, row.text, "virtual_rules: %s has no equivalent, and the rule is left out", name)
			return false
		}
		c.refusedWord(s.at, "virtual_rules", name)
		k++
		switch name {
		case "from", "to":
			if next == "all" || next == "default" {
				continue
			}
			prefix, ok := network(next)
			if !ok {
				c.note(s.at, "", "virtual_rules: %s is not a prefix, and the rule is left out", abbreviate(next))
				return false
			}
			r.set(s.at, name, prefix)
		case "fwmark":
			n, ok := integer(next, 1, math.MaxUint32)
			if !ok {
				c.note(s.at, "a [[vrrp.rule]] has no mask", "virtual_rules: %s is not a firewall mark, and the rule is left out",
					abbreviate(next))
				return false
			}
			r.set(s.at, "fwmark", tomlInt(n))
		case "table", "lookup":
			n, ok := c.tableNumber(s.at, next)
			if !ok {
				return false
			}
			number = n
		case "preference", "priority", "pref", "order":
			priority = next
		case "protocol":
		default: // a word without a value
			k--
		}
	}
	if number == 0 {
		c.note(s.at, "", "virtual_rules: leads to no table, and the rule is left out")
		return false
	}
	r.set(s.at, "table", tomlInt(number))
	n, ok := integer(priority, 1, math.MaxUint32)
	if !ok {
		n = position
		c.note(s.at, "choose where it is among the rules of the machine",
			"virtual_rules: has no preference, and keepalived chooses one: it is %d now", n)
	}
	r.set(s.at, "priority", tomlInt(n))
	return true
}
