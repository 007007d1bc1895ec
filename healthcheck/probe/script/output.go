// SPDX-License-Identifier: Apache-2.0

package script

import (
	"bytes"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxOutput is how many bytes a program may print. Reading more than that could occupy a whole core.
	maxOutput = 1 << 20
	// maxLine is how many characters of the first line the reason holds.
	maxLine = 100
)

// An output keeps the beginning of what a program prints.
type output struct {
	from   *os.File
	flood  chan struct{} // closed when the program has printed too much
	closed chan struct{} // closed when reading has ended; head may be used from then on
	head   []byte
}

func newOutput(from *os.File) *output {
	return &output{from: from, flood: make(chan struct{}), closed: make(chan struct{})}
}

// stop ends reading. It may be called again.
func (o *output) stop() {
	_ = o.from.Close()
	<-o.closed
}

// read reads until every writer has closed the other end, stop is called, or the program has printed too much.
func (o *output) read() {
	defer close(o.closed)
	const kept = maxLine * utf8.UTFMax
	buf := make([]byte, 4096)
	for total := 0; total <= maxOutput; {
		n, err := o.from.Read(buf)
		total += n
		o.head = append(o.head, buf[:min(n, kept-len(o.head))]...)
		if err != nil {
			return
		}
	}
	close(o.flood)
}

// firstLine is the first line that is not empty, made fit for a log.
func (o *output) firstLine() string {
	for line := range bytes.Lines(o.head) {
		clean := strings.Map(printable, string(line))
		if clean = strings.Join(strings.Fields(clean), " "); clean == "" {
			continue
		}
		if r := []rune(clean); len(r) > maxLine {
			clean = string(r[:maxLine]) + "…"
		}
		return clean
	}
	return ""
}

// printable replaces characters that would disturb a terminal or a log by a space.
func printable(r rune) rune {
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return ' '
	}
	return r
}
