// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe/via"
)

// serveUDP answers each datagram; an empty answer is none.
func serveUDP(t *testing.T, answer func([]byte) []byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if out := answer(buf[:n]); len(out) > 0 {
				_, _ = conn.WriteToUDPAddrPort(out, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestDatagrams(t *testing.T) {
	echo := serveUDP(t, func(b []byte) []byte { return b })
	mute := serveUDP(t, func([]byte) []byte { return nil })
	// This socket hears echo only, so the kernel refuses the datagrams of others. Nobody else gets its port.
	held, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, net.UDPAddrFromAddrPort(echo))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	gone := held.LocalAddr().(*net.UDPAddr).AddrPort()
	silent := probetest.Fail("timeout after 100ms while waiting for the expected answer")
	silent.Silent = true
	for _, tt := range []struct {
		name         string
		addr         netip.AddrPort
		send, expect string
		forbid       string
		want         healthcheck.Result
	}{
		{"answers as expected", echo, "hello", "ell", "", healthcheck.Pass(asExpected)},
		{"answers, whatever it is", echo, "hello", "", "", healthcheck.Pass(asExpected)},
		{"says nothing and need not", mute, "hello", "", "", healthcheck.Pass("no refusal within 100ms")},
		{"says nothing", mute, "hello", "ell", "", silent},
		{"refuses", gone, "hello", "", "", probetest.Fail("connection refused")},
		{"refuses an empty one", gone, "", "x", "", probetest.Fail("connection refused")},
		{"answers with what it must not", echo, "hello", "hell", "lo", probetest.Fail(`the answer contains "lo"`)},
		{"answers without what it must not", echo, "hello", "hell", "low", healthcheck.Pass(asExpected)},
		{"answers anything but that", echo, "hello", "", "lo", probetest.Fail(`the answer contains "lo"`)},
		{"bytes", echo, "\x00\xff\x0a", "\xff", "\xff\xff", healthcheck.Pass(asExpected)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			timeout := probetest.Timeout(tt.want.Reason, 100*time.Millisecond)
			target := probetest.Target(healthcheck.UDP, tt.addr, timeout, func(c *healthcheck.Config) {
				c.Send, c.Expect, c.Forbid = tt.send, tt.expect, tt.forbid
			})
			if got, _ := probeOnce(target); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// A UDP check of a machine that is off fails, although nobody refuses the datagram in time.
func TestDatagramToNobody(t *testing.T) {
	ns, other := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, ns, "d0", other, "o0")
	other.Do(func() { probetest.Give(t, "o0", "192.0.2.11/24") })
	ns.Do(func() {
		probetest.Give(t, "d0", "192.0.2.2/24")
		want := healthcheck.Result{Outcome: healthcheck.Failed, Reason: via.NoNeighbour, Silent: true}
		at := func(addr string) healthcheck.Target {
			return probetest.Target(healthcheck.UDP, netip.AddrPortFrom(netip.MustParseAddr(addr), 53), 300*time.Millisecond, func(c *healthcheck.Config) { c.Send = "hello" })
		}
		if got, _ := probeOnce(at("192.0.2.12")); got != want {
			t.Errorf("nobody: %+v, want %+v", got, want)
		}
		if got, _ := probeOnce(at("192.0.2.11")); got != probetest.Fail("connection refused") {
			t.Errorf("a machine that refuses: %+v", got)
		}
		there := at("192.0.2.11")
		if via.Unresolved(&there) {
			t.Error("a machine that refuses is there")
		}
	})
}

// A machine that has just gone is believed to be there for up to a minute: its hardware address is known. Lost makes the kernel ask.
func TestLostMachineIsAskedFor(t *testing.T) {
	ns, other := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, ns, "d0", other, "o0")
	other.Do(func() { probetest.Give(t, "o0", "192.0.2.11/24") })
	ns.Do(func() {
		probetest.Give(t, "d0", "192.0.2.2/24")
		// The kernel asks three times, a second apart unless told otherwise.
		probetest.Write(t, "/proc/sys/net/ipv4/neigh/d0/retrans_time_ms", "20")
		there := probetest.Target(healthcheck.TCP, netip.MustParseAddrPort("192.0.2.11:53"), time.Second, func(*healthcheck.Config) {})
		if got, _ := probeOnce(there); got != probetest.Fail("connection refused") {
			t.Fatalf("a machine that refuses: %+v", got)
		}
		if via.Lost(&there) {
			t.Error("a machine that refuses is there")
		}
		other.Do(func() {
			dev, err := netlink.LinkByName("o0")
			if err == nil {
				err = netlink.AddrDel(dev, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 11), Mask: net.CIDRMask(24, 32)}})
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		if !probetest.Eventually(3*time.Second, func() bool { return via.Lost(&there) }) {
			t.Error("a machine that has gone is believed to be there")
		}
	})
}
