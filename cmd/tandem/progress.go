// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
)

// A progress shows the latest state. A terminal gets one line that changes, any other output gets a new line for each change.
type progress struct {
	w        io.Writer
	terminal bool
	last     string
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		p.terminal = err == nil
	}
	return p
}

// show writes a line if it differs from the last one. It ignores errors of the writer: nothing depends on the display.
func (p *progress) show(line string) {
	if line == p.last {
		return
	}
	if p.terminal {
		fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, screen.Width(p.last)-screen.Width(line))))
	} else {
		fmt.Fprintln(p.w, line)
	}
	p.last = line
}

// done shows a last line, and ends the display.
func (p *progress) done(line string) {
	p.show(line)
	p.end()
}

// end puts the cursor of a terminal on a new line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.w)
	}
}
