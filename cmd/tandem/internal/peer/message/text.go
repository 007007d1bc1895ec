// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strings"
	"unicode"
)

// Text returns a text that may be sent and shown: at most MaxText bytes, and no control characters.
func Text(s string) string {
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText-len("…")], "") + "…"
	}
	return Clean(s)
}

// Clean returns a text without control characters, which a terminal could obey.
func Clean(s string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.IndexFunc(s, odd) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if odd(r) {
			return ' '
		}
		return r
	}, s)
}
