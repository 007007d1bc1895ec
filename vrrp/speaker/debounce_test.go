// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

// TestDebouncedCarrier: a cable that is out for less than the delay is no fault, although the peer may take over meanwhile. After
// the delay it is one, without another event.
func TestDebouncedCarrier(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		delay time.Duration
		fault bool
	}{"short": {time.Minute, false}, "long": {50 * time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nstest.Undisturbed(t, func(t testing.TB) {
				s := newBridge(t)
				c := fastConfig(51, 150)
				c.Debounce.DownDelay = tt.delay
				a := s.plug("192.0.2.1", c)
				a.awaitState(51, vrrp.Master)
				b := s.plug("192.0.2.2", fastConfig(51, 100))
				b.await(51, "backup of a", func(s vrrp.Status) bool { return s.State == vrrp.Backup && s.Master == addrA })
				s.setPort(a, netlink.LinkSetDown)
				b.awaitState(51, vrrp.Master)
				if tt.fault {
					a.awaitState(51, vrrp.Fault)
				}
				s.setPort(a, netlink.LinkSetUp)
				b.await(51, "backup again", func(s vrrp.Status) bool { return s.State == vrrp.Backup && s.Master == addrA })
				faulty := slices.ContainsFunc(a.notified(51), func(s sighting) bool { return s.State == vrrp.Fault })
				if faulty != tt.fault {
					t.Errorf("a was at fault: %t, want %t", faulty, tt.fault)
				}
			})
		})
	}
}

// TestOnlyACarrierIsDebounced: without the interface, or when it is down, a router can do nothing.
func TestOnlyACarrierIsDebounced(t *testing.T) {
	for name, tt := range map[string]struct {
		link vrrp.Link
		want vrrp.CauseKind // at once
	}{
		"carrier": {vrrp.Link{Name: "eth0", Index: 2, Up: true}, 0},
		"down":    {vrrp.Link{Name: "eth0", Index: 2}, vrrp.FaultLinkDown},
		"missing": {vrrp.Link{Name: "eth0"}, vrrp.FaultLinkMissing},
	} {
		s := newStage(t, func(c *vrrp.Config) { c.Debounce.DownDelay = time.Second })
		s.l.conn = newConn("eth0", 2)
		s.l.applied.link = &vrrp.Link{Name: "eth0", Index: 2, Up: true, Carrier: true}
		s.l.linkFault(s.r, s.now)
		s.l.applied.link = &tt.link
		if got := s.l.linkFault(s.r, s.now); got.Kind != tt.want || s.r.carrierDue.IsZero() != (tt.want != 0) {
			t.Errorf("%s: %q, due %s", name, got, s.r.carrierDue)
		}
		if got := s.l.linkFault(s.r, s.now.Add(time.Second)); got.Kind == 0 || !s.r.carrierDue.IsZero() {
			t.Errorf("%s, a second later: %q", name, got)
		}
	}
}
