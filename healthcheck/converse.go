// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// maxAnswer is how much of an answer is searched for what is expected, in bytes.
const maxAnswer = 64 << 10

// asExpected is the reason of a server that said what it should.
const asExpected = "answered as expected"

// converse sends what a TCP check has to send and waits for the answer that it expects.
func converse(ctx context.Context, conn net.Conn, t Target) result {
	if res := say(ctx, conn, t); res.outcome != 0 {
		return res
	}
	if t.Config.Expect == "" {
		return pass("connected")
	}
	want := finder{want: []byte(t.Config.Expect)}
	buf := make([]byte, 4096)
	for total := 0; total < maxAnswer; {
		n, err := conn.Read(buf[:min(len(buf), maxAnswer-total)])
		total += n
		if want.find(buf[:n]) {
			return pass(asExpected)
		}
		if err != nil {
			words := "connection closed before the expected answer"
			if total == 0 {
				words = hungUpEarly
			}
			return hungUp(ctx, err, t, words, "waiting for the expected answer")
		}
	}
	return fail(fmt.Sprintf("no %q in the first 64 KiB of the answer", t.Config.Expect))
}

// say sends what the check has to send. A result is of a server that does not take it. One that hangs up meanwhile
// may have answered before: reading will tell.
func say(ctx context.Context, conn net.Conn, t Target) result {
	if t.Config.Send == "" {
		return result{}
	}
	_, err := conn.Write([]byte(t.Config.Send))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return explain(ctx, err, t.Config.Timeout, "sending")
	}
	return result{}
}

// sendDatagram sends a UDP check's datagram. An answer that is expected must come. Where none is, the server only must
// not refuse within the timeout: silence is all that many a protocol has for a stranger.
func sendDatagram(ctx context.Context, conn net.Conn, t Target) result {
	if _, err := conn.Write([]byte(t.Config.Send)); err != nil {
		return refusedDatagram(ctx, err, t)
	}
	buf := make([]byte, maxAnswer)
	heard := false
	for {
		n, err := conn.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && t.Config.Expect == "" && ctx.Err() != context.Canceled:
			if !heard && t.unresolved() {
				// The kernel gives up later than most checks, and the datagram is still with it.
				return result{outcome: failed, reason: noNeighbour, silent: true}
			}
			return pass("no refusal within " + t.Config.Timeout.String())
		case err != nil:
			res := refusedDatagram(ctx, err, t)
			res.silent = res.silent && !heard
			return res
		case bytes.Contains(buf[:n], []byte(t.Config.Expect)):
			return pass(asExpected)
		}
		heard = true
	}
}

// refusedDatagram explains an error of a UDP socket, most of which come from ICMP.
func refusedDatagram(ctx context.Context, err error, t Target) result {
	res := explain(ctx, err, t.Config.Timeout, "waiting for the expected answer")
	res.silent = res.outcome == failed && silence(err)
	return res
}

// A finder looks for bytes in a stream that arrives in pieces.
type finder struct {
	want []byte
	tail []byte // the end of what came so far, shorter than want
}

// find takes the next piece and tells whether what is wanted ended in it.
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
