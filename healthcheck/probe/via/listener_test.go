// SPDX-License-Identifier: Apache-2.0

package via

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// packetSockets counts the packet sockets of the present namespace.
func packetSockets(t *testing.T) int {
	t.Helper()
	table, err := os.ReadFile("/proc/thread-self/net/packet")
	if err != nil {
		t.Error(err)
	}
	return strings.Count(string(table), "\n") - 1 // the first line is a heading
}

// Probes through the VIP at the same time share one socket, and each receives its own answer. A probe that is cancelled,
// or gets no answer, does not disturb the others.
func TestSynProbesShareASocket(t *testing.T) {
	probetest.NoLeftovers(t)
	director, web := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, director, "d0", web, "w0")
	director.Do(func() { probetest.Give(t, "d0", "192.0.2.2/24") })
	var listener net.Listener
	web.Do(func() {
		probetest.HideLoopback(t)
		probetest.Give(t, "w0", "192.0.2.11/24")
		probetest.Give(t, "lo", "192.0.2.100/32")
		var err error
		if listener, err = net.Listen("tcp", ":80"); err != nil {
			t.Error(err)
		}
	})
	if listener == nil {
		t.FailNow()
	}
	defer func() { _ = listener.Close() }()

	p := New()
	defer p.Close()
	// A port without a listener refuses. A VIP that the server does not have is silent.
	kinds := []struct {
		vip  string
		port uint16
		want healthcheck.Result
	}{
		{"192.0.2.100", 80, healthcheck.Pass(Connected)},
		{"192.0.2.100", 81, probetest.Fail("connection through the VIP refused")},
		{"192.0.2.101", 80, probetest.Fail("timeout after 3s while connecting through the VIP")},
		{"192.0.2.101", 82, healthcheck.Result{Outcome: healthcheck.Abandoned}},
	}
	const each = 50
	var all sync.WaitGroup
	for i := range len(kinds) * each {
		kind := kinds[i%len(kinds)]
		target := probetest.Target(healthcheck.TCP, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.11"), kind.port), 3*time.Second, func(c *healthcheck.Config) {
			c.Via = netip.MustParseAddr(kind.vip)
		})
		all.Go(func() {
			director.Do(func() {
				ctx, cancel := context.WithTimeout(t.Context(), target.Config.Timeout)
				defer cancel()
				if kind.want.Outcome == healthcheck.Abandoned {
					time.AfterFunc(100*time.Millisecond, cancel)
				}
				if got := probetest.Words(p.Probe(ctx, &target)); got != kind.want {
					t.Errorf("port %d of %s: %+v, want %+v", kind.port, kind.vip, got, kind.want)
				}
			})
		})
	}
	all.Wait()
	director.Do(func() {
		if n := packetSockets(t); n != 1 {
			t.Errorf("%d packet sockets, want 1", n)
		}
		p.Close()
		if n := packetSockets(t); n != 0 {
			t.Errorf("%d packet sockets after the end", n)
		}
	})
	for _, e := range p.listeners.open {
		t.Errorf("%+v is open still", e.listenerKey)
	}
}

// A probe works after its interface was deleted and made again, which is another interface for the kernel.
func TestSynProbesAfterTheInterfaceWasReplaced(t *testing.T) {
	probetest.NoLeftovers(t)
	director := probetest.NewNS(t)
	p := New()
	defer p.Close()
	target := probetest.Target(healthcheck.TCP, netip.MustParseAddrPort("192.0.2.11:80"), 2*time.Second, func(c *healthcheck.Config) {
		c.Via = netip.MustParseAddr("192.0.2.100")
	})
	for range 2 {
		web := probetest.NewNS(t)
		probetest.Veth(t, director, "d0", web, "w0")
		web.Do(func() {
			probetest.Give(t, "w0", "192.0.2.11/24")
			probetest.Give(t, "lo", "192.0.2.100/32")
		})
		director.Do(func() {
			probetest.Give(t, "d0", "192.0.2.2/24")
			ctx, cancel := context.WithTimeout(t.Context(), target.Config.Timeout)
			defer cancel()
			if got := probetest.Words(p.Probe(ctx, &target)); got != probetest.Fail("connection through the VIP refused") {
				t.Errorf("%+v", got)
			}
			remove(t, "d0")
		})
	}
}

// remove deletes an interface of the present namespace.
func remove(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		t.Errorf("delete %s: %v", name, err)
	}
}
