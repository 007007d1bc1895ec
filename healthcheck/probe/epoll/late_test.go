// SPDX-License-Identifier: Apache-2.0

package epoll

import (
	"net"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// An answer that is in the socket when the engine looks at the deadline counts. If the director was so late that it has not
// even sent the request, the probe says nothing about the server.
func TestDirectorThatLooksTooLate(t *testing.T) {
	answers := probetest.Serve(t, probetest.Hear("HTTP/1.1 200 OK\r\n\r\n"))
	// An answer that comes at once, to a question that was asked late, passes. Here there is none.
	silent := probetest.Serve(t, probetest.UntilGone[*net.TCPConn])
	const timeout = 100 * time.Millisecond
	for name, tt := range map[string]struct {
		change func(*healthcheck.Config)
		early  bool // the director sends the request before it is starved
		want   healthcheck.Outcome
	}{
		"connects":           {func(c *healthcheck.Config) { *c = healthcheck.DefaultConfig(healthcheck.TCP) }, false, healthcheck.Passed},
		"asked before":       {func(*healthcheck.Config) {}, true, healthcheck.Passed},
		"has not even asked": {func(*healthcheck.Config) {}, false, healthcheck.NotRun},
	} {
		t.Run(name, func(t *testing.T) {
			g := startEngine(t)
			defer g.Close()
			target := probetest.HTTPTarget(answers, timeout)
			if tt.want == healthcheck.NotRun {
				target.Addr = silent
			}
			tt.change(&target.Config)
			target.Config.Timeout = timeout
			launch(g, target, time.Now())
			if tt.early {
				for _, event := range g.look(timeout / 2) {
					g.advance(g.probes[event.Fd], false)
				}
			}
			<-time.After(2 * timeout)
			ended := g.collect(1)
			if got := ended[0].Result; got.Outcome != tt.want {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
}

// A server that has not answered has the whole timeout from the first packet, however late this process sends it.
func TestLateStart(t *testing.T) {
	const timeout = 100 * time.Millisecond
	g := startEngine(t)
	defer g.Close()
	begun := time.Now()
	launch(g, probetest.HTTPTarget(probetest.FullServer(t), timeout), begun.Add(-time.Minute))
	ended := g.collect(1)
	if got := ended[0].Result; got.Outcome != healthcheck.Failed || !got.Silent || ended[0].At.Sub(begun) < timeout {
		t.Errorf("after %s: %+v", ended[0].At.Sub(begun), got)
	}
}
