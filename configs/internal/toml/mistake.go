// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Mistake is one mistake in a configuration file.
type Mistake struct {
	File    string
	Line    int    // from 1; for a missing key, the line of the table that should have it
	Key     string // the path from the top of the file: service[0].server[1].weight; empty if the file as a whole is wrong
	Problem string
	Hint    string // what to do; may be empty
}

// Error writes the mistake in one line, file and line first, as compilers do.
func (m Mistake) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: ", m.File, m.Line)
	if m.Key != "" {
		b.WriteString(m.Key + ": ")
	}
	b.WriteString(m.Problem)
	if m.Hint != "" {
		b.WriteString("; " + m.Hint)
	}
	return b.String()
}

// Mistakes are all mistakes of a file and of the files that it includes, ordered by file and line.
type Mistakes []Mistake

// Error writes one mistake per line.
func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort orders the mistakes by file and line. Mistakes of one line keep the order in which they were found.
func (ms Mistakes) Sort() { ms.sort() }

func (ms Mistakes) sort() {
	slices.SortStableFunc(ms, func(a, b Mistake) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}
