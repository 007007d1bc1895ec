// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

const (
	badGreeting = "malformed greeting"
	badReply    = "malformed reply to EHLO"
)

// greetingLies returns greetings that no mail server may send (RFC 5321, sections 2.3.8, 4.2 and 4.2.1).
func greetingLies() (all []lie) {
	add := func(rule, says, want string) {
		all = append(all, lie{rule, fmt.Sprintf("%.30q, %d bytes", says, len(says)), says, want})
	}
	for _, says := range []string{
		"220 mx ESMTP\r\n", "220\r\n", "220 \r\n", "220-mx\r\n220 ready\r\n", "220-\r\n220\r\n",
		"220-mx\r\n220-a\r\n220-b\r\n220 c\r\n", "220 mx\n", "220 caf\xe9\r\n", "220 " + strings.Repeat("x", 2000) + "\r\n",
		"220 a\tb\r\n",
	} {
		add("RFC 5321, 4.2", says, "")
	}
	// Section 4.2: Reply-code = %x32-35 %x30-35 %x30-39. A reply that is no greeting is named by its code.
	for first := byte('2'); first <= '5'; first++ {
		for second := byte('0'); second <= '5'; second++ {
			for _, third := range "01349" {
				if code := string([]byte{first, second, byte(third)}); code != "220" {
					add("RFC 5321, 4.2.1", code+" mx\r\n", "greeting "+code+", want 220")
				}
			}
		}
	}
	for _, code := range []string{"120", "199", "100", "000", "020", "600", "620", "920", "260", "270", "299", "280", "560", "599"} {
		add("RFC 5321, 4.2", code+" mx\r\n", badGreeting+speaksSMTP(code+" "))
	}
	for _, code := range []string{"2x0", "x20", "22x", "+220", "-220", " 220", "22 0", "2 20", "2.2", "\t220", "\x00220", "٢٢٠", "\xb2\xb2\xb0", "O20", "ok", "OK", "hello", "<html>", "{}", "\x7f\x7f\x7f", "\xff\xff\xff"} {
		want := badGreeting
		if code == "<html>" {
			want += ": the server speaks HTML or XML, without a header"
		}
		add("RFC 5321, 4.2", code+" mx\r\n", want)
	}
	for _, begin := range []string{"220x", "220.", "220\t", "220_", "220+", "220=", "220:", "220/", "220,", "2200", "220\x00", "220\x1b", "220\xff", "220é", "220;", "220\"", "220(", "220a mx", "220\v", "220\f"} {
		add("RFC 5321, 4.2", begin+"\r\n", badGreeting)
	}
	for _, says := range []string{"\r\n", "\n", "22\r\n", "2\r\n", "22\n", " \r\n", "\r\n220 mx\r\n", "\n220 mx\r\n", "  220 mx\r\n", "22"} {
		want := badGreeting
		if says == "22" {
			want = "connection closed before the greeting"
		}
		add("RFC 5321, 4.2", says, want)
	}
	// Section 4.2.1: all lines of a reply have the same code.
	for _, code := range []string{"221", "250", "200", "354", "421", "450", "500", "520", "554", "230"} {
		add("RFC 5321, 4.2.1", "220-mx\r\n"+code+" ready\r\n", badGreeting)
		add("RFC 5321, 4.2.1", "220-mx\r\n"+code+"-more\r\n220 ready\r\n", badGreeting+speaksSMTP("220 "))
	}
	for _, rest := range []string{"mx\r\n", " mx\r\n", "\r\n", "22 mx\r\n", "ESMTP\r\n220 ready\r\n", "-220\r\n", "\t220 mx\r\n"} {
		add("RFC 5321, 4.2.1", "220-mx\r\n"+rest, badGreeting)
	}
	// Section 2.3.8: CR and LF come only together; NUL does not come at all.
	for _, says := range []string{"220 m\x00x\r\n", "220 m\rx\r\n", "220 mx\r\r\n", "220-m\x00\r\n220 x\r\n", "220 \x00\r\n", "220 \r\r\r\n"} {
		want := badGreeting
		if strings.HasPrefix(says, "220-") {
			want += speaksSMTP("220 ")
		}
		add("RFC 5321, 2.3.8", says, want)
	}
	// Section 4.5.3.1: limits; and what never ends.
	add("RFC 5321, 4.5.3.1.5", "220 "+strings.Repeat("x", maxReplyLine)+"\r\n", badGreeting)
	add("RFC 5321, 4.5.3.1.5", "220 "+strings.Repeat("y", maxReplies)+"\r\n", badGreeting)
	add("RFC 5321, 4.5.3.1.10", strings.Repeat("220-and\r\n", maxReplies), badGreeting)
	for _, says := range []string{"", "220", "220 mx", "220-mx\r\n", "220-mx\r\n220", "220-mx\r\n220-", "220 mx\r", "220-mx\r\n2"} {
		add("RFC 5321, 3.1", says, "connection closed before the greeting")
	}
	for begin, speaks := range map[string]string{
		"SSH-2.0-OpenSSH\r\n": "SSH", "HTTP/1.1 400 Bad Request\r\n": "HTTP/1.1", "* OK IMAP4rev1\r\n": "IMAP",
		"+OK POP3\r\n": "POP3", "-ERR what\r\n": "Redis", "\x15\x03\x01\x00\x02\x02\x0a": "TLS", "RFB 003.008\n": "VNC",
		"HTTP/1.0 200\r\n": "HTTP/1.0",
		"+PONG\r\n":        "Redis", "AMQP\x00": "AMQP", "* BYE\r\n": "IMAP",
	} {
		add("RFC 5321, 3.1", begin, badGreeting+": the server speaks "+speaks)
	}
	return all
}

// speaksSMTP returns what the reason says of bytes that begin as a reply of some protocol does.
func speaksSMTP(begin string) string {
	if begin[0] >= '1' && begin[0] <= '5' {
		return ": the server speaks SMTP or FTP"
	}
	return ""
}

// helloReplies are replies to EHLO, and the reasons for which the check fails.
func helloReplies() (all []lie) {
	add := func(rule, says, want string) {
		all = append(all, lie{rule, fmt.Sprintf("%.30q, %d bytes", says, len(says)), says, want})
	}
	for _, says := range []string{"250 mx\r\n", "250\r\n", "250-mx\r\n250-SIZE 1000\r\n250\r\n", "250-mx\r\n250 SIZE\r\n"} {
		add("RFC 5321, 4.1.1.1", says, "")
	}
	for _, code := range []string{"220", "221", "251", "252", "354", "421", "450", "451", "452", "501", "503", "504", "521", "530", "535", "550", "554"} {
		add("RFC 5321, 4.1.1.1", code+" no\r\n", "reply to EHLO "+code+", want 250")
	}
	for _, says := range []string{"25\r\n", "OK\r\n", "250x\r\n", "250-mx\r\n220 x\r\n", "250-mx\r\nSIZE\r\n", "\r\n", "650 mx\r\n", "250 m\x00x\r\n"} {
		add("RFC 5321, 4.1.1.1", says, badReply)
	}
	for _, code := range []string{"500", "502"} { // section 3.2: HELO
		add("RFC 5321, 3.2", code+" what\r\n250 mx\r\n", "")
		add("RFC 5321, 3.2", code+" what\r\n550 no\r\n", "reply to HELO 550, want 250")
	}
	return all
}

func TestLiesOfMailServers(t *testing.T) {
	target := probetest.Target(healthcheck.SMTP, probetest.Addr, 0, func(*healthcheck.Config) {})
	greetings, replies := greetingLies(), helloReplies()
	enough(t, append(greetings, replies...))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// say says one thing after another, and reads a line before each but the first.
	say := func(all ...string) healthcheck.Result {
		return pipe(func(c net.Conn) {
			in := bufio.NewReader(c)
			for i, what := range all {
				if i > 0 {
					if _, err := in.ReadString('\n'); err != nil {
						return
					}
				}
				if _, err := io.WriteString(c, what); err != nil {
					return
				}
			}
		}).Probe(ctx, &target)
	}
	for _, l := range greetings {
		all := []string{l.says, "250 mx\r\n", "221\r\n"}
		if strings.HasPrefix(l.want, "connection closed") {
			all = all[:1]
		}
		if err := judged(l, say(all...)); err != nil {
			t.Error(err)
		}
	}
	for _, l := range replies {
		all := []string{"220 mx\r\n", l.says, "221\r\n"}
		if refusal, rest, refused := strings.Cut(l.says, " what\r\n"); refused { // HELO gets the rest
			all = []string{"220 mx\r\n", refusal + " what\r\n", rest, "221\r\n"}
		}
		if err := judged(l, say(all...)); err != nil {
			t.Error(err)
		}
	}
}
