// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// shellCommands returns the simple commands of a script, as words without quotes. Redirections and comments are left out, and what
// is in $(…) belongs to its word.
func shellCommands(script string) (all [][]string) {
	var words []string
	var word strings.Builder
	begun, redirects := false, false
	endWord := func() {
		if begun && !redirects {
			words = append(words, word.String())
		}
		redirects = redirects && !begun
		begun = false
		word.Reset()
	}
	end := func() {
		endWord()
		for len(words) > 0 && (words[0] == "sudo" || regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0])) {
			words = words[1:]
		}
		if len(words) > 0 {
			all = append(all, words)
		}
		words, redirects = nil, false
	}
	for i := 0; i < len(script); i++ {
		switch c := script[i]; {
		case c == '\\' && i+1 < len(script):
			i++
			if script[i] != '\n' {
				begun = true
				word.WriteByte(script[i])
			}
		case c == '\'' || c == '"':
			begun = true
			for i++; i < len(script) && script[i] != c; i++ {
				word.WriteByte(script[i])
			}
		case strings.HasPrefix(script[i:], "$("):
			begun = true
			for depth := 0; i < len(script); i++ {
				word.WriteByte(script[i])
				if script[i] == '(' {
					depth++
				} else if script[i] == ')' {
					if depth--; depth == 0 {
						break
					}
				}
			}
		case c == '#' && !begun:
			for i+1 < len(script) && script[i+1] != '\n' {
				i++
			}
		case c == ' ' || c == '\t':
			endWord()
		case c == '>' || c == '<':
			if begun && (word.String() == "1" || word.String() == "2") {
				begun = false
				word.Reset()
			}
			endWord()
			redirects = true
			for i+1 < len(script) && (script[i+1] == '>' || script[i+1] == '&') {
				i++
			}
		case strings.IndexByte("\n;|&()", c) >= 0:
			end()
		default:
			begun = true
			word.WriteByte(c)
		}
	}
	end()
	return all
}

// TestShellCommands: the commands of a line are found in each form.
func TestShellCommands(t *testing.T) {
	for script, want := range map[string]string{
		"tandem status # all | of it":               `[[tandem status]]`,
		"a 'b c' \"d\" && e | f; g\nh":              `[[a b c d] [e] [f] [g] [h]]`,
		"a >b 2>&1 c < d e":                         `[[a c e]]`,
		"(umask 077; a 'x' $(b -c 'd e') > f)":      `[[umask 077] [a x $(b -c 'd e')]]`,
		"sudo A=b tandem drain \\\n  www":           `[[tandem drain www]]`,
		"a b#c":                                     `[[a b#c]]`,
		"printf '[r]\\nv = [\"x\"]\\n' >/etc/t # y": `[[printf [r]\nv = ["x"]\n]]`,
		"": `[]`,
	} {
		if got := fmt.Sprint(shellCommands(script)); got != want {
			t.Errorf("%q: %s, want %s", script, got, want)
		}
	}
}
