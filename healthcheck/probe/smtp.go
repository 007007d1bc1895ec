// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

const (
	// maxReplies is how much an SMTP server may say in all, in bytes.
	maxReplies = 64 << 10
	// maxReplyLine is how long a line of a reply may be, in bytes. RFC 5321, section 4.5.3.1.5, allows 512.
	maxReplyLine = 4096
	// quitTime is how long a mail server has to answer QUIT.
	quitTime = 50 * time.Millisecond
)

// greet exchanges greetings with a mail server (RFC 5321, sections 3.1 and 3.2) and ends the session with QUIT.
func greet(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	in := bufio.NewReaderSize(&limited{from: conn, left: maxReplies, over: errMalformedReply}, maxReplyLine)
	name := t.Config.Hello
	if name == "" {
		name = "localhost"
	}
	const hello = "reply to EHLO"
	if _, res := converseSMTP(ctx, conn, in, t, "", "greeting", 220); res.Outcome != 0 {
		return res
	}
	code, res := converseSMTP(ctx, conn, in, t, "EHLO "+name+"\r\n", hello, 250)
	if code == 500 || code == 502 { // RFC 5321, section 3.2: an old server that does not know EHLO
		_, res = converseSMTP(ctx, conn, in, t, "HELO "+name+"\r\n", "reply to HELO", 250)
	}
	if res.Outcome != 0 {
		return res
	}
	if _, err := io.WriteString(conn, "QUIT\r\n"); err == nil {
		// The check has passed, whatever the answer to QUIT is. The server would log a client that hangs up before.
		_ = conn.SetReadDeadline(time.Now().Add(quitTime))
		_, _ = readReply(in)
	}
	return healthcheck.Pass("greeted")
}

// converseSMTP says something, if say is not empty, and reads the reply, which must have the wanted code. Otherwise the
// result says why.
func converseSMTP(
	ctx context.Context, conn net.Conn, in *bufio.Reader, t *healthcheck.Target, say, what string, want int,
) (code int, res healthcheck.Result) {
	var unsent error
	if say != "" {
		_, unsent = io.WriteString(conn, say)
	}
	if unsent != nil && !socket.Closed(unsent) {
		return 0, socket.Explain(ctx, unsent, t.Config.Timeout, "sending")
	}
	code, err := readReply(in)
	switch {
	case errors.Is(err, errMalformedReply):
		first, _ := in.Peek(min(in.Buffered(), words.ProtocolBytes))
		return 0, healthcheck.Fail(healthcheck.Malformed, "malformed "+what+words.Instead(first))
	case err != nil:
		return 0, socket.HungUp(ctx, socket.First(unsent, err), t, "before the "+what, "waiting for the "+what)
	case code != want:
		return code, healthcheck.FailCode(healthcheck.Unexpected, code, fmt.Sprintf("%s %d, want %d", what, code, want))
	}
	return code, res
}

var errMalformedReply = errors.New("malformed reply")

// readReply reads a reply of one or more lines (RFC 5321, section 4.2): a code of three digits, and on all lines but the
// last one a hyphen behind it. The text is for people and may be missing, with the space before it. A line may end with a
// bare LF. A line that does not begin as a reply does stays in the buffer.
func readReply(in *bufio.Reader) (code int, err error) {
	for {
		for n := 1; n <= 3; n++ {
			begin, err := in.Peek(n)
			switch {
			case err != nil:
				return 0, err
			case !startsReply(begin):
				return 0, errMalformedReply
			}
		}
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return 0, errMalformedReply
		case err != nil:
			return 0, err
		}
		one, last, ok := parseReplyLine(line)
		if !ok || code != 0 && one != code {
			return 0, errMalformedReply
		}
		if code = one; last {
			return code, nil
		}
	}
}

// startsReply reports whether bytes are the beginning of a code (RFC 5321, section 4.2: %x32-35 %x30-35 %x30-39).
func startsReply(b []byte) bool {
	for i, high := range []byte("559")[:len(b)] {
		if b[i] < '0' || b[i] > high || i == 0 && b[i] < '2' {
			return false
		}
	}
	return true
}

// parseReplyLine reads a line of a reply with its end.
func parseReplyLine(line []byte) (code int, last, ok bool) {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) < 3 || !startsReply(line[:3]) {
		return 0, false, false
	}
	for _, c := range line[3:] {
		if c == 0 || c == '\r' { // RFC 5321, section 2.3.8
			return 0, false, false
		}
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, true, true
	}
	return code, line[3] == ' ', line[3] == ' ' || line[3] == '-'
}
