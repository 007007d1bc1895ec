// SPDX-License-Identifier: Apache-2.0

package election

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

var elsewhere = netip.MustParsePrefix("198.51.100.100/24")

// twoPlaces returns a router with a VIP on eth0 and one on eth1.
func twoPlaces() []message.Router {
	all := routers("192.0.2.100/24")
	all[0].VIPs = append(all[0].VIPs, elsewhere)
	all[0].VIPInterfaces = map[netip.Addr]string{elsewhere.Addr(): "eth1"}
	return all
}

// hasBoth waits until the VIPs of twoPlaces are on their interfaces, or neither is.
func (r *rig) hasBoth(want bool) {
	r.t.Helper()
	here, there := []string{}, []string{}
	if want {
		here, there = []string{"192.0.2.100/24"}, []string{elsewhere.String()}
	}
	if !eventually(func() bool {
		return slices.Equal(addresses(r.t), here) && slices.Equal(addressesOn(r.t, "eth1"), there)
	}) {
		r.t.Fatalf("eth0 has %v, eth1 has %v, want %v and %v", addresses(r.t), addressesOn(r.t, "eth1"), here, there)
	}
}

// TestAddressesOnTwoInterfaces: each VIP is on its interface. In a hand-over, the former master keeps all of them until the
// successor has announced each on its interface.
func TestAddressesOnTwoInterfaces(t *testing.T) {
	cable(t)
	cableOf(t, "eth1", "far1")
	r := newRig(t)
	all := twoPlaces()
	r.order(message.Order{Routers: all})
	r.hasBoth(true)
	r.offer(all, 10*time.Second) // a machine may stall before the successor has announced both
	began := time.Now()
	sendFrame(t, gratuitousARP(all[0].VIPs[0].Addr()))
	sendFrame(t, gratuitousARP(elsewhere.Addr())) // not on its interface
	for time.Since(began) < 200*time.Millisecond {
		r.hasBoth(true)
	}
	announced := time.Now()
	sendFrameOn(t, "far1", gratuitousARP(elsewhere.Addr()))
	r.hasBoth(false)
	r.releasedFor(announced)
}

// TestFaultOfAVIPsInterface: without the interface of one VIP, the router is at fault and has neither. When the interface is
// there again, it has both. With a weight, the interface only changes the priority.
func TestFaultOfAVIPsInterface(t *testing.T) {
	cable(t)
	r := newRig(t)
	all := twoPlaces()
	r.order(message.Order{Routers: all})
	if is := r.reported(vrrp.Fault); is.Routers[0].Reason != "tracked interface eth1 is missing" || is.Links["eth1"] == "" {
		t.Errorf("%+v", is)
	}
	cableOf(t, "eth1", "far1")
	r.hasBoth(true)
	unplug(t, "eth1")
	r.reported(vrrp.Fault)
	r.holds()
	all = twoPlaces()
	all[0].TrackInterfaces = []vrrp.TrackInterface{{Interface: "eth1", Weight: -50}}
	all[0].SyncGroup = "both"
	second := routers("192.0.2.101/24", "192.0.2.101/24")[1]
	second.TrackInterfaces, second.SyncGroup = all[0].TrackInterfaces, "both"
	second.VIPInterfaces = map[netip.Addr]string{second.VIPs[0].Addr(): "eth1"}
	r.order(message.Order{Routers: append(all, second)})
	r.holds("192.0.2.100/24")
	if !eventually(func() bool { // the second one becomes master a moment after the first one
		is := r.latest().Routers
		return len(is) == 2 && is[0].EffectivePriority == 150 && is[1].State == vrrp.Master
	}) {
		t.Errorf("%+v", r.latest().Routers)
	}
	all[0].TrackInterfaces = nil
	r.order(message.Order{Routers: append(all, second)})
	r.holds() // the group is at fault
	r.order(message.Order{Leave: true})
	r.ended()
}

// TestElectionMovesAnAddressToAnotherInterface: a reload changes the interface of a VIP. The other VIP is not touched.
func TestElectionMovesAnAddressToAnotherInterface(t *testing.T) {
	cable(t)
	cableOf(t, "eth1", "far1")
	r := newRig(t)
	all := twoPlaces()
	all[0].VIPInterfaces = nil
	r.order(message.Order{Routers: all})
	r.holds("192.0.2.100/24", elsewhere.String())
	r.order(message.Order{Routers: twoPlaces()})
	r.hasBoth(true)
	r.order(message.Order{Leave: true})
	r.ended()
	r.hasBoth(false)
}
