// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/garp"
)

func TestReannounceReachesTheWireAtOnceWithTheNewAddress(t *testing.T) {
	t.Parallel()
	ns, seen, a := newAnnouncing(t)
	v4, v6 := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("2001:db8::100")
	start := time.Now()
	a.Announce(garp.Config{Repeat: []time.Duration{0}}, []netip.Addr{v4, v6})
	eventually(t, "announced", func() bool { return a.Stats() == garp.Stats{Requests: 1, Replies: 1, Advertisements: 1} })
	announced := time.Now()

	hw := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x42}
	command(t, ns, "eth0", func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, hw) })
	for range 1000 { // a rival that sends a lot
		a.Reannounce()
	}
	eventually(t, "announced again", func() bool { return a.Stats() == garp.Stats{Requests: 2, Replies: 2, Advertisements: 2} })
	if pause := time.Since(start); pause < garp.RestartPause {
		t.Errorf("announced again after %v, want at least %v", pause, garp.RestartPause)
	}
	eventually(t, "all captured", func() bool { return seen.count(garp.Advertisement, v6) == 2 && seen.count(garp.Reply, v4) == 2 })
	for i, s := range seen.all() {
		if want := i >= 3; want != (s.hardware == hw.String()) {
			t.Errorf("frame %d, %s for %s, is from %s", i, s.form, s.addr, s.hardware)
		}
	}

	// After a second, only the named addresses are announced, and at once.
	eventually(t, "a second has passed", func() bool { return time.Since(announced) > 2*garp.RestartPause+100*time.Millisecond })
	stalls, asked := watchStalls(t), time.Now()
	a.Reannounce(v6)
	eventually(t, "announced once more", func() bool { return seen.count(garp.Advertisement, v6) == 3 })
	took := time.Since(asked)
	t.Logf("on the wire after %v", took)
	if stalled := stalls(); took > garp.RestartPause/2+stalled {
		t.Errorf("announced once more after %v, of which the machine stalled %v", took, stalled)
	}
	if got := a.Stats(); got.Requests != 2 {
		t.Errorf("counts %+v: another address was announced too", got)
	}
}

func TestReannounceLooksAtTheInterfaceAnew(t *testing.T) {
	t.Parallel()
	ns, seen, a := newAnnouncing(t)
	busy := netip.MustParseAddr("2001:db8::1") // keeps the last look young
	a.Announce(garp.Config{Repeat: []time.Duration{0}, Refresh: time.Millisecond}, []netip.Addr{busy})
	for i := range 5 {
		hw := net.HardwareAddr{0x02, 0, 0, 0, 0, byte(i)}
		mark := netip.MustParseAddr(fmt.Sprintf("2001:db8::2:%d", i))
		before := a.Stats().Advertisements
		eventually(t, "busy", func() bool { return a.Stats().Advertisements > before+2 })
		command(t, ns, "eth0", func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, hw) })
		a.Reannounce()
		a.Announce(garp.Config{Repeat: []time.Duration{0}}, []netip.Addr{mark})
		eventually(t, "mark seen", func() bool { return seen.count(garp.Advertisement, mark) == 1 })
		for _, s := range seen.all() {
			if s.addr == mark && s.hardware != hw.String() {
				t.Errorf("announced at %s though the interface has %s", s.hardware, hw)
			}
		}
	}
}

func TestAdvertisementsSayWhetherWeForward(t *testing.T) {
	t.Parallel()
	ns, seen, a := newAnnouncing(t)
	for i, forwarding := range []string{"0", "1"} {
		var err error
		ns.do(func() { err = os.WriteFile("/proc/sys/net/ipv6/conf/eth0/forwarding", []byte(forwarding), 0) })
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+1))
		eventually(t, "the last look at the interface is old", func() bool {
			a.Announce(garp.Config{Repeat: []time.Duration{0}}, []netip.Addr{addr})
			list := seen.all()
			return len(list) > 0 && list[len(list)-1].addr == addr && list[len(list)-1].router == (forwarding == "1")
		})
	}
}
