// SPDX-License-Identifier: Apache-2.0

package healthcheck

import "errors"

// maxHead is how much of a response may come before the end of its header, interim responses included, in bytes.
const maxHead = 64 << 10

var (
	errNotHTTP  = errors.New("not HTTP/1.0 or 1.1")
	errLongHead = errors.New("header longer than 64 KiB")
)

// statusLine is how a response begins (RFC 9112, section 4); # is a digit. What follows it, up to the end of the line,
// is for people.
const statusLine = "HTTP/1.# ###"

// A head reads the head of an HTTP/1 response as its bytes arrive, in whatever pieces, in constant memory: of all the
// server says, a check needs the status and the certainty that the header came to its end. The zero value is ready.
// Interim responses (RFC 9110, section 15.2) are read past, except 101, which would be final had it been asked for.
type head struct {
	status int // of the final response once feed says done
	size   int // bytes taken
	pos    int // bytes taken of the status line, up to one beyond its pattern
	line   int // bytes in the current line, without CRs; the status line counts as one
}

// feed takes the next bytes of the response and tells whether its header has ended; what follows is body and is left
// alone. After done or an error, feed must not be called again.
func (h *head) feed(b []byte) (done bool, err error) {
	for _, c := range b {
		if h.size == maxHead {
			return false, errLongHead
		}
		h.size++
		switch {
		case h.pos <= len(statusLine):
			if !h.statusByte(c) {
				return false, errNotHTTP
			}
		case c == '\r': // RFC 9112, section 2.2: a bare LF may end a line too
		case c != '\n':
			h.line++
		case h.line > 0:
			h.line = 0
		case h.status < 200 && h.status != 101:
			*h = head{size: h.size}
		default:
			return true, nil
		}
	}
	return false, nil
}

// statusByte takes the next byte of the status line's pattern, or the one that must end or follow it.
func (h *head) statusByte(c byte) bool {
	pos := h.pos
	h.pos++
	if pos == len(statusLine) {
		if c != '\n' {
			h.line = 1
		}
		return h.status >= 100 && (c == ' ' || c == '\r' || c == '\n')
	}
	if statusLine[pos] != '#' {
		return c == statusLine[pos]
	}
	if pos > len("HTTP/1.#") {
		h.status = h.status*10 + int(c-'0')
	}
	return '0' <= c && c <= '9'
}

// moment chooses the words for how far the response has come.
func (h *head) moment(before, amid string) string {
	if h.size == 0 {
		return before
	}
	return amid
}
