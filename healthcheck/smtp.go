// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// maxReplies is how much an SMTP server may say in all, in bytes.
const maxReplies = 64 << 10

// farewellTime is how long a mail server has for its last word.
const farewellTime = 50 * time.Millisecond

// greet exchanges greetings with a mail server (RFC 5321, section 3.1 and 3.2) and takes its leave.
func greet(ctx context.Context, conn net.Conn, t Target) result {
	in := &limited{from: conn, left: maxReplies, over: errors.New("more than 64 KiB of replies")}
	buffered := bufio.NewReader(in)
	replies := textproto.NewReader(buffered)
	name := t.Config.Hello
	if name == "" {
		name = "localhost"
	}
	for _, step := range []struct {
		say, what string
		want      int
	}{
		{"", "greeting", 220},
		{"EHLO " + name + "\r\n", "reply to EHLO", 250},
	} {
		if _, err := io.WriteString(conn, step.say); err != nil && !closed(err) {
			return explain(ctx, err, t.Config.Timeout, "sending")
		}
		begin, err := buffered.Peek(3)
		if err == nil && strings.Trim(string(begin), "0123456789") != "" {
			return fail("malformed " + step.what) // which the library would read to the end
		}
		if err == nil {
			_, _, err = replies.ReadResponse(step.want)
		}
		var other *textproto.Error
		var malformed textproto.ProtocolError
		switch {
		case err == nil:
		case errors.As(err, &other):
			return fail(fmt.Sprintf("%s %d, want %d", step.what, other.Code, step.want))
		case errors.Is(err, in.over), errors.As(err, &malformed):
			return fail("malformed " + step.what)
		default:
			return hungUp(ctx, err, t, "connection closed before the "+step.what, "waiting for the "+step.what)
		}
	}
	if _, err := io.WriteString(conn, "QUIT\r\n"); err == nil {
		// It has passed. What it says to a farewell does not count, but to hang up on it would be in its log.
		_ = conn.SetReadDeadline(time.Now().Add(farewellTime))
		_, _, _ = replies.ReadResponse(221)
	}
	return pass("greeted")
}
