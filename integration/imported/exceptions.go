// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// An exception is a difference on purpose.
type exception struct {
	name    string
	reason  string
	part    string
	rewrite func(line string) string // of keepalived's record, so that it is as tandem's
}

var exceptions = []*exception{}

// A comparison is what came of one part of two records.
type comparison struct {
	excepted    []*exception
	differences []string
}

// compare compares one part of keepalived's record with tandem's.
func compare(part string, keepalived, tandem []string) (c comparison) {
	count := func() int { return len(without(keepalived, tandem)) + len(without(tandem, keepalived)) }
	for _, e := range exceptions {
		if e.part != part || count() == 0 {
			continue
		}
		before, had := count(), keepalived
		keepalived = nil
		for _, l := range had {
			if l = e.rewrite(l); l != "" {
				keepalived = append(keepalived, l)
			}
		}
		if count() < before {
			c.excepted = append(c.excepted, e)
		} else {
			keepalived = had
		}
	}
	c.differences = record{part: keepalived}.differences(record{part: tandem})
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
