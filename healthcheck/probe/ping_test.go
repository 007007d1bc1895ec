// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

func TestPing(t *testing.T) {
	probetest.NoLeftovers(t)
	ns := probetest.NewNS(t)
	silent := probetest.Fail("network is unreachable")
	silent.Silent = true
	for addr, want := range map[string]healthcheck.Result{"127.0.0.1": healthcheck.Pass("echo reply"), "::1": healthcheck.Pass("echo reply"), "192.0.2.1": silent} {
		ns.Do(func() {
			target := probetest.Target(healthcheck.Ping, netip.AddrPortFrom(netip.MustParseAddr(addr), 0), 500*time.Millisecond, func(*healthcheck.Config) {})
			if err := target.Validate(); err != nil {
				t.Error(err)
			}
			if got, _ := probeOnce(target); got != want {
				t.Errorf("%s: %+v, want %+v", addr, got, want)
			}
		})
	}
}
