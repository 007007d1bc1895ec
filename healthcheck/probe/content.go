// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http2"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// maxBody is the part of a body that is examined, in bytes.
const maxBody = 1 << 20

var errLongBody = errors.New("body longer than 1 MiB")

// A response is what a server has answered over HTTP.
type response struct {
	status int
	fields []healthcheck.Header // at least those that the check has rules for
	body   io.Reader
}

// judgeResponse judges a response's status, then the fields of its header, then its body.
func judgeResponse(ctx context.Context, got response, t *healthcheck.Target) healthcheck.Result {
	res := http1.Judge(got.status, t.Config.Status)
	if res.Outcome != healthcheck.Passed {
		return res
	}
	for i := range t.Config.Fields {
		refusal, err := judgeField(&t.Config.Fields[i], got.fields)
		switch {
		case err != nil:
			return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
		case refusal != "":
			return healthcheck.Fail(healthcheck.Unexpected, res.Reason+", but "+refusal)
		}
	}
	if t.Config.Content == (healthcheck.Content{}) {
		return res
	}
	refusal, err := judgeBody(&t.Config.Content, got.body)
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

// judgeField says how a header breaks a rule; empty: not at all.
func judgeField(rule *healthcheck.FieldRule, fields []healthcheck.Header) (refusal string, err error) {
	matches, err := regexp.Compile(rule.Matches)
	if err != nil {
		return "", err
	}
	refusal = "it has no header " + rule.Name
	for _, f := range fields {
		switch {
		case !strings.EqualFold(f.Name, rule.Name):
		case matches.MatchString(f.Value):
			return "", nil
		default:
			refusal = fmt.Sprintf("its header %s does not match %q", rule.Name, rule.Matches)
		}
	}
	return refusal, nil
}

// judgeBody reads a body as far as necessary and says what is wrong with it; empty: nothing.
func judgeBody(c *healthcheck.Content, body io.Reader) (refusal string, err error) {
	sum, part, bad := sha256.New(), finder{want: []byte(c.Contains)}, finder{want: []byte(c.Lacks)}
	found, spoilt := c.Contains == "", false
	in := &limited{from: body, left: maxBody, over: errLongBody, tap: func(b []byte) {
		sum.Write(b)
		found = found || part.find(b)
		spoilt = spoilt || c.Lacks != "" && bad.find(b)
	}}
	matched := c.Matches == ""
	if !matched {
		matches, err := regexp.Compile(c.Matches)
		if err != nil {
			return "", err
		}
		if matched = matches.MatchReader(bufio.NewReader(in)); !matched && in.err == io.EOF {
			return fmt.Sprintf("its body does not match %q", c.Matches), nil
		}
	}
	buf := make([]byte, 4096)
	for in.err == nil && !spoilt && (!found || c.SHA256 != "" || c.Lacks != "") {
		_, _ = in.Read(buf)
	}
	// The other rules are kept, and what follows the first 1 MiB does not matter for the text that the body must lack.
	enough := in.err == errLongBody && found && matched && c.SHA256 == ""
	switch {
	case spoilt:
		return fmt.Sprintf("its body contains %q", c.Lacks), nil
	case enough:
		return "", nil
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

// A finder looks for bytes in a stream that arrives in pieces.
type finder struct {
	want []byte
	tail []byte // the end of the stream so far, shorter than want
}

// find takes the next piece and says whether the wanted bytes end in it.
func (f *finder) find(piece []byte) bool {
	keep := len(f.want) - 1
	joint := append(f.tail, piece[:min(len(piece), keep)]...)
	if bytes.Contains(joint, f.want) || bytes.Contains(piece, f.want) {
		return true
	}
	if len(piece) >= keep {
		joint = append(joint[:0], piece[len(piece)-keep:]...)
	}
	f.tail = joint[max(0, len(joint)-keep):]
	return false
}
