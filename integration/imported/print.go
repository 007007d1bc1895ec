// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

const head = "| configuration | services, servers | ipvsadm | addresses | routes | adverts |\n|---|---|---|---|---|---|"

// failed reports whether there is a difference that is not on purpose.
func (r result) failed() bool {
	for _, c := range r.compared {
		if len(c.differences) > 0 {
			return true
		}
	}
	return r.reason != ""
}

// row is the configuration's line of the table.
func (r result) row() string {
	if r.reason != "" {
		return fmt.Sprintf("| %s | **failed**: %s | | | | |", r.name, strings.ReplaceAll(r.reason, "\n", " "))
	}
	cells := []string{r.name, fmt.Sprintf("%d, %d", r.services, r.servers)}
	for _, part := range parts {
		cells = append(cells, r.compared[part].String())
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

func (c comparison) String() string {
	if n := len(c.differences); n > 0 {
		return fmt.Sprintf("**%d lines differ**", n)
	}
	text := "same"
	for i, e := range c.excepted {
		text += map[bool]string{true: ", but ", false: ", "}[i == 0] + e.name
	}
	return text
}

// remarks are the lines below the table.
func (r result) remarks(verbose bool) string {
	var b strings.Builder
	for _, n := range r.notes {
		fmt.Fprintf(&b, "%s: note of tandem import: %s\n", r.name, n)
	}
	for _, l := range r.left {
		fmt.Fprintf(&b, "%s: keepalived has left behind: %s\n", r.name, l)
	}
	for _, part := range parts {
		for _, l := range r.compared[part].differences {
			fmt.Fprintf(&b, "%s: %s\n", r.name, l)
		}
	}
	if verbose {
		fmt.Fprintf(&b, "%s with keepalived:\n%s%[1]s with tandem:\n%[3]s", r.name, r.keepalived, r.tandem)
	}
	return b.String()
}
