// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// program returns the schema type of a command without arguments, given as a string. instead says what a command only looks for,
// if the table has a key for that.
func program(instead func([]string) (key, value string)) toml.SchemaType[[]string] {
	const want = `an absolute path, or an array of it and arguments (["/usr/local/bin/check-uplink", "--fast"])`
	return toml.Text(want, func(s string) ([]string, *toml.Refusal) {
		if strings.ContainsFunc(s, unicode.IsSpace) {
			return nil, toml.Refuse(commandHint(strings.Fields(s), s, instead), "%q has white space", toml.Abbreviate(s))
		}
		return []string{s}, programPath([]string{s}, instead)
	}, func(command []string) string { return strings.Join(command, " ") })
}

// commandLine returns the schema type of a command with its arguments.
func commandLine(instead func([]string) (key, value string)) toml.SchemaType[[]string] {
	words := toml.List(toml.String("any text", func(s string) *toml.Refusal {
		if strings.Contains(s, "\x00") {
			return toml.Refuse("", "%q has a NUL byte: an argument cannot have one", toml.Abbreviate(s))
		}
		return nil
	}), 1, 100)
	read := words.Read
	words.Read = func(at toml.Node) []string {
		command := read(at)
		if len(command) == 0 || !at.Index(0).Sound() {
			return command
		}
		if no := programPath(command, instead); no != nil {
			at.Index(0).Mistake(no.Hint, "%s", no.Problem)
		}
		return command
	}
	return words
}

// programPath refuses a program that is not an absolute path, and says what to write.
func programPath(command []string, instead func([]string) (key, value string)) *toml.Refusal {
	no := absolutePath(command[0])
	if no != nil && !path.IsAbs(command[0]) && command[0] != "" {
		no.Hint = commandHint(command, strings.Join(command, " "), instead)
	}
	return no
}

// commandHint says what to write for a command that is not an absolute path with arguments. The text is the command as it was
// written.
func commandHint(words []string, text string, instead func([]string) (key, value string)) string {
	if len(words) == 0 {
		return ""
	}
	if instead != nil {
		if key, value := instead(words); key == "check" {
			to, _ := netip.ParseAddrPort(value)
			return fmt.Sprintf(`write check = { address = %q, port = %d }`, to.Addr(), to.Port())
		} else if key != "" {
			return fmt.Sprintf("write %s = %q", key, value)
		}
	}
	switch {
	case NeedsShell(words):
		return fmt.Sprintf(`it needs a shell: write ["/bin/sh", "-c", %q]`, toml.Abbreviate(text))
	case !path.IsAbs(words[0]):
		return fmt.Sprintf("write the absolute path, which `command -v %s` shows", toml.Abbreviate(path.Base(words[0])))
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return fmt.Sprintf("write [%s]", toml.Abbreviate(strings.Join(quoted, ", ")))
}

// NeedsShell reports whether a command has words that only a shell understands: pipes, lists and redirections. tandem runs no shell
// by itself.
func NeedsShell(words []string) bool {
	operators := []string{"|", "||", "&&", ";", "&", ">", ">>", "<"}
	return slices.ContainsFunc(words, func(w string) bool {
		redirects := strings.HasPrefix(strings.TrimLeft(w, "012&"), ">") || strings.HasPrefix(w, "<")
		return slices.Contains(operators, w) || redirects || strings.HasPrefix(w, "$(") || strings.HasPrefix(w, "`") ||
			len(w) > 1 && strings.HasSuffix(w, ";")
	})
}

// LooksFor returns the key and the value of a [[vrrp.track]] that replaces a command which only looks for something: a process
// (killall -0 NAME, pidof NAME, pgrep -x NAME), a unit (systemctl is-active NAME), or a check, with the address and port that the
// command connects to (nc -z ADDRESS PORT, </dev/tcp/ADDRESS/PORT). key is empty for other commands.
func LooksFor(command []string) (key, value string) {
	if len(command) == 0 {
		return "", ""
	}
	if to, ok := connectsTo(command); ok {
		return "check", to.String()
	}
	var flags, names []string
	for _, w := range command[1:] {
		if strings.HasPrefix(w, "-") {
			flags = append(flags, w)
		} else {
			names = append(names, w)
		}
	}
	only := func(allowed ...string) bool {
		return !slices.ContainsFunc(flags, func(f string) bool { return !slices.Contains(allowed, f) })
	}
	switch base := path.Base(command[0]); {
	case base == "systemctl" && len(names) == 2 && names[0] == "is-active" && only("-q", "--quiet"):
		unit := names[1]
		if !strings.Contains(unit, ".") {
			unit += ".service"
		}
		if unitName(unit) == nil {
			return "unit", unit
		}
	case len(names) != 1 || programName(names[0]) != nil || strings.ContainsAny(names[0], `*?[](){}^$|\;&<>`):
	case base == "killall" && only("-0", "-s0", "-q", "-e") && (slices.Contains(flags, "-0") || slices.Contains(flags, "-s0")),
		base == "pidof" && only("-s", "-x", "-q"),
		base == "pgrep" && only("-x", "-c") && slices.Contains(flags, "-x"):
		return "process", names[0]
	}
	return "", ""
}

// connectsTo returns the address and port that a command connects to.
func connectsTo(command []string) (to netip.AddrPort, ok bool) {
	var host, port string
	if file, is := strings.CutPrefix(command[0], "</dev/tcp/"); is && len(command) == 1 {
		host, port, _ = strings.Cut(file, "/")
	} else if path.Base(command[0]) == "nc" && len(command) == 4 && command[1] == "-z" {
		host, port = command[2], command[3]
	}
	if host == "localhost" {
		host = thisMachine.String()
	}
	a, err := netip.ParseAddr(host)
	n, wrong := strconv.ParseUint(port, 10, 16)
	if err != nil || wrong != nil || n == 0 || unicast(a) != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a, uint16(n)), true
}
