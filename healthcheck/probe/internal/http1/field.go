// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"strings"
)

const (
	// maxName is how much of a field's name is kept: one more than the longest that matters.
	maxName = len("transfer-encoding") + 1
	// maxValue is how long the value of a field that matters may be, in bytes.
	maxValue = 128
)

// A field is the header field that is being read, with what the fields before it have said about the body. It keeps the
// value only of those that matter.
type field struct {
	name     [maxName]byte
	named    int
	value    [maxValue]byte
	valued   int
	overlong bool
	which    meaning

	measured bool
	length   int64
	coded    bool
}

// A meaning is the kind of statement that a field makes about the body.
type meaning uint8

const (
	nothing meaning = iota
	length
	coding
)

// takeName takes a byte of the name. RFC 9112, section 5.1: no white space is allowed before the colon.
func (f *field) takeName(c byte) error {
	if !isTokenByte(c) {
		return ErrFieldName
	}
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	if f.named < maxName {
		f.name[f.named] = c
		f.named++
	}
	return nil
}

// startValue is called after the complete name of a field, and prepares for its value.
func (f *field) startValue() error {
	switch string(f.name[:f.named]) {
	case "":
		return ErrFieldName
	case "content-length":
		f.which = length
	case "transfer-encoding":
		f.which = coding
	}
	return nil
}

func (f *field) takeValue(c byte) {
	switch {
	case f.which == nothing:
	case f.valued == maxValue:
		f.overlong = true
	default:
		f.value[f.valued] = c
		f.valued++
	}
}

// end judges the field that has ended, and makes room for the next one.
func (f *field) end() error {
	value, which, overlong := string(f.value[:f.valued]), f.which, f.overlong
	f.named, f.valued, f.which, f.overlong = 0, 0, nothing, false
	switch which {
	case length:
		n, ok := ParseLength(value)
		if !ok || overlong || f.measured && n != f.length {
			return ErrLength
		}
		f.measured, f.length = true, n
	case coding:
		// RFC 9112, section 6.1: chunked is applied at most once. The request asks for no other coding.
		if overlong || f.coded || !isChunked(value) {
			return ErrCoding
		}
		f.coded = true
	}
	return nil
}

// ParseLength reads the value of Content-Length. RFC 9110, section 8.6: a list of equal lengths counts as one.
func ParseLength(value string) (n int64, ok bool) {
	for i, part := range strings.Split(value, ",") {
		one, good := parseDigits(strings.Trim(part, " \t"))
		if !good || i > 0 && one != n {
			return 0, false
		}
		n = one
	}
	return n, true
}

// parseDigits reads a decimal number without a sign.
func parseDigits(s string) (n int64, ok bool) {
	if s == "" {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' || n > 1<<59 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// isChunked reports whether the value of Transfer-Encoding is chunked, and nothing else but empty elements of its list.
func isChunked(value string) (is bool) {
	for part := range strings.SplitSeq(value, ",") {
		switch part = strings.Trim(part, " \t"); {
		case part == "": // RFC 9110, section 5.6.1.2
		case is || !strings.EqualFold(part, "chunked"):
			return false
		default:
			is = true
		}
	}
	return is
}

// isControl reports whether a byte may not be in a line of a header (RFC 9110, section 5.5).
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// isTokenByte reports whether a byte may be in a name (RFC 9110, section 5.6.2).
func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
