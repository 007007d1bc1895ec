// SPDX-License-Identifier: Apache-2.0

package probe

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

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// maxReplies is the maximum size of an SMTP server's replies in bytes.
const maxReplies = 64 << 10

// quitTime is how long a mail server has to answer QUIT.
const quitTime = 50 * time.Millisecond

// greet exchanges greetings with a mail server (RFC 5321, sections 3.1 and 3.2) and ends the session with QUIT.
func greet(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
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
		if _, err := io.WriteString(conn, step.say); err != nil && !socket.Closed(err) {
			return socket.Explain(ctx, err, t.Config.Timeout, "sending")
		}
		begin, err := buffered.Peek(3)
		if err == nil && strings.Trim(string(begin), "0123456789") != "" {
			return healthcheck.Fail(healthcheck.Malformed, "malformed "+step.what) // the library would read it to the end
		}
		if err == nil {
			_, _, err = replies.ReadResponse(step.want)
		}
		var other *textproto.Error
		var malformed textproto.ProtocolError
		switch {
		case err == nil:
		case errors.As(err, &other):
			reason := fmt.Sprintf("%s %d, want %d", step.what, other.Code, step.want)
			return healthcheck.FailCode(healthcheck.Unexpected, other.Code, reason)
		case errors.Is(err, in.over), errors.As(err, &malformed):
			return healthcheck.Fail(healthcheck.Malformed, "malformed "+step.what)
		default:
			return socket.HungUp(ctx, err, t, "connection closed before the "+step.what, "waiting for the "+step.what)
		}
	}
	if _, err := io.WriteString(conn, "QUIT\r\n"); err == nil {
		// The check has passed, whatever the answer to QUIT is. If the client hung up earlier, the server would log this.
		_ = conn.SetReadDeadline(time.Now().Add(quitTime))
		_, _, _ = replies.ReadResponse(221)
	}
	return healthcheck.Pass("greeted")
}
