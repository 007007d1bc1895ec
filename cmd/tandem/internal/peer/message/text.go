// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// CleanJSON returns a JSON text whose strings are clean.
func CleanJSON(text []byte) ([]byte, error) {
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	var v any
	if err := in.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	return json.Marshal(cleaned(v))
}

func cleaned(v any) any {
	switch v := v.(type) {
	case string:
		return Clean(v)
	case []any:
		for i := range v {
			v[i] = cleaned(v[i])
		}
	case map[string]any:
		for key, value := range v {
			if is := Clean(key); is != key {
				delete(v, key)
				key = is
			}
			v[key] = cleaned(value)
		}
	}
	return v
}
