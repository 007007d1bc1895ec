// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// maxAnswer is the part of an answer that is searched for the expected text, in bytes.
const maxAnswer = 64 << 10

// asExpected is the reason of a server that sent the expected text.
const asExpected = "answered as expected"

// waitingForExpected is what a probe that expects a text waits for, in the words of a reason.
const waitingForExpected = "waiting for the expected answer"

// otherwise returns the result of a server that has answered, but not as expected, when the probe's time is over.
func otherwise(t *healthcheck.Target) healthcheck.Result {
	reason := fmt.Sprintf("answered, but without %q within %s", t.Config.Expect, t.Config.Timeout)
	return healthcheck.Fail(healthcheck.Unexpected, reason)
}

// converse sends the text of a TCP check and waits for the expected answer.
func converse(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	res, unsent := say(ctx, conn, t)
	if res.Outcome != 0 {
		return res
	}
	if t.Config.Expect == "" {
		return healthcheck.Pass("connected")
	}
	want := finder{want: []byte(t.Config.Expect)}
	buf := make([]byte, 4096)
	for total := 0; total < maxAnswer; {
		n, err := conn.Read(buf[:min(len(buf), maxAnswer-total)])
		total += n
		if want.find(buf[:n]) {
			return healthcheck.Pass(asExpected)
		}
		switch {
		case err == nil:
		case total == 0:
			return socket.HungUp(ctx, socket.First(unsent, err), t, socket.BeforeResponse, waitingForExpected)
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != context.Canceled:
			return otherwise(t)
		default:
			return socket.HungUp(ctx, err, t, "before the expected answer", waitingForExpected)
		}
	}
	return healthcheck.Fail(healthcheck.Unexpected, fmt.Sprintf("no %q in the first 64 KiB of the answer", t.Config.Expect))
}

// say sends the text of a check. It returns a result only if the server does not read the text in time. If the server hangs
// up meanwhile, it may have answered before: reading the connection shows this, and unsent is how it hung up.
func say(ctx context.Context, conn net.Conn, t *healthcheck.Target) (res healthcheck.Result, unsent error) {
	if t.Config.Send == "" {
		return res, nil
	}
	_, err := conn.Write([]byte(t.Config.Send))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return socket.Explain(ctx, err, t.Config.Timeout, "sending"), err
	}
	return res, err
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
