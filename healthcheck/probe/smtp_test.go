// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

func TestMailServers(t *testing.T) {
	// script answers line by line; the first line is the greeting.
	script := func(lines ...string) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			in := bufio.NewReader(c)
			for _, line := range lines {
				_, _ = io.WriteString(c, line)
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
			}
		}
	}
	for _, tt := range []struct {
		name  string
		serve func(*net.TCPConn)
		want  healthcheck.Result
	}{
		{"works", script("220 mx ESMTP\r\n", "250-mx\r\n250 SIZE\r\n", "221 bye\r\n"), healthcheck.Pass("greeted")},
		{"greets at length", script("220-mx\r\n220 ESMTP\r\n", "250 mx\r\n", "221 bye\r\n"), healthcheck.Pass("greeted")},
		{"never says goodbye", func(c *net.TCPConn) {
			script("220 mx\r\n", "250 mx\r\n")(c)
			probetest.UntilGone(c)
		}, healthcheck.Pass("greeted")},
		{"is rude at the end", script("220 mx\r\n", "250 mx\r\n"), healthcheck.Pass("greeted")},
		{"is full", script("421 mx too busy\r\n"), probetest.Fail("greeting 421, want 220")},
		{"does not like us", script("220 mx\r\n", "550 go away\r\n"), probetest.Fail("reply to EHLO 550, want 250")},
		{"hangs up", func(*net.TCPConn) {}, probetest.Fail("connection closed before the greeting")},
		{"hangs up when greeted", script("220 mx\r\n"), probetest.Fail("connection closed before the reply to EHLO")},
		{"is something else", script("SSH-2.0-x\r\n"), probetest.Fail("malformed greeting: the server speaks SSH")},
		{"says nothing", probetest.UntilGone[*net.TCPConn], probetest.Fail("timeout after 300ms while waiting for the greeting")},
		{"never comes to the point", func(c *net.TCPConn) {
			for {
				if _, err := io.WriteString(c, "220-and\r\n"); err != nil {
					return
				}
			}
		}, probetest.Fail("malformed greeting")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			timeout := probetest.Timeout(tt.want.Reason, 300*time.Millisecond)
			if got, _ := probeOnce(probetest.Target(healthcheck.SMTP, probetest.Serve(t, tt.serve), timeout, func(*healthcheck.Config) {})); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// The answer to QUIT has a short time of its own: the probe does not wait for it until its timeout.
func TestQuitIsShort(t *testing.T) {
	addr := probetest.Serve(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		_, _ = io.WriteString(c, "220 mx\r\n")
		_, _ = in.ReadString('\n')
		_, _ = io.WriteString(c, "250 mx\r\n")
		probetest.UntilGone(c)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	target := probetest.Target(healthcheck.SMTP, addr, time.Minute, func(*healthcheck.Config) {})
	if got := New().Probe(ctx, &target); got != healthcheck.Pass("greeted") || ctx.Err() != nil {
		t.Errorf("%+v, %v", got, ctx.Err())
	}
}

func FuzzMailServer(f *testing.F) {
	for _, seed := range []string{"220 mx\r\n250 mx\r\n221 bye\r\n", "220-mx\r\n220 x\r\n", "421 no\r\n", "SSH-2.0\r\n", "", "220 mx\r\n250-"} {
		f.Add(seed)
	}
	target := probetest.Target(healthcheck.SMTP, probetest.Addr, 10*time.Second, func(*healthcheck.Config) {})
	f.Fuzz(func(t *testing.T, said string) {
		got := pipe(func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, said)
		}).Probe(t.Context(), &target)
		// The last one is the error of a pipe in memory where a connection would be reset.
		words := []string{"malformed ", "greeting ", "reply to EHLO ", "connection closed before the ", "io: read/write on closed pipe"}
		known := slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(got.Reason, w) })
		if got != healthcheck.Pass("greeted") && (got.Outcome != healthcheck.Failed || !known) {
			t.Errorf("%+v", got)
		}
	})
}
