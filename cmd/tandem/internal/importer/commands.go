// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"path"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

// A command is a program with its arguments, and the user that runs it.
type command struct {
	args []string
	user string
	at   Place
}

// notified reads the command of a notify keyword: PROGRAM or "PROGRAM ARGUMENT…", and then a user and a group.
func (c *converter) notified(s *statement) *command {
	cmd := c.program(s, commandLine(s.value()))
	cmd.user = s.valueAt(2)
	c.refuseGroup(s, cmd.user, s.valueAt(3))
	return cmd
}

// tracked reads the command of a script or check. Its arguments may be in quotes or not.
func (c *converter) tracked(s *statement) *command {
	return c.program(s, append(commandLine(s.value()), s.words[min(2, len(s.words)):]...))
}

// program makes a command that tandem accepts. keepalived looks for a program in PATH, and hands the words of a shell to it as
// arguments.
func (c *converter) program(s *statement, args []string) *command {
	cmd := &command{args: args, at: s.at}
	if len(args) == 0 {
		c.note(s.at, "", "%s: has no program", s.keyword())
		return cmd
	}
	looksFor, _ := configs.LooksFor(args)
	switch base := path.Base(args[0]); {
	case slices.Contains([]string{"sh", "bash", "dash"}, base) && path.IsAbs(args[0]):
	case looksFor != "" && s.keyword() == "script": // it becomes a track of its own
	case configs.NeedsShell(args):
		c.note(s.at, "see whether the script does what it should, now that it does",
			"%s: %s needs a shell, and keepalived uses none: the words "+
				"of the shell were arguments of %s, so this never worked", s.keyword(), abbreviate(strings.Join(args, " ")), args[0])
		cmd.args = []string{"/bin/sh", "-c", strings.Join(args, " ")}
	case !path.IsAbs(args[0]):
		c.note(s.at, "write its absolute path", "%s: keepalived looks for %s in PATH: /usr/bin/env does the same", s.keyword(),
			abbreviate(args[0]))
		cmd.args = append([]string{"/usr/bin/env"}, args...)
	}
	return cmd
}

// userOf returns the user that runs a command: its own, that of script_user, or the default.
func (c *converter) userOf(cmd *command) string {
	for _, u := range []string{cmd.user, c.global.scriptUser, c.ScriptUser} {
		if u != "" {
			return u
		}
	}
	return "root"
}

// value returns a command as a value of TOML.
func (cmd *command) value() (text string, list []string) {
	if len(cmd.args) == 1 && !strings.ContainsAny(cmd.args[0], " \t") {
		return tomlString(cmd.args[0]), nil
	}
	list = tomlStrings(cmd.args)
	return "[" + strings.Join(list, ", ") + "]", list
}
