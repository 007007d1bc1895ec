// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe/epoll"
)

// The cause of a failure does not depend on whether a goroutine or the engine runs the probe.
func TestCauses(t *testing.T) {
	http := func(answer string) healthcheck.Target {
		return probetest.HTTPTarget(probetest.Serve(t, probetest.Hear(answer)), 10*time.Second)
	}
	to := func(typ healthcheck.Type, addr netip.AddrPort) healthcheck.Target {
		return probetest.Target(typ, addr, 10*time.Second, func(*healthcheck.Config) {})
	}
	for _, tt := range []struct {
		name   string
		target healthcheck.Target
		want   healthcheck.Cause
	}{
		{"works", http("HTTP/1.1 200 OK\r\n\r\n"), healthcheck.Cause{}},
		{"refuses", to(healthcheck.TCP, probetest.Closed(t)), healthcheck.Cause{Kind: healthcheck.Refused, Code: int(syscall.ECONNREFUSED)}},
		{"is silent", probetest.HTTPTarget(probetest.Serve(t, probetest.UntilGone[*net.TCPConn]), 300*time.Millisecond),
			healthcheck.Cause{Kind: healthcheck.TimedOut}},
		{"hangs up", http(""), healthcheck.Cause{Kind: healthcheck.HungUp}},
		{"talks nonsense", http("220 mx\r\n"), healthcheck.Cause{Kind: healthcheck.Malformed}},
		{"is down", http("HTTP/1.1 503 Down\r\n\r\n"), healthcheck.Cause{Kind: healthcheck.Unexpected, Code: 503}},
		{"does not speak TLS", to(healthcheck.HTTPS, probetest.Serve(t, probetest.Hear("HTTP/1.1 400 No\r\n\r\n"))),
			healthcheck.Cause{Kind: healthcheck.TLSFailed}},
		{"has an agent that says so", to(healthcheck.Agent, probetest.Serve(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("down\n")) })),
			healthcheck.Cause{Kind: healthcheck.SaysDown}},
		{"fails its program", probetest.Shell("exit 3"), healthcheck.Cause{Kind: healthcheck.Exited, Code: 3}},
		{"loses its program", probetest.Shell("kill -TERM $$"), healthcheck.Cause{Kind: healthcheck.Killed, Code: int(syscall.SIGTERM)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), tt.target.Config.Timeout)
			defer cancel()
			p := New()
			defer p.Close()
			if got := p.Probe(ctx, &tt.target); got.Cause != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			g, err := epoll.New()
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			if _, ok := g.Launch(nil, &tt.target, time.Now()); !ok {
				return
			}
			for {
				if ended, _ := g.Wait(time.Hour, 0); len(ended) > 0 {
					if got := ended[0].Result; got.Cause != tt.want {
						t.Errorf("by the engine: %+v, want %+v", got, tt.want)
					}
					return
				}
			}
		})
	}
}
