// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// Probes come from the configured source. A source that the director does not have is not the server's failure.
func TestSource(t *testing.T) {
	from := make(chan netip.Addr, 1)
	addr := probetest.Serve(t, func(c *net.TCPConn) { from <- c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr() })
	want := netip.MustParseAddr("127.0.0.7")
	target := probetest.Target(healthcheck.TCP, addr, 5*time.Second, func(c *healthcheck.Config) { c.Source = want })
	stranger := target
	stranger.Config.Source = netip.MustParseAddr("192.0.2.250")
	for way, probe := range ways {
		if got, _ := probe(target); got.Outcome != healthcheck.Passed {
			t.Errorf("by %s: %+v", way, got)
		}
		if got := <-from; got != want {
			t.Errorf("by %s: came from %s", way, got)
		}
		if got, _ := probe(stranger); got != (healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "cannot assign requested address"}) {
			t.Errorf("by %s, from an address that is not ours: %+v", way, got)
		}
	}
}

// If a director starts to connect only when the time of the probe is over, this says nothing about a server that answers. A
// server that does not answer within the timeout, counted from the first packet, has failed.
func TestLateDial(t *testing.T) {
	const timeout = 200 * time.Millisecond
	answers := probetest.Serve(t, probetest.UntilGone[*net.TCPConn])
	for name, tt := range map[string]struct {
		addr netip.AddrPort
		want healthcheck.Outcome
	}{
		"the server answers":   {answers, healthcheck.NotRun},
		"the server is silent": {probetest.FullServer(t), healthcheck.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			target := probetest.HTTPTarget(tt.addr, timeout)
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
			defer cancel()
			p := New()
			defer p.Close()
			start := time.Now()
			got, took := p.Probe(ctx, &target), time.Since(start)
			if got.Outcome != tt.want || got.Outcome == healthcheck.Failed && (!got.Silent || took < timeout) {
				t.Errorf("after %s: %+v, want %s", took, got, tt.want)
			}
		})
	}
}

// A director that has no time to begin, or to see the answer, does not learn anything about the server.
func TestUnseenAttempt(t *testing.T) {
	const timeout = 20 * time.Millisecond
	never := attempt{begun: make(chan struct{})}
	if never.endure(timeout, nil); !never.unseen.Load() {
		t.Error("it has not begun, and counts")
	}
	conn, err := net.Dial("tcp", probetest.Serve(t, probetest.UntilGone[*net.TCPConn]).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	answered := attempt{begun: make(chan struct{})}
	answered.begin(raw)
	if answered.endure(timeout, nil); !answered.unseen.Load() {
		t.Error("the kernel is connected, this process has not seen it, and it counts")
	}
}
