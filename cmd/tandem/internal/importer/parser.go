// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"
	"unicode/utf8"
)

// A statement is a keyword with its values, and with a block if it has one.
type statement struct {
	at       Place
	words    []string // the keyword and its values, without quotes
	quoted   []bool   // which of them were in quotes
	block    []*statement
	hasBlock bool
}

// keyword returns the first word.
func (s *statement) keyword() string { return s.words[0] }

// values returns the other words.
func (s *statement) values() []string { return s.words[1:] }

// value returns the first value; "" if there is none.
func (s *statement) value() string { return s.valueAt(1) }

func (s *statement) valueAt(i int) string {
	if i < len(s.words) {
		return s.words[i]
	}
	return ""
}

// maxDepth is the maximum depth of blocks. keepalived's deepest has five.
const maxDepth = 32

// parse makes a tree of lines. Braces may be on lines of their own or not.
func parse(r *report, lines []line) []*statement {
	top := &statement{}
	stack := []*statement{top}
	for _, l := range lines {
		var open *statement // the statement of this line that still takes words
		for _, t := range tokens(l.text) {
			inner := stack[len(stack)-1]
			switch t.kind {
			case word:
				if open == nil {
					open = &statement{at: l.at}
					inner.block = append(inner.block, open)
				}
				open.words, open.quoted = append(open.words, t.text), append(open.quoted, t.quoted)
			case opening:
				open = nil
				n := len(inner.block)
				if n == 0 || inner.block[n-1].hasBlock || len(stack) > maxDepth {
					r.refuse(l.at, "", "{ without a keyword before it")
					return nil
				}
				inner.block[n-1].hasBlock = true
				stack = append(stack, inner.block[n-1])
			case closing:
				open = nil
				if len(stack) == 1 {
					r.refuse(l.at, "remove it, or look for the { that is missing", "} without a {")
					return nil
				}
				stack = stack[:len(stack)-1]
			}
		}
	}
	if len(stack) > 1 {
		s := stack[len(stack)-1]
		r.refuse(s.at, "", "the block of %s has no closing }", abbreviate(s.keyword()))
		return nil
	}
	return top.block
}

type tokenKind uint8

const (
	word tokenKind = iota + 1
	opening
	closing
)

type token struct {
	kind   tokenKind
	text   string
	quoted bool
}

// tokens splits a line into words and braces. A brace in quotes, and that of ${NAME}, is a character like others.
func tokens(s string) (all []token) {
	var b strings.Builder
	inWord, quoted := false, false
	var quote byte
	end := func() {
		if inWord {
			all = append(all, token{word, plain.Replace(b.String()), quoted})
		}
		b.Reset()
		inWord, quoted = false, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			text, n := escaped(s[i+1:])
			b.WriteString(text)
			i += n
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote, inWord, quoted = c, true, true
		case c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f':
			end()
		case c == '$' && i+1 < len(s) && s[i+1] == '{' && strings.IndexByte(s[i:], '}') > 0:
			n := strings.IndexByte(s[i:], '}')
			b.WriteString(s[i : i+n+1])
			i += n
			inWord = true
		case c == '{' || c == '}':
			end()
			kind := opening
			if c == '}' {
				kind = closing
			}
			all = append(all, token{kind: kind})
		default:
			b.WriteByte(c)
			inWord = true
		}
	}
	end()
	return all
}

// escaped reads what follows a backslash: the character that it stands for, and how many bytes that took.
func escaped(s string) (text string, n int) {
	const digits = "0123456789abcdef"
	switch c := s[0]; {
	case c == 'x' || c == 'X':
		v := 0
		for n = 1; n < len(s) && n < 3; n++ {
			d := strings.IndexByte(digits, s[n]|0x20)
			if d < 0 {
				break
			}
			v = v<<4 | d
		}
		if n == 1 {
			return s[:1], 1
		}
		return string(rune(v)), n
	case c >= '0' && c <= '7':
		v := 0
		for n = 0; n < len(s) && n < 3 && s[n] >= '0' && s[n] <= '7'; n++ {
			v = v<<3 | int(s[n]-'0')
		}
		return string(rune(v & 0xff)), n
	}
	if i := strings.IndexByte("abEfnrtv", s[0]); i >= 0 {
		return "\a\b\x1b\f\n\r\t\v"[i : i+1], 1
	}
	_, size := utf8.DecodeRuneInString(s)
	return s[:size], size
}

// abbreviate returns a text in quotes as a message shows it.
func abbreviate(s string) string {
	const most = 60
	s = oneLine(shown.Replace(s))
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return `"` + s + `"`
}

// oneLine replaces what would disturb a line of output.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == 0x2028 || c == 0x2029 || c == utf8.RuneError {
			return '?'
		}
		return c
	}, s)
}
