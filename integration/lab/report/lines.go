// SPDX-License-Identifier: Apache-2.0

package report

import "slices"

// Without returns the lines of a that b does not have, in their order. A line that is there twice counts twice.
func Without(a, b []string) (left []string) {
	count := make(map[string]int, len(b))
	for _, line := range b {
		count[line]++
	}
	for _, line := range a {
		if count[line]--; count[line] < 0 {
			left = append(left, line)
		}
	}
	return left
}

// Differences returns the lines that only one of two lists has: first those that are gone, with "- " before them, then those that are
// new, with "+ ".
func Differences(before, after []string) []string {
	return slices.Concat(marked("- ", Without(before, after)), marked("+ ", Without(after, before)))
}

func marked(sign string, lines []string) []string {
	for i, line := range lines {
		lines[i] = sign + line
	}
	return lines
}
