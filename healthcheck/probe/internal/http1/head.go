// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"context"
	"errors"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// MaxHead is the longest header of a response, interim responses included, in bytes.
const MaxHead = 64 << 10

// The errors of a response's header.
var (
	ErrNotHTTP = errors.New("not HTTP/1.0 or 1.1")
	ErrTooLong = errors.New("header longer than 64 KiB")
)

// statusLine is how a response begins (RFC 9112, section 4); # is a digit. The rest of the line is for people.
const statusLine = "HTTP/1.# ###"

// A Head reads the head of an HTTP/1 response as its bytes arrive, in any pieces, in constant memory. It keeps only what
// a check needs: the status, and whether the header is complete. The zero value is ready. It skips interim responses
// (RFC 9110, section 15.2) except 101, which is final.
type Head struct {
	Status int // of the final response once Feed says done
	size   int // bytes taken
	pos    int // bytes taken of the status line, up to one beyond its pattern
	line   int // bytes in the current line, without CRs; the status line counts as one
}

// Feed takes the next bytes of the response and says whether its header is complete; the body that follows is ignored.
// Feed must not be called again after done or an error.
func (h *Head) Feed(b []byte) (done bool, err error) {
	for _, c := range b {
		if h.size == MaxHead {
			return false, ErrTooLong
		}
		h.size++
		switch {
		case h.pos <= len(statusLine):
			if !h.statusByte(c) {
				return false, ErrNotHTTP
			}
		case c == '\r': // RFC 9112, section 2.2: a bare LF may end a line too
		case c != '\n':
			h.line++
		case h.line > 0:
			h.line = 0
		case h.Status < 200 && h.Status != 101:
			*h = Head{size: h.size}
		default:
			return true, nil
		}
	}
	return false, nil
}

// statusByte takes the next byte of the status line's pattern, or the byte that must end or follow it.
func (h *Head) statusByte(c byte) bool {
	pos := h.pos
	h.pos++
	if pos == len(statusLine) {
		if c != '\n' {
			h.line = 1
		}
		return h.Status >= 100 && (c == ' ' || c == '\r' || c == '\n')
	}
	if statusLine[pos] != '#' {
		return c == statusLine[pos]
	}
	if pos > len("HTTP/1.#") {
		h.Status = h.Status*10 + int(c-'0')
	}
	return '0' <= c && c <= '9'
}

// Broken makes a result of a response that ended within its header.
func (h *Head) Broken(ctx context.Context, err error, t *healthcheck.Target) healthcheck.Result {
	return Broken(ctx, err, t, h.size)
}

// Broken makes a result of a response that ended within its header after size bytes.
func Broken(ctx context.Context, err error, t *healthcheck.Target, size int) healthcheck.Result {
	if size == 0 {
		return socket.HungUp(ctx, err, t, socket.HungUpEarly, "waiting for the response")
	}
	return socket.HungUp(ctx, err, t, "connection closed in the middle of the response header", "reading the response header")
}
