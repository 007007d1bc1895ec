// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"slices"
	"time"
)

// A pace is how often a server is checked. A checker has that of its server where it says nothing, and a server that of its
// service.
type pace struct{ loop, timeout, retry, before *statement }

func (p *pace) read(c *converter, s *statement) {
	switch s.keyword() {
	case "delay_loop":
		p.loop = s
	case "connect_timeout":
		p.timeout = s
	case "delay_before_retry":
		p.before = s
	default:
		p.retry = s
	}
}

// over returns p with the values of outer where p has none.
func (p pace) over(outer pace) pace {
	return pace{either(p.loop, outer.loop), either(p.timeout, outer.timeout), either(p.retry, outer.retry),
		either(p.before, outer.before)}
}

// keepalived's defaults, which differ from tandem's.
const (
	usualLoop    = 60 * time.Second
	usualTimeout = 5 * time.Second
	mostFall     = 100
)

// emit writes the pace. The defaults for retry and the delay before it are those of the kind of check.
func (p pace) emit(c *converter, t *table, at Place, kind string, timeout time.Duration) {
	loop, usual := usualLoop, usualTimeout
	if p.loop != nil {
		if d, ok := c.seconds(p.loop); ok {
			loop = c.within(p.loop.at, "delay_loop", d, leastInterval, mostInterval)
		}
	}
	switch {
	case timeout > 0:
		usual = timeout
	case kind == "MISC_CHECK":
		usual = loop
	case p.timeout != nil:
		if d, ok := c.seconds(p.timeout); ok {
			usual = d
		}
	}
	retry, before := int64(1), time.Second
	switch kind {
	case "HTTP_GET", "SSL_GET":
		before = 3 * time.Second
	case "DNS_CHECK":
		retry, before = 3, loop
	case "MISC_CHECK":
		retry = 0
	}
	if p.retry != nil {
		if n, ok := c.integer(p.retry, 0, 1<<31-1); ok {
			if retry = n; n >= mostFall {
				c.note(p.retry.at, "", "retry: %d is out of range: a server has failed after %d failures now", n, mostFall)
				retry = mostFall - 1
			}
		}
	}
	if p.before != nil {
		if d, ok := c.seconds(p.before); ok {
			before = d
		}
	}
	t.set(at, "interval", span(loop))
	t.set(at, "timeout", span(c.within(at, "timeout", usual, leastTimeout, mostInterval)))
	t.set(at, "rise", "1")
	t.set(at, "fall", tomlInt(retry+1))
	if before = max(before, leastTimeout); retry > 0 && before < loop {
		t.set(at, "fast_interval", span(before))
	}
}

// A namedCheck is a [check.NAME].
type namedCheck struct {
	name string
	*table
	text string // what tells it from others
	used bool   // by the present file
}

// namedChecks are the checks of all files: equal ones are one.
type namedChecks []*namedCheck

// add returns the name of a check: kind, or kind-2 if there are others.
func (n *namedChecks) add(kind string, t *table) string {
	text := kind + " " + t.inline()
	if i := slices.IndexFunc(*n, func(o *namedCheck) bool { return o.text == text }); i >= 0 {
		(*n)[i].used = true
		return (*n)[i].name
	}
	name, number := kind, int64(1)
	for slices.ContainsFunc(*n, func(o *namedCheck) bool { return o.name == name }) {
		number++
		name = kind + "-" + tomlInt(number)
	}
	*n = append(*n, &namedCheck{name, t, text, true})
	return name
}

// used returns the checks that the present file uses, and forgets that it does.
func (n *namedChecks) used() (all []*namedCheck) {
	for _, o := range *n {
		if o.used {
			all = append(all, o)
			o.used = false
		}
	}
	return all
}
