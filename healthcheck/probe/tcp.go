// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

const (
	// maxAnswer is the part of an answer that a step searches, in bytes.
	maxAnswer = 64 << 10
	// maxExamined is how many bytes a regular expression examines for a step without restraint. A server that sends its
	// answer byte by byte would otherwise make the expression examine 2 GiB.
	maxExamined = 1 << 20
)

// asExpected is the reason of a server that sent what was expected.
const asExpected = "answered as expected"

// waitingForExpected is what a probe that expects something waits for, in the words of a reason.
const waitingForExpected = "waiting for the expected answer"

// otherwise returns the result of a server that has answered, but not as expected, when the probe's time is over.
func otherwise(wanted string, timeout time.Duration) healthcheck.Result {
	return healthcheck.Fail(healthcheck.Unexpected, fmt.Sprintf("answered, but without %s within %s", wanted, timeout))
}

// quoting adds the first line that a server has said to the reason why it failed: a database says there why it lets nobody in.
func quoting(res healthcheck.Result, said []byte) healthcheck.Result {
	if line := words.Line(said); line != "" && res.Outcome == healthcheck.Failed {
		res.Reason += fmt.Sprintf(": %q", line)
	}
	return res
}

// forbidden returns the result of a server that has sent what it must not send.
func forbidden(text string) healthcheck.Result {
	return healthcheck.Fail(healthcheck.Unexpected, fmt.Sprintf("the answer contains %q", text))
}

// converse takes the steps of a TCP check one after the other.
func converse(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	steps, d := t.Config.Conversation(), dialogue{conn: conn}
	passed := "connected"
	if t.Config.TLS.On {
		passed = "connected with TLS"
	}
	for i := range steps {
		res := d.take(ctx, &steps[i], t)
		if res.Outcome == healthcheck.Failed && len(steps) > 1 {
			res.Reason = fmt.Sprintf("step %d: %s", i+1, res.Reason)
		}
		if res.Outcome != 0 {
			return res
		}
		if steps[i].Reads() {
			passed = asExpected
		}
	}
	if last := len(steps) - 1; last > 0 && !steps[last].Reads() {
		awaitEnd(conn)
	}
	return healthcheck.Pass(passed)
}

// awaitEnd gives a server a moment to end a session after the last words of the check, which has passed. Servers log clients
// that hang up before.
func awaitEnd(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(quitTime))
	buf := make([]byte, 1024)
	for n := 0; n < maxAnswer; {
		more, err := conn.Read(buf)
		if err != nil {
			return
		}
		n += more
	}
}

// say sends a text. It returns a result only if the server does not read the text in time. If the server hangs up meanwhile, it
// may have answered before: reading the connection shows this, and unsent is how it hung up.
func say(ctx context.Context, conn net.Conn, t *healthcheck.Target, text string) (res healthcheck.Result, unsent error) {
	if text == "" {
		return res, nil
	}
	_, err := conn.Write([]byte(text))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return socket.Explain(ctx, err, t.Config.Timeout, "sending"), err
	}
	return res, err
}

// A dialogue is the conversation of a TCP check.
type dialogue struct {
	conn   net.Conn
	in     []byte // what has been read behind what the last step found
	heard  bool   // the server has sent something
	unsent error  // how the server hung up while something was sent
}

// take takes a step. It returns no result if the conversation can go on.
func (d *dialogue) take(ctx context.Context, step *healthcheck.Step, t *healthcheck.Target) healthcheck.Result {
	before := len(d.in) // what had come before this step asked is no answer to it
	if step.Send == "" {
		before = 0
	}
	res, unsent := say(ctx, d.conn, t, step.Send)
	if unsent != nil && d.unsent == nil {
		d.unsent = unsent
	}
	if res.Outcome != 0 || !step.Reads() {
		return res
	}
	want, err := newSearch(step)
	if err != nil {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	for {
		full := len(d.in) == maxAnswer
		end, found := want.find(d.in, err != nil || full)
		switch {
		case want.meets(d.in[:end]):
			return forbidden(step.Forbid)
		case found:
			d.in = d.in[end:]
			return healthcheck.Result{}
		case full:
			return healthcheck.Fail(healthcheck.Unexpected, fmt.Sprintf("no %s in the first 64 KiB of the answer", want))
		case err == nil:
		case !d.heard:
			return socket.HungUp(ctx, socket.First(d.unsent, err), t, socket.BeforeResponse, waitingForExpected)
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != context.Canceled:
			return quoting(otherwise(want.String(), t.Config.Timeout), d.in[before:])
		default:
			return quoting(socket.HungUp(ctx, err, t, "before the expected answer", waitingForExpected), d.in[before:])
		}
		err = d.read()
	}
}

// read reads what has come.
func (d *dialogue) read() error {
	if len(d.in) == cap(d.in) {
		d.in = slices.Grow(d.in, min(max(1024, len(d.in)), maxAnswer-len(d.in)))
	}
	n, err := d.conn.Read(d.in[len(d.in):min(cap(d.in), maxAnswer)])
	d.in = d.in[:len(d.in)+n]
	d.heard = d.heard || n > 0
	return err
}

// A search looks for what a step wants in the bytes of the step, which grow.
type search struct {
	step     *healthcheck.Step
	matches  *regexp.Regexp // nil: the step expects a text
	searched int            // bytes without the end of the expected text
	cleared  int            // bytes without the end of the forbidden text
	examined int            // bytes that the regular expression has examined, many of them repeatedly
	next     int            // the number of bytes at which an expression under restraint looks again
}

func newSearch(step *healthcheck.Step) (*search, error) {
	s := &search{step: step}
	if step.Matches == "" {
		return s, nil
	}
	var err error
	s.matches, err = regexp.Compile(step.Matches)
	return s, err
}

// String returns what the search looks for, in the words of a reason.
func (s *search) String() string {
	if s.matches == nil {
		return strconv.Quote(s.step.Expect)
	}
	return "a match of " + strconv.Quote(s.step.Matches)
}

// find returns where the found bytes end, or else the number of bytes. Nothing is found in no bytes. last says that no more
// bytes come.
func (s *search) find(in []byte, last bool) (end int, found bool) {
	switch {
	case s.matches == nil:
		end, found = endOf(in, s.step.Expect, s.searched)
		s.searched = len(in)
		return end, found
	case len(in) == 0, !last && s.examined > maxExamined && len(in) < s.next:
		return len(in), false
	}
	s.examined += len(in)
	s.next = len(in) + len(in)/8
	if at := s.matches.FindIndex(in); at != nil {
		return at[1], true
	}
	return len(in), false
}

// meets reports whether the forbidden text is in the bytes.
func (s *search) meets(in []byte) bool {
	if s.step.Forbid == "" {
		return false
	}
	_, found := endOf(in, s.step.Forbid, s.cleared)
	s.cleared = len(in)
	return found
}

// endOf returns where a text ends for the first time, if it is known not to end within the first bytes. Without the text it
// returns the number of bytes.
func endOf(in []byte, text string, without int) (end int, found bool) {
	from := max(0, min(without, len(in))-len(text)+1)
	if at := bytes.Index(in[from:], []byte(text)); at >= 0 {
		return from + at + len(text), true
	}
	return len(in), false
}
