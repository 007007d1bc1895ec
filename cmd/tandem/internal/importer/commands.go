// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"net/netip"
	"path"
	"slices"
	"strings"
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
	if g := s.valueAt(3); g != "" && g != cmd.user {
		c.note(s.at, "make it the user's own group, or use another user", "%s: a program runs with its user's own group, and not with %s",
			s.keyword(), abbreviate(g))
	}
	return cmd
}

// tracked reads the command of a script or check. Its arguments may be in quotes or not.
func (c *converter) tracked(s *statement) *command {
	args := commandLine(s.value())
	for _, w := range s.words[min(2, len(s.words)):] {
		args = append(args, w)
	}
	return c.program(s, args)
}

// shellWords are what only a shell understands.
var shellWords = []string{"|", "||", "&&", ";", "&", ">", ">>", "<", "2>&1", "2>/dev/null", ">/dev/null", "&>/dev/null"}

// program makes a command that tandem accepts. keepalived looks for a program in PATH, and hands the words of a shell to it as
// arguments.
func (c *converter) program(s *statement, args []string) *command {
	cmd := &command{args: args, at: s.at}
	if len(args) == 0 {
		c.note(s.at, "", "%s: has no program", s.keyword())
		return cmd
	}
	shell := slices.ContainsFunc(args, func(w string) bool {
		return slices.Contains(shellWords, w) || strings.HasPrefix(w, "$(") || strings.HasPrefix(w, "`") ||
			strings.HasSuffix(w, ";") && len(w) > 1
	})
	switch base := path.Base(args[0]); {
	case slices.Contains([]string{"sh", "bash", "dash"}, base) && path.IsAbs(args[0]):
	case shell:
		c.note(s.at, "see whether the script does what it should, now that it does", "%s: %s needs a shell, and keepalived uses none: the words "+
			"of the shell were arguments of %s, so this never worked", s.keyword(), abbreviate(strings.Join(args, " ")), args[0])
		cmd.args = []string{"/bin/sh", "-c", strings.Join(args, " ")}
	case !path.IsAbs(args[0]):
		if _, ok := trackedPort(args); ok || trackedProcess(args) != "" || trackedUnit(args) != "" {
			break // it becomes a track of its own
		}
		c.note(s.at, "write its absolute path", "%s: keepalived looks for %s in PATH: /usr/bin/env does the same", s.keyword(), abbreviate(args[0]))
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

// trackedProcess returns the process that a command looks for: killall -0 NAME, pidof NAME, pgrep -x NAME. Otherwise "".
func trackedProcess(args []string) string {
	var names []string
	ok := true
	base := path.Base(args[0])
	for _, w := range args[1:] {
		switch {
		case base == "killall" && slices.Contains([]string{"-0", "-q", "-e", "-s0"}, w):
		case base == "pidof" && (w == "-s" || w == "-x" || w == "-q"):
		case base == "pgrep" && (w == "-x" || w == "-c"):
		case strings.HasPrefix(w, "-"):
			ok = false
		default:
			names = append(names, w)
		}
	}
	switch {
	case !ok || len(names) != 1 || strings.ContainsAny(names[0], "*[]()^$|\\ /\x00"):
	case base == "killall" && slices.ContainsFunc(args, func(w string) bool { return w == "-0" || w == "-s0" }), base == "pidof":
		return names[0]
	case base == "pgrep" && slices.Contains(args, "-x"):
		return names[0]
	}
	return ""
}

// trackedUnit returns the unit that a command asks for: systemctl is-active UNIT. Otherwise "".
func trackedUnit(args []string) string {
	var names []string
	if path.Base(args[0]) != "systemctl" || !slices.Contains(args, "is-active") {
		return ""
	}
	for _, w := range args[1:] {
		switch {
		case w == "is-active" || w == "--quiet" || w == "-q":
		default:
			names = append(names, w)
		}
	}
	if len(names) != 1 || strings.HasPrefix(names[0], "-") {
		return ""
	}
	unit := names[0]
	if !strings.Contains(unit, ".") {
		unit += ".service"
	}
	if strings.Trim(unit, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@:") != "" {
		return ""
	}
	return unit
}

// trackedPort returns the address and port that a command connects to: </dev/tcp/ADDRESS/PORT, nc -z ADDRESS PORT.
func trackedPort(args []string) (to netip.AddrPort, ok bool) {
	var host, port string
	if file, is := strings.CutPrefix(args[0], "</dev/tcp/"); is && len(args) == 1 {
		host, port, _ = strings.Cut(file, "/")
	} else if path.Base(args[0]) == "nc" && len(args) == 4 && args[1] == "-z" {
		host, port = args[2], args[3]
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddr(host)
	n, number := integer(port, 1, 65535)
	return netip.AddrPortFrom(a, uint16(n)), err == nil && a.Zone() == "" && !a.IsUnspecified() && number
}
