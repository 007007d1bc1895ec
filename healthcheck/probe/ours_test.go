// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// TestOurEndIsNotTheServers: if the check ends a connection, because its time is over or the director wants no result any more, the
// reason does not say that the server did. The server says a part of its answer, or nothing, and never hangs up.
func TestOurEndIsNotTheServers(t *testing.T) {
	const timeout = 5 * time.Second
	with := func(typ healthcheck.Type, change func(*healthcheck.Config)) healthcheck.Target {
		return probetest.Target(typ, probetest.Addr, timeout, change)
	}
	plain := func(*healthcheck.Config) {}
	for _, tt := range []struct {
		name   string
		target healthcheck.Target
		parts  []string // of an answer
	}{
		{"HTTP", with(healthcheck.HTTP, plain), []string{"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le"}},
		{"HTTP with a body", with(healthcheck.HTTP, func(c *healthcheck.Config) { c.Content.Contains = "well" }),
			[]string{"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall"}},
		{"HTTPS", with(healthcheck.HTTPS, plain), []string{"", "\x16\x03\x03\x00"}},
		{"HTTP/2", with(healthcheck.HTTP, func(c *healthcheck.Config) { c.Version = healthcheck.HTTP2 }), []string{"", "\x00\x00", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"}},
		{"gRPC", with(healthcheck.GRPC, plain), []string{"", "\x00\x00", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"}},
		{"SMTP", with(healthcheck.SMTP, plain), []string{"", "220 mx", "220 mx\r\n", "220 mx\r\n250-m"}},
		{"the agent", with(healthcheck.Agent, plain), []string{"", "dow"}},
		{"TCP with an answer", with(healthcheck.TCP, func(c *healthcheck.Config) { c.Expect = "+PONG" }), []string{"", "+PO"}},
		{"DNS over TCP", with(healthcheck.DNS, func(c *healthcheck.Config) {
			c.Query = healthcheck.Query{Name: "www.example.org", Type: "A", TCP: true}
		}), []string{"", "\x00", "\x00\x20\x00"}},
	} {
		for _, part := range tt.parts {
			for _, cancel := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					ctx, end := context.WithTimeout(t.Context(), timeout)
					defer end()
					if cancel {
						time.AfterFunc(timeout/2, end)
					}
					began := time.Now()
					p := pipe(answering(part, true))
					p.keys = newKeyring()
					got := p.Probe(ctx, &tt.target)
					switch {
					case cancel && got.Outcome != healthcheck.Abandoned:
						t.Errorf("%s, after %q, abandoned: %s, %q", tt.name, part, got.Outcome, got.Reason)
					case cancel:
					case got.Outcome != healthcheck.Failed || got.Cause.Kind == healthcheck.HungUp ||
						strings.Contains(got.Reason, "connection closed") || strings.Contains(got.Reason, "connection reset"):
						t.Errorf("%s, after %q: %s, %q", tt.name, part, got.Outcome, got.Reason)
					case time.Since(began) != timeout:
						t.Errorf("%s, after %q: it ended after %s, want %s", tt.name, part, time.Since(began), timeout)
					}
				})
			}
		}
	}
}
