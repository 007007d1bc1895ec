// SPDX-License-Identifier: Apache-2.0

package probe

import (
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
