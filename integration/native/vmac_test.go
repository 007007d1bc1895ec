// SPDX-License-Identifier: Apache-2.0

package native

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestVirtualMAC: clients see the virtual router's own MAC address (RFC 9568, section 7.3: 00-00-5e-00-01-VRID). The MAC
// address stays the same when the VIP moves. When tandem has stopped, nothing of it is left, and the settings of the lower interface are
// as they were.
//
// It is alone: after a cut cable the switch knows the new master from its first advertisement on, and the VIP must be there at once.
// Other scenes make namespaces meanwhile, and the kernel lets one change its interfaces at a time.
func TestVirtualMAC(t *testing.T) {
	const virtual = "00:00:5e:00:01:33"
	d := lab.NewDuo(t, lab.DuoSettings{Keys: "virtual_mac = true"})
	links := func(h *lab.Host) string { return h.Run("ip", "-o", "link") }
	before := map[*lab.Director]string{d.A: links(d.A.Host), d.B: links(d.B.Host)}
	settings := func(h *lab.Host) string {
		return h.Run("sh", "-c", "cd /proc/sys/net/ipv4/conf/eth0 && grep . arp_ignore arp_announce")
	}
	former := map[*lab.Director]string{d.A: settings(d.A.Host), d.B: settings(d.B.Host)}
	d.Launch()
	probe := d.Steady()
	for _, x := range []*lab.Director{d.A, d.B} {
		if is := settings(x.Host); is == former[x] {
			t.Errorf("with a virtual MAC, the settings of the lower interface of %s are still\n%s", x.Name, is)
		}
	}
	wantNeighbour := func(when string) {
		t.Helper()
		if entry := d.Client.Run("ip", "neighbour", "show", vip); !strings.Contains(entry, virtual) {
			t.Errorf("%s the client's neighbour table has %q, want %s", when, entry, virtual)
		}
		if who := d.Client.WhoHas(vip); len(who) != 1 || who[0] != virtual {
			t.Errorf("%s %v answer for the VIP, want %s alone", when, who, virtual)
		}
	}
	wantNeighbour("at first")
	wantAdvertsFrom(t, d, virtual)
	// The client's entry cannot change from here on. What changes is the port at which the switch finds the MAC address.
	d.Client.Run("ip", "neighbour", "replace", vip, "lladdr", virtual, "nud", "permanent", "dev", "eth0")

	probe.Stop()
	failOver(t, d)
	wantNeighbour("after a failover")

	probe = d.Steady()
	d.B.Cut()
	d.A.AwaitState(5*time.Second, "master")
	d.Answers(probe)
	d.Logf("cable cut with a virtual MAC: %s", probe.Stop())
	d.B.Plug()

	for _, x := range []*lab.Director{d.A, d.B} {
		terminate(t, x)
		if after := links(x.Host); after != before[x] {
			t.Errorf("the interfaces of %s were\n%sand are\n%s", x.Name, before[x], after)
		}
		if after := settings(x.Host); after != former[x] {
			t.Errorf("the settings of the lower interface of %s were\n%sand are\n%s", x.Name, former[x], after)
		}
	}
}

// failOver hands over to director-b, which no client may notice: director-b advertises with the virtual MAC address when it has the
// VIP, and director-a answers until then. It waits for that for 20 ms at most. If the kernel was busy with other links for longer,
// the hand-over is repeated.
func failOver(t *testing.T, d lab.Duo) {
	t.Helper()
	const waits, tries = 20 * time.Millisecond, 5
	atB := d.B.WatchAddress(vip)
	for try := 1; ; try++ {
		probe := d.Steady()
		if out, err := tandem(d.A, "failover"); err != nil {
			t.Fatalf("tandem failover: %q, %v", out, err)
		}
		d.AwaitMaster(d.B)
		err := noticed(d, "failover with a virtual MAC", probe)
		s, statusErr := d.B.Status()
		if statusErr != nil {
			t.Fatal(statusErr)
		}
		delay := last(atB, true).Sub(s.VRRP[0].Since)
		d.Logf("director-b had the VIP %s after it became master", delay)
		if err == nil {
			return
		}
		if delay < waits || try == tries {
			t.Errorf("%v; director-b had the VIP %s after it became master, in hand-over %d of %d", err, delay, try, tries)
			return
		}
		if out, err := tandem(d.A, "release"); err != nil {
			t.Fatalf("tandem release: %q, %v", out, err)
		}
		d.AwaitMaster(d.A)
	}
}

// wantAdvertsFrom checks that the advertisements come from a hardware address, by which the switches remember where it is.
func wantAdvertsFrom(t *testing.T, d lab.Duo, hardware string) {
	t.Helper()
	heard := d.Client.Capture("eth0", lab.Frame.IsVRRP)
	d.Eventually(5*time.Second, "the client sees advertisements", func() error {
		if len(heard.Frames()) < 10 {
			return errNotYet
		}
		return nil
	})
	for _, f := range heard.Frames() {
		if f.Source().String() != hardware {
			t.Errorf("an advertisement comes from %s, want %s", f.Source(), hardware)
		}
	}
}
