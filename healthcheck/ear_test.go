// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/nstest"
)

// packetSockets counts those of the present namespace.
func packetSockets(t *testing.T) int {
	t.Helper()
	table, err := os.ReadFile("/proc/thread-self/net/packet")
	if err != nil {
		t.Error(err)
	}
	return strings.Count(string(table), "\n") - 1 // the first line is a heading
}

// Probes through the VIP that are under way at the same time have one socket between them, and each hears its own
// answer. One that is cancelled, or hears nothing, keeps nobody else from hearing.
func TestKnocksShareASocket(t *testing.T) {
	noLeftovers(t)
	director, web := nstest.New(t), nstest.New(t)
	nstest.Veth(t, director, "d0", web, "w0")
	director.Do(func() { give(t, "d0", "192.0.2.2/24") })
	var listener net.Listener
	web.Do(func() {
		keepSilent(t)
		give(t, "w0", "192.0.2.11/24")
		give(t, "lo", "192.0.2.100/32")
		var err error
		if listener, err = net.Listen("tcp", ":80"); err != nil {
			t.Error(err)
		}
	})
	if listener == nil {
		t.FailNow()
	}
	defer func() { _ = listener.Close() }()

	p := newProber()
	defer p.close()
	// A port without a listener refuses, a VIP that the server has not stays silent.
	kinds := []struct {
		vip  string
		port uint16
		want result
	}{
		{"192.0.2.100", 80, pass(throughVIP)},
		{"192.0.2.100", 81, fail("connection through the VIP refused")},
		{"192.0.2.101", 80, fail("timeout after 3s while connecting through the VIP")},
		{"192.0.2.101", 82, result{outcome: abandoned}},
	}
	const each = 50
	var all sync.WaitGroup
	for i := range len(kinds) * each {
		kind := kinds[i%len(kinds)]
		target := typed(TCP, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.11"), kind.port), 3*time.Second, func(c *Config) {
			c.Via = netip.MustParseAddr(kind.vip)
		})
		all.Go(func() {
			director.Do(func() {
				ctx, cancel := context.WithTimeout(t.Context(), target.Config.Timeout)
				defer cancel()
				if kind.want.outcome == abandoned {
					time.AfterFunc(100*time.Millisecond, cancel)
				}
				if got := p.probe(ctx, target); got != kind.want {
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
		p.close()
		if n := packetSockets(t); n != 0 {
			t.Errorf("%d packet sockets after the end", n)
		}
	})
	for _, e := range p.ears.open {
		t.Errorf("%+v is open still", e.earID)
	}
}

// An interface that went and came back is another one to the kernel.
func TestKnocksAfterTheInterfaceWasReplaced(t *testing.T) {
	noLeftovers(t)
	director := nstest.New(t)
	p := newProber()
	defer p.close()
	target := typed(TCP, netip.MustParseAddrPort("192.0.2.11:80"), 2*time.Second, func(c *Config) {
		c.Via = netip.MustParseAddr("192.0.2.100")
	})
	for range 2 {
		web := nstest.New(t)
		nstest.Veth(t, director, "d0", web, "w0")
		web.Do(func() {
			give(t, "w0", "192.0.2.11/24")
			give(t, "lo", "192.0.2.100/32")
		})
		director.Do(func() {
			give(t, "d0", "192.0.2.2/24")
			ctx, cancel := context.WithTimeout(t.Context(), target.Config.Timeout)
			defer cancel()
			if got := p.probe(ctx, target); got != fail("connection through the VIP refused") {
				t.Errorf("%+v", got)
			}
			remove(t, "d0")
		})
	}
}
