// SPDX-License-Identifier: Apache-2.0

package via_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe"
	"github.com/tandem-lvs/tandem/healthcheck/probe/via"
)

// noDetection makes link-local addresses of new interfaces usable at once. IPv6 address resolution needs them.
func noDetection(t *testing.T) {
	t.Helper()
	for _, conf := range []string{"all", "default"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+conf+"/accept_dad", []byte("0"), 0); err != nil {
			t.Error(err)
		}
	}
}

// awaitNeighbour waits until a server answers at all: IPv6 is slow on a new link.
func awaitNeighbour(t *testing.T, target healthcheck.Target) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		got, _ := probeOnce(target)
		if !got.Silent {
			return
		}
		if time.Now().After(end) {
			t.Errorf("no answer: %+v", got)
			return
		}
	}
}

// Of three real servers one lacks the VIP, and one listens on its own address only. A plain check passes on all three. A
// check through the VIP fails on exactly those two: on a backup, and on a master, which has the VIP itself.
func TestThroughTheVIP(t *testing.T) {
	probetest.NoLeftovers(t)
	for _, tt := range []struct{ family, director, vip, bits, prefix, server string }{
		{"IPv4", "192.0.2.2", "192.0.2.100", "32", "24", "192.0.2.11"},
		{"IPv6", "2001:db8::2", "2001:db8::100", "128", "64", "2001:db8::11"},
	} {
		for _, c := range []struct {
			name   string
			vip    bool   // the server has it
			listen string // address
			want   healthcheck.Result
		}{
			{"as it should be", true, "", healthcheck.Pass(via.Connected)},
			{"without the VIP", false, "", probetest.Fail("timeout after 500ms while connecting through the VIP")},
			{"listens on its own address only", true, tt.server, probetest.Fail("connection through the VIP refused")},
			{"is off", true, "off", healthcheck.Result{Outcome: healthcheck.Failed, Reason: via.NoNeighbour, Silent: true}},
		} {
			t.Run(tt.family+", "+c.name, func(t *testing.T) {
				t.Parallel() // mostly waits
				director, web := probetest.NewNS(t), probetest.NewNS(t)
				director.Do(func() { noDetection(t) })
				web.Do(func() { noDetection(t) })
				probetest.Veth(t, director, "d0", web, "w0")
				director.Do(func() { probetest.Give(t, "d0", tt.director+"/"+tt.prefix) })
				var listener net.Listener
				web.Do(func() {
					probetest.HideLoopback(t)
					if c.listen != "off" {
						probetest.Give(t, "w0", tt.server+"/"+tt.prefix)
					}
					if c.vip {
						probetest.Give(t, "lo", tt.vip+"/"+tt.bits)
					}
					if c.listen == "off" {
						return
					}
					var err error
					if listener, err = net.Listen("tcp", net.JoinHostPort(c.listen, "80")); err != nil {
						t.Error(err)
					}
				})
				if listener != nil {
					defer func() { _ = listener.Close() }()
				}
				timeout := 5 * time.Second
				if !c.vip || c.listen == "off" {
					timeout = 500 * time.Millisecond
				}
				target := probetest.Target(healthcheck.TCP, netip.AddrPortFrom(netip.MustParseAddr(tt.server), 80), timeout, func(c *healthcheck.Config) {
					c.Via = netip.MustParseAddr(tt.vip)
				})
				if err := target.Validate(); err != nil {
					t.Error(err)
				}
				plain := target
				plain.Config.Via = netip.Addr{}
				plain.Config.Source = netip.MustParseAddr(tt.director) // over IPv6 a master's kernel would choose the VIP
				if listener != nil {
					plain.Config.Timeout = 5 * time.Second
					director.Do(func() { awaitNeighbour(t, plain) })
				}
				inBothRoles(t, director, tt.vip+"/"+tt.bits, target, c.want, plain, listener != nil)
			})
		}
	}
}

func TestNoWayToTheVIP(t *testing.T) {
	ns := probetest.NewNS(t)
	other := probetest.NewNS(t)
	probetest.Veth(t, ns, "d0", other, "o0")
	ns.Do(func() {
		probetest.Give(t, "d0", "192.0.2.2/24")
		for _, server := range []string{"198.51.100.1", "127.0.0.1"} {
			target := probetest.Target(healthcheck.TCP, netip.AddrPortFrom(netip.MustParseAddr(server), 80), 500*time.Millisecond, func(c *healthcheck.Config) {
				c.Via = netip.MustParseAddr("192.0.2.100")
			})
			want := healthcheck.Result{Outcome: healthcheck.Failed, Reason: via.NotNear, Silent: true}
			if got, _ := probeOnce(target); got != want {
				t.Errorf("%s: %+v, want %+v", server, got, want)
			}
		}
	})
}

// probeOnce probes as the runner does.
func probeOnce(t healthcheck.Target) (healthcheck.Result, time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), t.Config.Timeout)
	defer cancel()
	start := time.Now()
	p := probe.New()
	defer p.Close()
	res := p.Probe(ctx, &t)
	return probetest.Words(res), time.Since(start)
}
