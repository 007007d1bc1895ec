// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
)

// maxBody is how much of a body is looked at, in bytes.
const maxBody = 1 << 20

var errLongBody = errors.New("body longer than 1 MiB")

// examine reads a response of version 1 with its body and judges both, in constant memory.
func examine(ctx context.Context, conn net.Conn, t Target) result {
	in := &limited{from: conn, left: maxHead, over: errLongHead}
	buffered := bufio.NewReaderSize(in, 4096)
	for {
		resp, err := http.ReadResponse(buffered, &http.Request{Method: t.Config.Method})
		if err != nil {
			return in.broken(ctx, err, t)
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		in.left, in.over = 2*maxBody, errLongBody // chunks of one byte cost five more
		return judgeResponse(ctx, resp, t)
	}
}

// judgeResponse judges a response's status, then its body.
func judgeResponse(ctx context.Context, resp *http.Response, t Target) result {
	res := judge(resp.StatusCode, t.Config.Status)
	if res.outcome != passed || t.Config.Content == (Content{}) {
		return res
	}
	refusal, err := t.Config.Content.judge(resp.Body)
	switch {
	case errors.Is(err, errLongBody):
		return fail(errLongBody.Error())
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return explain(ctx, err, t.Config.Timeout, "reading the response body")
	case errors.Is(err, io.ErrUnexpectedEOF), closed(err):
		return fail("connection closed in the middle of the response body")
	case err != nil:
		return fail("malformed response body")
	case refusal != "":
		return fail(res.reason + ", but " + refusal)
	}
	return pass(res.reason + " with the expected body")
}

// judge reads as much of a body as it takes to say what is wrong with it; empty: nothing is.
func (c Content) judge(body io.Reader) (refusal string, err error) {
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

// A limited reads from another reader so many bytes and no more, and remembers how that ended.
type limited struct {
	from io.Reader
	left int
	over error        // what it ends in beyond the limit
	tap  func([]byte) // is shown all that is read; nil: nobody is
	size int          // bytes read
	err  error
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.err == nil && l.left == 0 {
		// A body that is just as long as may be ends here.
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
	l.size += n
	l.err = err
	if l.tap != nil {
		l.tap(p[:n])
	}
	return n, err
}

// broken explains why a response ended within its header. The parser's own words hold what the server sent.
func (l *limited) broken(ctx context.Context, err error, t Target) result {
	h := head{size: l.size}
	switch {
	case errors.Is(l.err, errLongHead):
		return fail("malformed response: " + errLongHead.Error())
	case l.err != nil:
		return h.broken(ctx, l.err, t)
	case err != nil && errors.Is(err, io.ErrUnexpectedEOF):
		return h.broken(ctx, err, t)
	}
	return fail("malformed response: " + errNotHTTP.Error())
}
