// SPDX-License-Identifier: Apache-2.0

package top

import (
	"bytes"
	"unicode/utf8"
)

// sequences are what terminals send for keys that are no characters.
var sequences = map[string]Key{
	"\x1b[A": Up, "\x1bOA": Up, "\x1b[B": Down, "\x1bOB": Down, "\x1b[5~": PageUp, "\x1b[6~": PageDown,
	"\x1b[H": Home, "\x1bOH": Home, "\x1b[1~": Home, "\x1b[7~": Home, "\x1b[F": End, "\x1bOF": End, "\x1b[4~": End, "\x1b[8~": End,
}

// keysIn returns the keys in what a terminal sent in one piece. Sequences that are not known are skipped.
func keysIn(text []byte) (keys []Key) {
	for len(text) > 0 {
		n := 1
		switch c := text[0]; {
		case c == 0x1b && len(text) > 1 && (text[1] == '[' || text[1] == 'O'):
			n = sequenceLength(text)
			if k, ok := sequences[string(text[:n])]; ok {
				keys = append(keys, k)
			}
		case c == 0x1b:
			keys = append(keys, Escape)
		case c == 3: // Ctrl-C
			keys = append(keys, Interrupt)
		case c == '\r' || c == '\n':
			keys = append(keys, Enter)
		case c == '\t':
			keys = append(keys, Tab)
		case c == 0x7f || c == 8:
			keys = append(keys, Backspace)
		case c >= ' ':
			var r rune
			if r, n = utf8.DecodeRune(text); r != utf8.RuneError {
				keys = append(keys, Key(r))
			}
		}
		text = text[n:]
	}
	return keys
}

// sequenceLength returns the length of the sequence at the beginning of a text: up to its final byte, see ECMA-48, section 5.4.
func sequenceLength(text []byte) int {
	end := bytes.IndexFunc(text[2:], func(r rune) bool { return r >= 0x40 && r <= 0x7e })
	if end < 0 {
		return len(text)
	}
	return end + 3
}
