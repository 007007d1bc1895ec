// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// The parts of a record.
const (
	table     = "ipvsadm"
	addresses = "addresses"
	routes    = "routes"
	adverts   = "adverts"
)

var parts = []string{table, addresses, routes, adverts}

// A record is what a director is at one time: the lines of each part, sorted.
type record map[string][]string

// look records what the kernel says.
func (s *stage) look() record {
	d := s.director
	r := record{table: lines(d.Run("ipvsadm", "-Sn")), addresses: addressLines(d.Run("ip", "-o", "address"))}
	r[table] = append(r[table], lines(d.Run("ipvsadm", "-Ln", "--daemon"))...)
	r[table] = append(r[table], lines(d.Run("ipvsadm", "-Ln", "--timeout"))...)
	for _, family := range []string{"-4", "-6"} {
		for _, l := range lines(d.Run("ip", family, "route", "show", "table", "all")) {
			// The kernel makes these of the addresses.
			if !strings.Contains(l, " table local ") && !strings.HasPrefix(l, "multicast ") {
				r[routes] = append(r[routes], family[1:]+" "+l)
			}
		}
		for _, l := range lines(d.Run("ip", family, "rule")) {
			r[routes] = append(r[routes], family[1:]+" rule "+l)
		}
	}
	for _, l := range r {
		slices.Sort(l)
	}
	return r
}

// lines splits a text, and makes one space of several.
func lines(text string) (all []string) {
	for l := range strings.Lines(text) {
		if l = strings.Join(strings.Fields(l), " "); l != "" {
			all = append(all, l)
		}
	}
	return all
}

// addressLines leaves out the numbers of interfaces, which are different for an interface that is made anew.
func addressLines(text string) []string {
	all := lines(text)
	for i, l := range all {
		_, all[i], _ = strings.Cut(l, ": ")
	}
	return all
}

// minus returns what r has beyond another record.
func (r record) minus(other record) record {
	more := record{}
	for part, l := range r {
		more[part] = report.Without(l, other[part])
	}
	return more
}

func (r record) equal(other record) bool {
	return len(r.differences(other)) == 0
}

// differences lists what only one of two records has.
func (r record) differences(other record) (all []string) {
	for _, part := range parts {
		all = append(all, report.Differences(r[part], other[part])...)
	}
	return all
}

// String is for people.
func (r record) String() string {
	var b strings.Builder
	for _, part := range parts {
		for _, l := range r[part] {
			b.WriteString("  " + part + ": " + l + "\n")
		}
	}
	return b.String()
}

// alive returns the servers of the table that are listed and have a weight.
func (r record) alive(servers []string) (alive []string) {
	for _, l := range r[table] {
		f := strings.Fields(l)
		i, w := slices.Index(f, "-r"), slices.Index(f, "-w")
		if i >= 0 && w >= 0 && slices.Contains(servers, f[i+1]) && f[w+1] != "0" {
			alive = append(alive, f[i+1])
		}
	}
	return alive
}
