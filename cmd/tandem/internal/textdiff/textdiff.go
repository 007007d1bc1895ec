// SPDX-License-Identifier: Apache-2.0

// Package textdiff compares two texts line by line.
package textdiff

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// context is how many equal lines are shown before and after those that differ.
	context = 3
	// maxEdits limits the work: texts that differ more are shown as if no line in between were equal.
	maxEdits = 1000
)

// An edit is a line that one text or both have.
type edit struct {
	sign byte // ' ', '-' or '+'
	line string
}

// Unified returns the differences in the form of diff -u. It is empty if there are none.
func Unified(oldName, newName, before, after string) string {
	if before == after {
		return ""
	}
	edits := compare(lines(before), lines(after))
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", oldName, newName)
	for start := 0; start < len(edits); {
		if edits[start].sign == ' ' {
			start++
			continue
		}
		last := start
		for i := start; i < len(edits) && i <= last+2*context; i++ {
			if edits[i].sign != ' ' {
				last = i
			}
		}
		end := min(len(edits), last+1+context)
		hunk(&b, edits, max(0, start-context), end)
		start = end
	}
	return b.String()
}

// lines splits a text. A missing end of the last line is shown as diff shows it.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	if last := len(all) - 1; all[last] == "" {
		return all[:last]
	}
	all[len(all)-1] += "\n\\ No newline at end of file"
	return all
}

// hunk writes a part of the edits.
func hunk(b *strings.Builder, edits []edit, first, end int) {
	place := func(sign byte) string { // the first line and the number of lines of the text that lacks the sign's lines
		from, count := 1, 0
		for i, e := range edits[:end] {
			switch {
			case e.sign == sign:
			case i < first:
				from++
			default:
				count++
			}
		}
		if count == 0 {
			from--
		}
		return fmt.Sprintf("%d,%d", from, count)
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", place('+'), place('-'))
	for _, e := range edits[first:end] {
		fmt.Fprintf(b, "%c%s\n", e.sign, e.line)
	}
}

// compare returns the edits that make one text out of the other.
func compare(a, b []string) (all []edit) {
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	add := func(sign byte, lines []string) {
		for _, l := range lines {
			all = append(all, edit{sign, l})
		}
	}
	add(' ', a[:head])
	all = append(all, shortest(a[head:len(a)-tail], b[head:len(b)-tail])...)
	add(' ', a[len(a)-tail:])
	return all
}

// shortest finds the smallest number of edits: E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986.
func shortest(a, b []string) (all []edit) {
	reach := map[int]int{1: 0} // by diagonal x-y: the largest x
	var trail []map[int]int
	for d := 0; d <= min(len(a)+len(b), maxEdits); d++ {
		now := make(map[int]int, d+1)
		for k := -d; k <= d; k += 2 {
			x := reach[k-1] + 1
			if k == -d || k != d && reach[k-1] < reach[k+1] {
				x = reach[k+1]
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			now[k] = x
			if x >= len(a) && x-k >= len(b) {
				return retrace(a, b, append(trail, now))
			}
		}
		trail = append(trail, now)
		reach = now
	}
	for _, l := range a {
		all = append(all, edit{'-', l})
	}
	for _, l := range b {
		all = append(all, edit{'+', l})
	}
	return all
}

// retrace walks back through the steps of shortest.
func retrace(a, b []string, trail []map[int]int) (all []edit) {
	x, y := len(a), len(b)
	for d := len(trail) - 1; d > 0; d-- {
		k, before := x-y, trail[d-1]
		from := k - 1
		if k == -d || k != d && before[k-1] < before[k+1] {
			from = k + 1
		}
		startX := before[from]
		startY := startX - from
		for x > startX && y > startY {
			x, y = x-1, y-1
			all = append(all, edit{' ', a[x]})
		}
		if from == k+1 {
			y--
			all = append(all, edit{'+', b[y]})
		} else {
			x--
			all = append(all, edit{'-', a[x]})
		}
	}
	for x > 0 {
		x--
		all = append(all, edit{' ', a[x]})
	}
	slices.Reverse(all)
	return all
}
