// SPDX-License-Identifier: Apache-2.0

package toml

import "fmt"

// context is how many lines a diff shows before and after those that differ.
const context = 3

// same reports whether formatting leaves the line as it is.
func (l Line) same() bool { return l.Before != nil && l.After != nil && *l.Before == *l.After }

// Diff writes lines as a unified diff. If only the end of the file differs, it has the header only.
func Diff(name string, lines []Line) []string {
	out := []string{"--- " + name, "+++ " + name + " (formatted)"}
	for start := 0; start < len(lines); {
		if lines[start].same() {
			start++
			continue
		}
		first, last := max(0, start-context), start
		for i := start; i < len(lines) && i <= last+2*context; i++ {
			if !lines[i].same() {
				last = i
			}
		}
		end := min(len(lines), last+1+context)
		out = append(out, hunk(lines, first, end)...)
		start = end
	}
	return out
}

// hunk writes a part of a diff.
func hunk(lines []Line, first, end int) []string {
	count := func(part []Line) (before, after int) {
		for _, l := range part {
			if l.Before != nil {
				before++
			}
			if l.After != nil {
				after++
			}
		}
		return before, after
	}
	earlier, earlierAfter := count(lines[:first])
	before, after := count(lines[first:end])
	out := []string{fmt.Sprintf("@@ -%d,%d +%d,%d @@", earlier+1, before, earlierAfter+1, after)}
	for i := first; i < end; {
		if lines[i].same() {
			out = append(out, " "+*lines[i].Before)
			i++
			continue
		}
		next := i
		for ; next < end && !lines[next].same(); next++ {
			if b := lines[next].Before; b != nil {
				out = append(out, "-"+*b)
			}
		}
		for ; i < next; i++ {
			if a := lines[i].After; a != nil {
				out = append(out, "+"+*a)
			}
		}
	}
	return out
}
