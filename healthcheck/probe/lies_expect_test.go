// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// almost returns texts that nearly contain a text, but do not.
func almost(text string) (all []string) {
	for at := range len(text) {
		for bit := range 8 {
			b := []byte(text)
			b[at] ^= 1 << bit
			all = append(all, string(b))
		}
		all = append(all, text[:at]+text[at+1:], text[:at], text[:at+1]+"\x00"+text[at+1:]+"!", text[:at]+strings.ToLower(text[at:]), strings.Repeat(text[:at], 3))
	}
	return all
}

// Only an answer that contains the expected text passes, and none that nearly does. Over UDP the text must be in one datagram
// (RFC 768). Over TCP it may arrive in pieces (RFC 9293, section 3.4).
func TestLiesOfExpectedAnswers(t *testing.T) {
	const text = "+PONG 1234567890 abc"
	texts := almost(text)
	for _, typ := range []healthcheck.Type{healthcheck.UDP, healthcheck.TCP} {
		synctest.Test(t, func(t *testing.T) {
			target := probetest.Target(typ, probetest.Addr, time.Second, func(c *healthcheck.Config) { c.Send, c.Expect = "PING\r\n", text })
			ask := func(answers ...string) healthcheck.Result {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return pipe(func(c net.Conn) {
					_, _ = c.Read(make([]byte, 100))
					for _, a := range answers {
						if _, err := c.Write([]byte(a)); err != nil {
							return
						}
					}
					probetest.UntilGone(c)
				}).Probe(ctx, &target)
			}
			without := func(answer string) string {
				return quoting(probetest.Fail(fmt.Sprintf("answered, but without %q within 1s", text)), []byte(answer)).Reason
			}
			lies := 0
			for i, answer := range texts {
				if strings.Contains(answer, text) || answer == "" {
					continue
				}
				lies++
				if err := judged(lie{typ.String(), fmt.Sprintf("%d: %q", i, answer), "", without(answer)}, ask(answer)); err != nil {
					t.Error(err)
				}
			}
			if lies < minimumOfLies {
				t.Errorf("%d lies", lies)
			}
			for at := 1; at < len(text); at++ {
				pieces := map[healthcheck.Type]string{healthcheck.UDP: without(text[at:])}[typ]
				if err := judged(lie{typ.String(), fmt.Sprintf("in pieces of %d", at), "", pieces}, ask(text[:at], text[at:])); err != nil {
					t.Error(err)
				}
			}
			if err := judged(lie{typ.String(), "the answer among others", "", ""}, ask("-ERR", "x"+text+"y")); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that has said something by the time of the timeout, but not enough, is not called silent.
func TestWordsBeforeTheTimeout(t *testing.T) {
	for _, tt := range []struct {
		typ                healthcheck.Type
		send, expect, says string
		want               string
	}{
		{healthcheck.TCP, "PING\r\n", "+PONG", "-ERR\r\n", `answered, but without "+PONG" within 300ms: "-ERR"`},
		{healthcheck.UDP, "hello", "HELLO", "hello", `answered, but without "HELLO" within 300ms: "hello"`},
		{healthcheck.Agent, "state\n", "", "7", "timeout after 300ms while reading the agent's line"},
	} {
		synctest.Test(t, func(t *testing.T) {
			target := probetest.Target(tt.typ, probetest.Addr, 300*time.Millisecond, func(c *healthcheck.Config) { c.Send, c.Expect = tt.send, tt.expect })
			ctx, cancel := context.WithTimeout(t.Context(), target.Config.Timeout)
			defer cancel()
			if got := probetest.Words(pipe(answering(tt.says, true)).Probe(ctx, &target)); got != probetest.Fail(tt.want) {
				t.Errorf("%s: %+v, want %q", tt.typ, got, tt.want)
			}
		})
	}
}
