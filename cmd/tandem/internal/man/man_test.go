// SPDX-License-Identifier: Apache-2.0

package man

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/configs"
)

// TestRoff: a text means itself, whatever characters it has.
func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		"a-b's \\n":                  "a\\-b\\(aqs \\en\n",
		".TH is no macro":            "\\&.TH is no macro\n",
		"'TH is none either":         "\\(aqTH is none either\n",
		"FILE… costs 3 €":            "FILE\\[u2026] costs 3 \\[u20AC]\n",
		"run `tandem plan` first":    "run \\fBtandem plan\\fR first\n",
		"one ` is itself":            "one \\(ga is itself\n",
		"one\ntwo\n\nthree":          "one two\n.PP\nthree\n",
		"one\n\n  .a  b\n    c\ntwo": "one\n.PP\n.nf\n.RS 4\n\\&.a  b\n  c\n.RE\n.fi\n.PP\ntwo\n",
		strings.Repeat("word ", 21):  strings.Repeat("word ", 19) + "word\nword\n",
	} {
		p := new(page)
		if p.text(text); p.String() != want {
			t.Errorf("%q: got %q, want %q", text, p.String(), want)
		}
	}
	p := new(page)
	if p.item(`the "term"`, "one\n\ntwo"); p.String() != ".TP\n.B \"the \\(dqterm\\(dq\"\none\n.IP\ntwo\n" {
		t.Errorf("%q", p.String())
	}
}

// TestCommandsHaveAll: each command that is not hidden, and each of its flags, is on the page.
func TestCommandsHaveAll(t *testing.T) {
	root := &cobra.Command{Use: "tandem", Short: "A director", Long: "tandem is.", Example: "  tandem one"}
	root.AddGroup(&cobra.Group{ID: "g", Title: "Groups:"})
	run := func(*cobra.Command, []string) {}
	one := &cobra.Command{Use: "one FILE", Short: "Do one", GroupID: "g", Run: run}
	one.Flags().StringP("config", "c", "/etc/x", "the `FILE`")
	one.PersistentFlags().Bool("all", false, "all of them")
	one.AddCommand(&cobra.Command{Use: "below", Short: "Below", Long: "Do what is below.", Run: run})
	root.AddCommand(one, &cobra.Command{Use: "other", Short: "Do the other", Run: run}, &cobra.Command{Use: "secret", Hidden: true, Run: run})
	text, err := Commands(root, "x\n\n# Signals\n\nSIGHUP reloads.\n\n# More\n\ny", "Signals")
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{
		"tandem \\- a director\n", ".SS \"Groups\"\n.TP\n.B \"tandem one FILE\"\nDo one.\n", ".B \"\\-\\-all\"\nall of them\n",
		".B \"\\-c, \\-\\-config FILE\"\nthe FILE (default /etc/x)\n", ".B \"tandem one below\"\nDo what is below.\n", "of tandem one: \\-\\-all.\n",
		".SS \"Others\"\n.TP\n.B \"tandem other\"\n", ".SH \"SIGNALS\"\nSIGHUP reloads.\n.SH \"FILES\"\n", "/run/tandem/control.sock",
	} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing behind\n%s\nin\n%s", want, text[:at], text)
		}
		at += i + len(want)
	}
	if strings.Contains(text, "secret") {
		t.Error("a hidden command is on the page")
	}
	if _, err := Commands(root, "", "Signals"); err == nil {
		t.Error("a section that is missing is no error")
	}
}

// TestConfigurationHasAll: each key is on the page once, in the section of its table.
func TestConfigurationHasAll(t *testing.T) {
	tables, keys := 0, 0
	for _, s := range sections(configs.Keys()) {
		tables++
		for _, k := range s.keys {
			if keys++; s.path != "" && !strings.HasPrefix(k.Path, s.path+".") {
				t.Errorf("%s is in the section %s", k.Path, s.title)
			}
		}
	}
	if n := len(configs.Keys()); tables+keys != n+1 || tables < 20 {
		t.Errorf("%d tables with the top of the file, and %d keys; the schema has %d", tables, keys, n)
	}
	text := Configuration("# example\n")
	for _, want := range []string{
		".SS \"[[vrrp]]\"\n", ".SS \"[vrrp.debounce]\"\n", ".SS \"[log]\"\nWhat is logged, and how.\n.TP\n.B \"level\"\n",
		".IP\nValues: trace, debug, info, warn or error. Default: \"info\".\n", "# example\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}
