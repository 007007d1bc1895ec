// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

// MaxHead is the longest header of a response, interim responses included, in bytes.
const MaxHead = 64 << 10

// The errors of a response's header.
var (
	ErrNotHTTP    = errors.New("not HTTP/1.0 or 1.1")
	ErrTooLong    = errors.New("header longer than 64 KiB")
	ErrStatusLine = errors.New("bad status line")
	ErrBareCR     = errors.New("a CR without LF in the header")
	ErrNoColon    = errors.New("a header line without a colon")
	ErrFieldName  = errors.New("bad name of a header field")
	ErrFieldValue = errors.New("a control character in the header")
	ErrFold       = errors.New("white space before the first header field")
	ErrLength     = errors.New("bad Content-Length")
	ErrCoding     = errors.New("bad Transfer-Encoding")
)

// versionPattern is the beginning of every response (RFC 9112, section 4). # stands for a digit.
const versionPattern = "HTTP/1.# "

// A Head reads the head of an HTTP/1 response as its bytes arrive, in any pieces, in constant memory. It judges every rule
// that tells where the header and the body end, and keeps only what a check needs. A Head without Wanted takes constant memory.
// The zero value is ready. It skips
// interim responses (RFC 9110, section 15.2) except 101, which is final.
//
// It tolerates what RFC 9112 allows recipients to tolerate and what every common client does: a bare LF as the end of a
// line, a status line without its last space, several spaces before the status, folded lines, a Content-Length beside
// chunks, and Transfer-Encoding in version 1.0. It refuses what proxies and libraries among the clients refuse, even
// where browsers do not.
type Head struct {
	Status  int   // of the final response once Feed says done
	Length  int64 // of the body, by Content-Length; -1: not given, or Chunked
	Chunked bool  // the body comes in chunks

	Wanted []healthcheck.FieldRule // the fields to keep are those that these rules name
	Fields []healthcheck.Header    // the kept fields of the final response, in their order

	size  int // bytes taken
	begin words.Beginning
	state headState
	pos   int  // bytes taken of the version pattern, then digits taken of the status
	cr    bool // the byte before was a CR
	old   bool // version 1.0
	any   bool // a field has been read
	field field

	keeping bool   // the field that is being read is wanted
	kept    []byte // its name, then its value
}

// A headState says to which part of the head the next byte belongs.
type headState uint8

const (
	inVersion headState = iota
	inStatus
	afterStatus
	inReason
	lineStart
	inName
	inValue
)

// Feed takes the next bytes of the response and says whether its header is complete. rest is what follows the header.
// Feed must not be called again after done or an error.
func (h *Head) Feed(b []byte) (rest []byte, done bool, err error) {
	h.begin.Add(b)
	for i, c := range b {
		if h.size == MaxHead {
			return nil, false, ErrTooLong
		}
		h.size++
		switch {
		case h.cr && c != '\n': // RFC 9112, section 2.2
			return nil, false, ErrBareCR
		case c == '\n': // RFC 9112, section 2.2: a bare LF may end a line too
			h.cr = false
			done, err = h.endLine()
		case c == '\r' && h.state >= afterStatus:
			h.cr = true
		default:
			err = h.take(c)
		}
		if done || err != nil {
			return b[i+1:], done, err
		}
	}
	return nil, false, nil
}

// take takes a byte that does not end a line.
func (h *Head) take(c byte) error {
	switch h.state {
	case inVersion:
		return h.takeVersion(c)
	case inStatus:
		if c == ' ' && h.pos == 0 { // RFC 9112, section 4: a recipient may take several spaces for one
			return nil
		}
		if c < '0' || c > '9' {
			return ErrStatusLine
		}
		h.Status = h.Status*10 + int(c-'0')
		if h.pos++; h.pos == 3 {
			h.state = afterStatus
		}
	case afterStatus:
		if c != ' ' {
			return ErrStatusLine
		}
		h.state = inReason
	case inReason:
		if isControl(c) {
			return ErrFieldValue
		}
	case lineStart:
		if c != ' ' && c != '\t' {
			if err := h.endField(); err != nil {
				return err
			}
			h.state, h.any = inName, true
			return h.takeName(c)
		}
		if !h.any { // RFC 9112, section 2.2
			return ErrFold
		}
		h.state = inValue // RFC 9112, section 5.2: a folded line goes on, after a space
		h.takeValue(' ')
	case inName:
		if c == ':' {
			h.state = inValue
			h.startKeeping()
			return h.field.startValue()
		}
		return h.takeName(c)
	case inValue:
		if isControl(c) { // RFC 9110, section 5.5
			return ErrFieldValue
		}
		h.takeValue(c)
	}
	return nil
}

// takeName takes a byte of a field's name.
func (h *Head) takeName(c byte) error {
	if len(h.Wanted) > 0 {
		h.kept = append(h.kept, c)
	}
	return h.field.takeName(c)
}

// takeValue takes a byte of a field's value.
func (h *Head) takeValue(c byte) {
	if h.keeping {
		h.kept = append(h.kept, c)
	}
	h.field.takeValue(c)
}

// startKeeping is called after the complete name of a field, and makes room for the value if the field is wanted.
func (h *Head) startKeeping() {
	name := string(h.kept)
	h.kept = h.kept[:0]
	h.keeping = slices.ContainsFunc(h.Wanted, func(r healthcheck.FieldRule) bool { return strings.EqualFold(r.Name, name) })
	if h.keeping {
		h.Fields = append(h.Fields, healthcheck.Header{Name: name})
	}
}

// takeVersion takes a byte of the version, or the space behind it.
func (h *Head) takeVersion(c byte) error {
	switch want := versionPattern[h.pos]; {
	case want == '#' && '0' <= c && c <= '9':
		h.old = c == '0'
	case c != want:
		return ErrNotHTTP
	}
	if h.pos++; h.pos == len(versionPattern) {
		h.state, h.pos = inStatus, 0
	}
	return nil
}

// endLine ends a line, and says whether the header of a final response is complete.
func (h *Head) endLine() (done bool, err error) {
	switch h.state {
	case inVersion:
		return false, ErrNotHTTP
	case inStatus:
		return false, ErrStatusLine
	case afterStatus, inReason:
		if h.Status < 100 {
			return false, ErrStatusLine
		}
		h.state = lineStart
	case inName:
		return false, ErrNoColon
	case inValue:
		h.state = lineStart
	case lineStart:
		if err := h.endField(); err != nil {
			return false, err
		}
		if h.Status < 200 && h.Status != 101 {
			*h = Head{size: h.size, begin: h.begin, Wanted: h.Wanted}
			return false, nil
		}
		h.frame()
		return true, nil
	}
	return false, nil
}

// endField judges the field that has ended, if there is one.
func (h *Head) endField() error {
	if !h.any {
		return nil
	}
	if h.keeping {
		h.Fields[len(h.Fields)-1].Value = strings.Trim(string(h.kept), " \t")
		h.keeping = false
	}
	h.kept = h.kept[:0]
	return h.field.end()
}

// frame determines how the body is delimited (RFC 9112, section 6.3).
func (h *Head) frame() {
	h.Length = -1
	switch {
	case h.field.coded && !h.old:
		h.Chunked = true
	case h.field.measured && !h.field.coded:
		h.Length = h.field.length
	}
}

// Malformed returns the result of a response that is not HTTP/1, or breaks its rules.
func (h *Head) Malformed(err error) healthcheck.Result {
	reason := "malformed response: " + err.Error()
	if errors.Is(err, ErrNotHTTP) {
		reason += h.begin.Instead()
	}
	return healthcheck.Fail(healthcheck.Malformed, reason)
}

// Broken makes a result of a response that ended within its header.
func (h *Head) Broken(ctx context.Context, err error, t *healthcheck.Target) healthcheck.Result {
	if h.size == 0 {
		return socket.HungUp(ctx, err, t, "before a response", "waiting for the response")
	}
	return socket.HungUp(ctx, err, t, "in the middle of the response header", "reading the response header")
}
