// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http2"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// maxBody is the part of a body that is examined, in bytes.
const maxBody = 1 << 20

var errLongBody = errors.New("body longer than 1 MiB")

// judgeResponse judges a response's status, then its body.
func judgeResponse(ctx context.Context, status int, body io.Reader, t *healthcheck.Target) healthcheck.Result {
	res := http1.Judge(status, t.Config.Status)
	if res.Outcome != healthcheck.Passed || t.Config.Content == (healthcheck.Content{}) {
		return res
	}
	refusal, err := judgeBody(&t.Config.Content, body)
	var malformed *http2.Malformed
	var refused *http2.Refused
	switch {
	case errors.Is(err, errLongBody):
		return healthcheck.Fail(healthcheck.Malformed, errLongBody.Error())
	case errors.As(err, &malformed), errors.As(err, &refused):
		return explain2(ctx, err, t)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return socket.Explain(ctx, err, t.Config.Timeout, "reading the response body")
	case errors.Is(err, io.ErrUnexpectedEOF), socket.Closed(err):
		return healthcheck.Fail(healthcheck.HungUp, socket.Ending(err)+" in the middle of the response body")
	case err != nil:
		return healthcheck.Fail(healthcheck.Malformed, "malformed response body")
	case refusal != "":
		return healthcheck.Fail(healthcheck.Unexpected, res.Reason+", but "+refusal)
	}
	return healthcheck.Pass(res.Reason + " with the expected body")
}

// judgeBody reads a body as far as necessary and says what is wrong with it; empty: nothing.
func judgeBody(c *healthcheck.Content, body io.Reader) (refusal string, err error) {
	sum, part := sha256.New(), finder{want: []byte(c.Contains)}
	found := c.Contains == ""
	in := &limited{from: body, left: maxBody, over: errLongBody, tap: func(b []byte) {
		sum.Write(b)
		found = found || part.find(b)
	}}
	if c.Matches != "" {
		matches, err := regexp.Compile(c.Matches)
		if err != nil {
			return "", err
		}
		if !matches.MatchReader(bufio.NewReader(in)) && in.err == io.EOF {
			return fmt.Sprintf("its body does not match %q", c.Matches), nil
		}
	}
	buf := make([]byte, 4096)
	for in.err == nil && (!found || c.SHA256 != "") {
		_, _ = in.Read(buf)
	}
	switch {
	case in.err != nil && in.err != io.EOF:
		return "", in.err
	case !found:
		return fmt.Sprintf("its body does not contain %q", c.Contains), nil
	case c.SHA256 != "" && hex.EncodeToString(sum.Sum(nil)) != c.SHA256:
		return "its body has another SHA-256", nil
	}
	return "", nil
}

// A limited reads a limited number of bytes from another reader and keeps the error that ended it.
type limited struct {
	from io.Reader
	left int
	over error        // the error beyond the limit
	tap  func([]byte) // sees everything that is read; nil: nobody does
	err  error
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.err == nil && l.left == 0 {
		// A body of exactly the longest allowed size ends here.
		if n, err := l.from.Read(make([]byte, 1)); n == 0 && err != nil {
			l.err = err
		} else {
			l.err = l.over
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.from.Read(p[:min(len(p), l.left)])
	l.left -= n
	l.err = err
	if l.tap != nil {
		l.tap(p[:n])
	}
	return n, err
}
