// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// An exception is a difference on purpose.
type exception struct {
	name    string
	reason  string
	part    string
	rewrite func(line string) []string // makes of a line that only keepalived has what tandem has instead
	extra   *regexp.Regexp             // or: what only tandem has
}

// replaced makes an exception's rewrite of an expression.
func replaced(expression, by string) func(string) []string {
	re := regexp.MustCompile(expression)
	return func(line string) []string { return []string{re.ReplaceAllString(line, by)} }
}

var exceptions = []*exception{
	{name: "sync both ways", part: table,
		reason: "tandem sends and receives connections at all times, and needs no change of roles at a failover",
		extra:  regexp.MustCompile(`^backup sync daemon `)},
	{name: "no broadcast address", part: addresses,
		reason:  "tandem import has a note about it: a VIP needs none",
		rewrite: replaced(` brd \S+ scope`, " scope")},
	{name: "scope global", part: addresses,
		reason:  "tandem import has a note about it: a VIP has the scope global",
		rewrite: replaced(`^(\S+ inet \S+ )scope link`, "${1}scope global")},
	{name: "no address of the macvlan", part: addresses,
		reason: "keepalived gives a macvlan the link-local address of its parent, as the source of advertisements. tandem sends with the " +
			"same source and without the address",
		rewrite: func(line string) []string {
			if linkLocalOfParent.MatchString(line) {
				return nil
			}
			return []string{line}
		}},
	{name: "no source address", part: addresses,
		reason: "the kernel does not choose an IPv6 VIP as the source of a connection, because its preferred lifetime is 0. With keepalived " +
			"that is so for VIPs with the length 128 only",
		rewrite: replaced(`^(\S+ inet6 .*nodad) \\ valid_lft forever preferred_lft forever`,
			`${1} deprecated \ valid_lft forever preferred_lft 0sec`)},
	{name: "own mark", part: routes,
		reason:  "each program marks its routes and rules as its own: protocol 18 is keepalived's, and 112 is tandem's",
		rewrite: replaced(`proto keepalived`, "proto 112")},
	{name: "scope link", part: routes,
		reason:  "an IPv4 route without a next router has the scope link, as with ip route. keepalived gives it the scope global",
		rewrite: replaced(`^(4 \S+ dev \S+ proto 112)$`, "${1} scope link")},
	{name: "hop limit 255", part: adverts,
		reason:  "advertisements have the hop limit 255, as RFC 9568 says. keepalived sends those of IPv6 to single peers with 64",
		rewrite: replaced(`: hop limit 64,`, ": hop limit 255,")},
}

// linkLocalOfParent matches an address of the kernel's making on a macvlan, which keepalived deprecates.
var linkLocalOfParent = regexp.MustCompile(`^vmac\S* inet6 fe80::\S+ff:fe\S+/64 scope link nodad deprecated`)

// A comparison is what came of one part of two records.
type comparison struct {
	excepted    []*exception
	differences []string
}

// compare compares one part of keepalived's record with tandem's. Exceptions are only for lines that are not the same.
func compare(part string, keepalived, tandem []string) (c comparison) {
	theirs, ours := report.Without(keepalived, tandem), report.Without(tandem, keepalived)
	for _, e := range exceptions {
		if e.part != part {
			continue
		}
		was, had := slices.Clone(theirs), len(ours)
		if e.extra != nil {
			ours = slices.DeleteFunc(ours, e.extra.MatchString)
		} else {
			theirs = nil
			for _, l := range was {
				theirs = append(theirs, e.rewrite(l)...)
			}
		}
		if len(ours) != had || !slices.Equal(was, theirs) {
			c.excepted = append(c.excepted, e)
		}
	}
	c.differences = report.Differences(theirs, ours)
	return c
}

// legend explains the exceptions that were needed.
func legend(used map[*exception]bool) string {
	var b strings.Builder
	for _, e := range exceptions {
		if used[e] {
			fmt.Fprintf(&b, "%s: %s\n", e.name, e.reason)
		}
	}
	return b.String()
}
