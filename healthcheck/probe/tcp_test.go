// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

func TestFinder(t *testing.T) {
	for _, text := range []string{"", "a", "ab", "aab", "aaab", "abab", "ababab", "xaabx", "abcabcabd"} {
		for _, want := range []string{"a", "ab", "aab", "abab", "abcabd"} {
			for piece := 1; piece <= 4; piece++ {
				f, found := finder{want: []byte(want)}, false
				for rest := text; rest != ""; {
					n := min(piece, len(rest))
					found = found || f.find([]byte(rest[:n]))
					rest = rest[n:]
				}
				if found != strings.Contains(text, want) {
					t.Errorf("%q in %q, in pieces of %d: %t", want, text, piece, found)
				}
			}
		}
	}
}

func TestSendAndExpect(t *testing.T) {
	redis := func(c *healthcheck.Config) { c.Send, c.Expect = "PING\r\n", "+PONG" }
	stats := func(c *healthcheck.Config) { c.Send, c.Expect, c.Forbid = "stats\r\n", "END\r\n", "ERROR" }
	for _, tt := range []struct {
		name   string
		change func(*healthcheck.Config)
		serve  func(*net.TCPConn)
		want   healthcheck.Result
	}{
		{"answers", redis, probetest.Hear("+PONG\r\n"), healthcheck.Pass(asExpected)},
		{"answers in pieces", redis, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 100))
			for _, b := range []byte("-LOADING +PONG") {
				_, _ = c.Write([]byte{b})
			}
		}, healthcheck.Pass(asExpected)},
		{"answers with what it must not", stats, probetest.Hear("STAT pid 1\r\nERROR\r\nEND\r\n"), probetest.Fail(`the answer contains "ERROR"`)},
		{"answers without what it must not", stats, probetest.Hear("STAT pid 1\r\nEND\r\nERROR\r\n"), healthcheck.Pass(asExpected)},
		{"greets by itself", func(c *healthcheck.Config) { c.Expect = "SSH-2.0" }, func(c *net.TCPConn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n") }, healthcheck.Pass(asExpected)},
		{"takes what is sent", func(c *healthcheck.Config) { c.Send = "hello" }, probetest.UntilGone[*net.TCPConn], healthcheck.Pass("connected")},
		{"answers otherwise and hangs up", redis, probetest.Hear("-ERR\r\n"), probetest.Fail(`connection closed before the expected answer: "-ERR"`)},
		{"hangs up", redis, probetest.Hear(""), probetest.Fail("connection closed before a response")},
		{"never stops", redis, func(c *net.TCPConn) {
			for {
				if _, err := c.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, probetest.Fail(`no "+PONG" in the first 64 KiB of the answer`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			target := probetest.Target(healthcheck.TCP, probetest.Serve(t, tt.serve), 30*time.Second, tt.change)
			if got, _ := probeOnce(target); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}
