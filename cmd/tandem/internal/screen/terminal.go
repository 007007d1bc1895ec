// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A Device is what an output can show.
type Device struct {
	Terminal bool
	Colour   bool
	Wide     bool // shows characters beyond ASCII
	Width    int  // in characters; 0: no limit
}

// Detect returns what an output can show. Colour is only on a terminal, and neither with NO_COLOR (see no-color.org) nor with
// TERM=dumb.
func Detect(w io.Writer) Device {
	d := Device{Wide: wide(os.Getenv)}
	f, ok := w.(*os.File)
	if !ok {
		return d
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return d
	}
	_ = raw.Control(func(fd uintptr) { // not f.Fd, which makes the file blocking
		if _, err := unix.IoctlGetTermios(int(fd), unix.TCGETS); err != nil {
			return
		}
		d.Terminal, d.Colour = true, coloured(os.Getenv)
		if size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			d.Width = int(size.Col)
		}
	})
	return d
}

// coloured reports whether the user wants colours, and the terminal has them.
func coloured(getenv func(string) string) bool {
	term := getenv("TERM")
	return getenv("NO_COLOR") == "" && term != "" && term != "dumb"
}

// wide reports whether the locale has characters beyond ASCII. The first variable that is set counts, see locale(7).
func wide(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(getenv(name)); locale != "" {
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return false
}

// Mark returns the character of bars.
func (d Device) Mark() rune {
	if d.Wide {
		return '█'
	}
	return '#'
}

// Write writes lines.
func (d Device) Write(w io.Writer, lines []Line) error {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Render(d.Colour))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
