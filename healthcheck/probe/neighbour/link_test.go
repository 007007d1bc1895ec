// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// TestOnALink: a machine that answers no ping is found by its link address, also from an interface without an address in its network.
// An address that nobody has is not.
func TestOnALink(t *testing.T) {
	probetest.NoLeftovers(t)
	director, gateway := probetest.NewNS(t), probetest.NewNS(t)
	for _, ns := range []*probetest.NS{director, gateway} {
		ns.Do(func() {
			for _, conf := range []string{"all", "default"} {
				probetest.Write(t, "/proc/sys/net/ipv6/conf/"+conf+"/accept_dad", "0")
			}
		})
	}
	probetest.Veth(t, director, "d0", gateway, "g0")
	var hardware string
	gateway.Do(func() {
		probetest.Give(t, "g0", "192.0.2.1/24")
		probetest.Give(t, "g0", "2001:db8::1/64")
		probetest.Write(t, "/proc/sys/net/ipv4/icmp_echo_ignore_all", "1")
		if ifi, err := net.InterfaceByName("g0"); err == nil {
			hardware = ifi.HardwareAddr.String()
		}
	})
	probe := func(addr string) (r healthcheck.Result) {
		director.Do(func() {
			const timeout = 300 * time.Millisecond
			ctx, stop := context.WithTimeout(t.Context(), timeout)
			defer stop()
			r = Probe(ctx, &healthcheck.Target{Config: healthcheck.Config{
				Type: healthcheck.Neighbour, Device: "d0", Address: netip.MustParseAddr(addr), Timeout: timeout,
			}})
		})
		return r
	}
	finds := func(what, addr string) {
		t.Helper()
		var got healthcheck.Result
		if !probetest.Eventually(10*time.Second, func() bool { // IPv6 is slow on a new link
			got = probe(addr)
			return got.Outcome == healthcheck.Passed
		}) || got.Reason != "answers from "+hardware {
			t.Errorf("%s, %s: %+v, want %s", what, addr, got, hardware)
		}
	}
	finds("without an address", "192.0.2.1")
	director.Do(func() { probetest.Give(t, "d0", "192.0.2.2/24") })
	finds("with an address", "192.0.2.1")
	finds("by neighbour discovery", "2001:db8::1")
	for _, addr := range []string{"192.0.2.9", "192.0.2.2", "2001:db8::9"} {
		if got := probe(addr); got.Outcome != healthcheck.Failed || !got.Silent {
			t.Errorf("%s, which nobody else has: %+v", addr, got)
		}
	}
}
