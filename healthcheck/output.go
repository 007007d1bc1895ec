// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"bytes"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxOutput is how many bytes a program may print: more is a program gone wild, and reading it would cost a core.
	maxOutput = 1 << 20
	// maxLine is how many characters of its first line are told.
	maxLine = 100
)

// An output is what is kept of what a program prints.
type output struct {
	from   *os.File
	flood  chan struct{} // closed when it was too much
	closed chan struct{} // closed when no more is read; head may be used from then on
	head   []byte
}

func newOutput(from *os.File) *output {
	return &output{from: from, flood: make(chan struct{}), closed: make(chan struct{})}
}

// stop reads no more. It may be called again.
func (o *output) stop() {
	_ = o.from.Close()
	<-o.closed
}

// read reads until everybody has closed the other end, or stop is called, or it was too much.
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

// firstLine is the first line that says something, fit for a log.
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

// printable puts a space in the place of what would disturb a terminal or a log.
func printable(r rune) rune {
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return ' '
	}
	return r
}
