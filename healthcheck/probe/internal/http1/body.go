// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"io"
	"net/http/httputil"
)

// Body reads the body that follows a complete header (RFC 9112, section 6.3). Its error is io.ErrUnexpectedEOF where the
// connection ends before the body does.
func (h *Head) Body(method string, from io.Reader) io.Reader {
	switch {
	case method == "HEAD", h.Status < 200, h.Status == 204, h.Status == 304:
		return new(empty)
	case h.Chunked:
		return httputil.NewChunkedReader(from)
	case h.Length >= 0:
		return &exact{from: from, left: h.Length}
	}
	return from
}

type empty struct{}

func (*empty) Read([]byte) (int, error) { return 0, io.EOF }

// An exact reads a body of a known length.
type exact struct {
	from io.Reader
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.from.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	switch {
	case e.left == 0:
		return n, io.EOF
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}
