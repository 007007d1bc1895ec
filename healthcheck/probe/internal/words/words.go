// SPDX-License-Identifier: Apache-2.0

// Package words turns what servers and programs say into reasons that are short, on one line, and harmless in a log or
// terminal.
package words

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is the maximum number of characters of a line in a reason.
const MaxLine = 100

// Line returns the first line that is not empty, without control characters, cut to MaxLine characters.
func Line(said []byte) string {
	for line := range bytes.Lines(said) {
		clean := strings.Map(printable, string(line))
		if clean = strings.Join(strings.Fields(clean), " "); clean == "" {
			continue
		}
		if r := []rune(clean); len(r) > MaxLine {
			clean = string(r[:MaxLine]) + "…"
		}
		return clean
	}
	return ""
}

// printable replaces characters that would disturb a terminal or a log by a space.
func printable(r rune) rune {
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return ' '
	}
	return r
}

// ProtocolBytes is the number of a server's first bytes that Protocol examines.
const ProtocolBytes = 16

// greetings are the first bytes of servers that speak first, or that answer in their own protocol what they do not understand.
var greetings = []struct{ begin, protocol string }{
	{"SSH-", "SSH"},
	{"HTTP/1.0", "HTTP/1.0"},
	{"HTTP/1.1", "HTTP/1.1"},
	{"HTTP/2", "HTTP/2 written as text, which does not exist"},
	{"HTTP/", "HTTP"},
	{"+OK", "POP3"},
	{"* OK", "IMAP"},
	{"* PREAUTH", "IMAP"},
	{"* BYE", "IMAP"},
	{"+PONG", "Redis"},
	{"-ERR", "Redis"},
	{"-NOAUTH", "Redis"},
	{"-DENIED", "Redis"},
	{"RFB 0", "VNC"},
	{"AMQP", "AMQP"},
	{"<", "HTML or XML, without a header"},
}

// Protocol returns the name of a server's protocol by its first bytes. If they do not show it, the name is empty.
func Protocol(first []byte) string {
	for _, g := range greetings {
		if bytes.HasPrefix(first, []byte(g.begin)) {
			return g.protocol
		}
	}
	switch {
	case len(first) >= 3 && (first[0] == 0x15 || first[0] == 0x16) && first[1] == 3 && first[2] <= 4:
		return "TLS" // RFC 8446, section 5.1: a record with an alert or a handshake message
	case len(first) >= 9 && first[3] == 4 && first[4]&1 == 0 && bytes.Equal(first[5:9], make([]byte, 4)):
		return "HTTP/2" // RFC 9113, section 3.4: the server begins with a SETTINGS frame
	case len(first) >= 4 && isCode(first[:3]) && (first[3] == ' ' || first[3] == '-'):
		return "SMTP or FTP"
	case len(first) >= 6 && first[3] == 0 && first[4] == 10 && '0' <= first[5] && first[5] <= '9':
		return "MySQL"
	}
	return ""
}

// isCode reports whether three bytes are the code of a reply.
func isCode(b []byte) bool {
	return '1' <= b[0] && b[0] <= '5' && '0' <= b[1] && b[1] <= '9' && '0' <= b[2] && b[2] <= '9'
}

// Instead returns words about what a server speaks instead of the expected protocol. If its first bytes do not show it, there
// are none.
func Instead(first []byte) string {
	if p := Protocol(first); p != "" {
		return ": the server speaks " + p
	}
	return ""
}

// A Beginning keeps the first bytes that a server sends.
type Beginning struct {
	bytes [ProtocolBytes]byte
	n     int
}

// Add takes the next bytes.
func (b *Beginning) Add(more []byte) { b.n += copy(b.bytes[b.n:], more) }

// Instead returns what the function Instead returns for these bytes.
func (b *Beginning) Instead() string { return Instead(b.bytes[:b.n]) }

// Protocol returns what the function Protocol returns for these bytes.
func (b *Beginning) Protocol() string { return Protocol(b.bytes[:b.n]) }

// Empty reports whether the server has sent nothing.
func (b *Beginning) Empty() bool { return b.n == 0 }
