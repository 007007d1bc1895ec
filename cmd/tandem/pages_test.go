// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tandem-lvs/tandem/configs"
)

// repository is where the pages are, seen from here.
const repository = "../.."

// A textPage is a text in Markdown that ships.
type textPage struct {
	path   string // in the repository
	text   string
	blocks []pageBlock
	spans  []string // what stands in the text as code
}

// A pageBlock is a block of code. It has commands if it is for a shell, or is indented.
type pageBlock struct {
	language string // indented: none
	text     string
	line     int
}

var (
	fenceLine = regexp.MustCompile("^( *)```([a-z]*)$")
	codeSpan  = regexp.MustCompile("`([^`]+)`")
	pageLink  = regexp.MustCompile(`\]\(([^)]+)\)`)
)

const indented = "    "

// readPage reads a page.
func readPage(t *testing.T, path string) *textPage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return parsePage(path, string(text))
}

// parsePage divides a page into blocks and text.
func parsePage(path, text string) *textPage {
	p := &textPage{path: path, text: text}
	var prose strings.Builder
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		start := i
		if fence := fenceLine.FindStringSubmatch(lines[i]); fence != nil {
			var block strings.Builder
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
				fmt.Fprintln(&block, strings.TrimPrefix(lines[i], fence[1]))
			}
			p.blocks = append(p.blocks, pageBlock{fence[2], block.String(), start + 1})
			continue
		}
		if strings.HasPrefix(lines[i], indented) {
			var block strings.Builder
			for ; i < len(lines) && strings.HasPrefix(lines[i], indented); i++ {
				fmt.Fprintln(&block, strings.TrimSpace(lines[i]))
			}
			i--
			p.blocks = append(p.blocks, pageBlock{"sh", block.String(), start + 1})
			continue
		}
		fmt.Fprintln(&prose, lines[i])
	}
	for _, span := range codeSpan.FindAllStringSubmatch(prose.String(), -1) {
		p.spans = append(p.spans, strings.Join(strings.Fields(span[1]), " "))
	}
	return p
}

// A counts is how much of a page was checked.
type counts struct{ files, commands, links int }

// check checks a page: its configurations have no mistakes, its commands and their flags and arguments are right, its files and
// links are there.
func (p *textPage) check(t *testing.T) (n counts) {
	t.Helper()
	for _, b := range p.blocks {
		switch b.language {
		case "toml":
			n.files++
			p.checkConfig(t, b)
		case "sh":
			for _, c := range shellCommands(b.text) {
				n.commands += p.checkCommand(t, c, true)
			}
		}
		p.checkFiles(t, b.text)
	}
	for _, span := range p.spans {
		for _, c := range shellCommands(span) {
			n.commands += p.checkCommand(t, c, false)
		}
		p.checkFiles(t, span)
		p.checkKey(t, span)
	}
	for _, link := range pageLink.FindAllStringSubmatch(p.text, -1) {
		n.links++
		p.checkLink(t, link[1])
	}
	return n
}

// checkConfig checks a block of TOML, for each director that it names.
func (p *textPage) checkConfig(t *testing.T, b pageBlock) {
	t.Helper()
	directors := configs.Directors(configs.Surroundings{}, p.path, []byte(b.text))
	if len(directors) == 0 {
		directors = []string{""}
	}
	for _, director := range directors {
		if _, err := configs.ParseIn(readmeSurroundings(director), p.path, []byte(b.text)); err != nil {
			t.Errorf("%s, line %d: %v", p.path, b.line, err)
		}
	}
}

// checkCommand checks a command of tandem, or the name of a unit of tandem, and returns 1 if it is one. Without whole, its arguments
// may be missing.
func (p *textPage) checkCommand(t *testing.T, words []string, whole bool) int {
	t.Helper()
	switch words[0] {
	case "tandem":
		if len(words) > 1 && strings.ToUpper(words[1]) == words[1] {
			return 0 // tandem COMMAND
		}
		if err := checkTandem(words[1:], whole); err != nil {
			t.Errorf("%s: %s: %v", p.path, strings.Join(words, " "), err)
		}
	case "systemctl", "journalctl":
		for _, w := range words[1:] {
			if strings.HasPrefix(w, "tandem") {
				p.checkFiles(t, "configs/"+strings.TrimSuffix(w, ".service")+".service")
			}
		}
	default:
		return 0
	}
	return 1
}

// checkTandem reports whether the command line exists, as the program itself would see it. It does not run it.
func checkTandem(args []string, whole bool) error {
	root := newRoot()
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(args)
	switch {
	case err != nil:
		return err
	case cmd == root && (whole || len(args) > 0 && !strings.HasPrefix(args[0], "-")):
		return fmt.Errorf("there is no such command")
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		if lacks := new(pflag.ValueRequiredError); !whole && errors.As(err, &lacks) {
			return nil
		}
		return err
	}
	given := cmd.Flags().Args()
	if help, _ := cmd.Flags().GetBool("help"); help || !whole && len(given) == 0 {
		return nil
	}
	if !cmd.Runnable() {
		return fmt.Errorf("%s has no command %q", cmd.CommandPath(), given)
	}
	return checkArguments(cmd, given)
}

func checkArguments(cmd *cobra.Command, given []string) error {
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return err
	}
	return cmd.ValidateArgs(given)
}

var shippedFile = regexp.MustCompile(`(?:^|[\s"(=])((?:configs|integration|cmd)/[\w./-]*\w)`)

// checkFiles checks that the files of the repository that a text names are there.
func (p *textPage) checkFiles(t *testing.T, text string) {
	t.Helper()
	for _, file := range shippedFile.FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(repository, file[1])); err != nil {
			t.Errorf("%s: %v", p.path, err)
		}
	}
}

// checkLink checks that a link leads to a file, and to a heading in it.
func (p *textPage) checkLink(t *testing.T, link string) {
	t.Helper()
	if strings.HasPrefix(link, "https://") {
		return
	}
	file, heading, _ := strings.Cut(link, "#")
	to := p.path
	if file != "" {
		to = filepath.Join(filepath.Dir(p.path), file)
	}
	text, err := os.ReadFile(filepath.Join(repository, to))
	if info, dir := os.Stat(filepath.Join(repository, to)); err != nil && (dir != nil || !info.IsDir()) {
		t.Errorf("%s: %v", p.path, err)
		return
	}
	if heading != "" && !slices.Contains(anchors(string(text)), heading) {
		t.Errorf("%s: %s has no heading #%s", p.path, to, heading)
	}
}

var headingLine = regexp.MustCompile(`(?m)^#+ (.+)$`)

// anchors returns the names that links to headings of a page have.
func anchors(text string) (all []string) {
	for _, h := range headingLine.FindAllStringSubmatch(text, -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				return r
			}
			return -1
		}, strings.ToLower(h[1]))
		all = append(all, name)
	}
	return all
}

var (
	tableSpan = regexp.MustCompile(`^\[\[?[a-z_]+(?:\.[a-z_]+)*\]\]?$`)
	valueSpan = regexp.MustCompile(`^(?:(\[\[?[a-z_.]+\]\]?) )?([a-z_.]+) = `)
)

// checkKey checks that a table, or a key with its value, is one of the configuration.
func (p *textPage) checkKey(t *testing.T, span string) {
	t.Helper()
	table, key := "", ""
	if tableSpan.MatchString(span) {
		table = span
	} else if m := valueSpan.FindStringSubmatch(span); m != nil {
		table, key = m[1], m[2]
	}
	if table == "" && key == "" {
		return
	}
	reference := readText(t, filepath.Join(repository, "configs/reference.toml"))
	if name := strings.Trim(table, "[]"); table != "" && !strings.Contains(reference, "["+name+"]") {
		t.Errorf("%s: %s: there is no such table", p.path, span)
	}
	if i := strings.LastIndex(key, "."); key != "" &&
		!regexp.MustCompile(`(?m)(?:^|[ {])`+regexp.QuoteMeta(key[i+1:])+` *=|\.`+regexp.QuoteMeta(key[i+1:])+`\]`).MatchString(reference) {
		t.Errorf("%s: %s: there is no key %s", p.path, span, key)
	}
}

// TestCheckTandem: mistakes in command lines are found.
func TestCheckTandem(t *testing.T) {
	for line, good := range map[string]bool{
		"status --pair": true, "drain www/192.0.2.11 --wait": true, "drill failover --budget 10ms": true, "config log": true,
		"plan -c new.toml": true, "realserver apply --vip 192.0.2.100 --dry-run": true, "drain --help": true,
		"statuss": false, "status --pairs": false, "drain": false, "drill failover --budget 10": false, "config lgo": false,
		"status web": false, "apply a b": false,
	} {
		if err := checkTandem(strings.Fields(line), true); (err == nil) != good {
			t.Errorf("tandem %s: %v", line, err)
		}
	}
	for _, name := range []string{"drain", "config", "apply --pair", "probe --listen"} {
		if err := checkTandem(strings.Fields(name), false); err != nil {
			t.Errorf("tandem %s, in a sentence: %v", name, err)
		}
	}
}
