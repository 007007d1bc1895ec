// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	l := Line{{"web ", Bold}, {"FAULT: café", Red}}
	for _, c := range []struct {
		width int
		want  string
	}{{0, "web FAULT: café"}, {15, "web FAULT: café"}, {14, "web FAULT: ca…"}, {6, "web F…"}, {4, "web…"}, {1, "…"}} {
		if got := l.Clip(c.width).Render(false); got != c.want {
			t.Errorf("in %d characters: %q, want %q", c.width, got, c.want)
		}
	}
	if got := l.Render(true); got != "\x1b[1mweb \x1b[0m\x1b[31mFAULT: café\x1b[0m" {
		t.Errorf("with colours: %q", got)
	}
	if got := (Line{{"a\x1b[2Jb\nc\u202e", Plain}}).Render(true); got != "a?[2Jb?c?" {
		t.Errorf("what commands a terminal: %q", got)
	}
}

func TestWrap(t *testing.T) {
	if got := strings.Join(Wrap("one two  three-and-more four", 8), "|"); got != "one two|three-and-more|four" {
		t.Errorf("got %s", got)
	}
	if got := Wrap("one  two", 0); len(got) != 1 || got[0] != "one  two" {
		t.Errorf("without a limit: %q", got)
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		value, most int
		want        string
	}{{0, 10, "    "}, {1, 1000, "#   "}, {5, 10, "##  "}, {10, 10, "####"}, {20, 10, "####"}, {0, 0, "    "}, {1, 0, "    "}} {
		if got := Bar(c.value, c.most, 4, '#'); got != c.want {
			t.Errorf("%d of %d: %q", c.value, c.most, got)
		}
	}
}

func TestTable(t *testing.T) {
	table := Table{Indent: 2, Header: []string{"NAME", "STATE", "REASON"}}
	table.Row(Span{"web", Bold}, Span{"FAULT", Red}, Span{"interface eth1 has no carrier", Plain})
	table.Row(Span{"mailboxes", Bold}, Span{"MASTER", Green}, Span{"", Plain})
	for width, want := range map[int]string{
		0: `
  NAME       STATE   REASON
  web        FAULT   interface eth1 has no carrier
  mailboxes  MASTER
`, 42: `
  NAME       STATE   REASON
  web        FAULT   interface eth1 has no
                     carrier
  mailboxes  MASTER
`, 30: `
  NAME       STATE   REASON
  web        FAULT
      interface eth1 has no
      carrier
  mailboxes  MASTER
`, 12: `
  NAME     …
  web      …
      inter…
      eth1
      has no
      carri…
  mailboxes…
`,
	} {
		var b bytes.Buffer
		if err := (Device{}).Write(&b, table.Lines(width)); err != nil || b.String() != want[1:] {
			t.Errorf("width %d: %v, got\n%swant\n%s", width, err, b.String(), want[1:])
		}
	}
}

func TestDevice(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	for _, c := range []struct {
		env  func(string) string
		want bool
	}{{env("TERM", "xterm"), true}, {env("TERM", "dumb"), false}, {env(), false}, {env("TERM", "xterm", "NO_COLOR", "1"), false}} {
		if got := coloured(c.env); got != c.want {
			t.Errorf("coloured: %t", got)
		}
	}
	for _, c := range []struct {
		env  func(string) string
		want bool
	}{{env("LANG", "de_AT.UTF-8"), true}, {env("LANG", "C.utf8"), true}, {env("LC_ALL", "C", "LANG", "C.UTF-8"), false}, {env(), false}} {
		if got := wide(c.env); got != c.want {
			t.Errorf("wide: %t", got)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if d := Detect(null); d.Terminal || d.Colour || d.Width != 0 {
		t.Errorf("what is not a terminal: %+v", d)
	}
}
