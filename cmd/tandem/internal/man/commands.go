// SPDX-License-Identifier: Apache-2.0

package man

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tandem-lvs/tandem/configs"
)

// Commands returns the page tandem(8): the commands of root with what --help says, and the sections of the program's documentation
// with these titles. A section of the documentation begins with "# " and its title.
func Commands(root *cobra.Command, documentation string, titles ...string) (string, error) {
	p := newPage("tandem", "8", "System Manager's Manual", lowerFirst(root.Short))
	p.section("SYNOPSIS")
	p.text("tandem COMMAND [ARGUMENTS] [FLAGS]\n\ntandem COMMAND --help")
	p.section("DESCRIPTION")
	p.text(root.Long)
	p.section("COMMANDS")
	p.text("The flags of a command stand behind it. A flag that takes a value is written as --flag VALUE or --flag=VALUE.")
	for _, g := range root.Groups() {
		p.subsection(strings.TrimSuffix(g.Title, ":"))
		for _, cmd := range root.Commands() {
			if cmd.GroupID == g.ID {
				p.command(cmd)
			}
		}
	}
	p.subsection("Others")
	for _, cmd := range root.Commands() {
		if cmd.GroupID == "" {
			p.command(cmd)
		}
	}
	for _, title := range titles {
		text, ok := sectionOf(documentation, title)
		if !ok {
			return "", fmt.Errorf("the documentation has no section %q", title)
		}
		p.section(strings.ToUpper(title))
		p.text(text)
	}
	if err := p.files(); err != nil {
		return "", err
	}
	p.section("EXAMPLES")
	p.text(root.Example)
	p.section("SEE ALSO")
	p.text("tandem.toml(5), ipvsadm(8), ip(8), systemctl(1)")
	return p.String(), nil
}

// command writes a command, and then the commands below it.
func (p *page) command(cmd *cobra.Command) {
	if cmd.Hidden {
		return
	}
	if cmd.Runnable() {
		text := cmd.Long
		if text == "" {
			text = cmd.Short + "."
		}
		p.item(strings.TrimSuffix(cmd.UseLine(), " [flags]"), text)
		p.WriteString(".RS\n")
		cmd.LocalFlags().VisitAll(p.flag)
		if cmd.HasParent() && cmd.Parent().HasParent() {
			if names := flagNames(cmd.InheritedFlags()); len(names) > 0 {
				p.WriteString(".PP\n")
				p.lines("It also has the flags of " + cmd.Parent().CommandPath() + ": " + strings.Join(names, ", ") + ".")
			}
		}
		if cmd.Example != "" {
			p.WriteString(".PP\n")
			p.text(cmd.Example)
		}
		p.WriteString(".RE\n")
	}
	for _, below := range cmd.Commands() {
		p.command(below)
	}
}

// flag writes a flag of a command.
func (p *page) flag(f *pflag.Flag) {
	if f.Hidden || f.Name == "help" {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	term := "--" + f.Name
	if f.Shorthand != "" {
		term = "-" + f.Shorthand + ", " + term
	}
	if value != "" {
		term += " " + value
	}
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
	default:
		usage += " (default " + f.DefValue + ")"
	}
	p.item(term, usage)
}

func flagNames(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			names = append(names, "--"+f.Name)
		}
	})
	return names
}

// files writes the files that the program uses.
func (p *page) files() error {
	p.section("FILES")
	p.item("/etc/tandem/tandem.toml", "The configuration: see tandem.toml(5).")
	p.item("/etc/default/tandem", "Variables for the configuration, which the units read. TANDEM_NAME is the director's name, if it is not the host name.")
	for _, of := range []struct{ key, what string }{
		{"control.socket", "The control socket of the running director."},
		{"state.dir", "What the director remembers across restarts, and the history."},
	} {
		keys := configs.Keys()
		i := slices.IndexFunc(keys, func(k configs.Key) bool { return k.Path == of.key })
		if i < 0 {
			return fmt.Errorf("the configuration has no key %s", of.key)
		}
		p.item(strings.Trim(keys[i].Default, `"`), of.what+" The key "+of.key+" sets another place.")
	}
	return nil
}

// sectionOf returns the text of a section of a documentation comment.
func sectionOf(documentation, title string) (string, bool) {
	_, rest, ok := strings.Cut(documentation, "# "+title+"\n")
	text, _, _ := strings.Cut(rest, "\n# ")
	return text, ok
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }
