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

const successorHardware = "02:00:00:00:00:03" // that of signedFrame

// TestAddressesStayUntilTheSuccessorAnnouncesThem: the successor adds one of two addresses late. The former master keeps both
// until the successor has announced both, and 50 ms longer.
func TestAddressesStayUntilTheSuccessorAnnouncesThem(t *testing.T) {
	cable(t)
	r, vips, _ := handOver(t, 10*time.Second) // a machine may stall before the successor has announced both
	began := time.Now()
	sendFrame(t, gratuitousARP(vips[0].Addr()))
	for time.Since(began) < 200*time.Millisecond {
		if got := addresses(t); len(got) != len(vips) {
			t.Fatalf("eth0 has %v after %s, and the successor has announced only %s", got, time.Since(began), vips[0])
		}
	}
	announced := time.Now()
	sendFrame(t, gratuitousARP(vips[1].Addr()))
	r.holds()
	r.releasedFor(announced)
}

// TestAddressesOfAQuietSuccessor: the successor announces nothing. The former master keeps the addresses for an interval and
// 50 ms. It announces them for the successor when it removes them, not earlier.
func TestAddressesOfAQuietSuccessor(t *testing.T) {
	cable(t)
	heard := listen(t)
	r, vips, took := handOver(t, time.Second)
	referral := heard.await(t, vips[0].Addr().String(), took, func(a announced) bool { return a.claims == successorHardware })
	if after, want := referral.at.Sub(took), time.Second+vrrp.Linger; after < want {
		t.Errorf("announced for the successor after %s, while this machine had the addresses", after)
	}
	r.holds()
	r.says("192.0.2.3 took over, and was not heard to announce them")
	r.order(message.Order{Leave: true})
	r.ended()
}

// handOver starts an election that is master of a router with two addresses, and hands it over at an interval. The successor was
// heard when it returns: after the moment that it returns.
func handOver(t *testing.T, interval time.Duration) (*rig, []netip.Prefix, time.Time) {
	t.Helper()
	all := routers("192.0.2.100/24")
	all[0].VIPs = append(all[0].VIPs, netip.MustParsePrefix("192.0.2.101/24"))
	r := newRig(t)
	r.order(message.Order{Routers: all})
	r.holds("192.0.2.100/24", "192.0.2.101/24")
	return r, all[0].VIPs, r.offer(all, interval)
}

// offer orders a router to hand over at an interval, and lets it hear its successor, after the moment that it returns.
func (r *rig) offer(all []message.Router, interval time.Duration) (before time.Time) {
	t := r.t
	t.Helper()
	slow := slices.Clone(all)
	slow[0].AdvertInterval, slow[0].Standby = interval, true
	r.order(message.Order{Routers: slow})
	offered := func() bool {
		is := r.latest().Routers
		return len(is) == 1 && is[0].State == vrrp.Master && is[0].HandingOver
	}
	if !eventually(offered) {
		t.Fatalf("it does not hand over: %+v", r.latest())
	}
	before = time.Now()
	sendFrame(t, signedFrame(message.Order{Routers: slow}, before))
	r.reported(vrrp.Backup)
	return before
}

// gratuitousARP is an announcement of an address by the successor.
func gratuitousARP(addr netip.Addr) []byte {
	hardware, ip := []byte{2, 0, 0, 0, 0, 3}, addr.AsSlice()
	return slices.Concat([]byte{255, 255, 255, 255, 255, 255}, hardware, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1},
		hardware, ip, make([]byte, 6), ip, make([]byte, 18))
}

// releasedFor expects that the addresses have just been removed, because the successor's last announcement was heard at a moment.
// Then it ends the election.
func (r *rig) releasedFor(announced time.Time) {
	r.t.Helper()
	if kept := time.Since(announced); kept < vrrp.Linger {
		r.t.Errorf("removed %s after the announcement, want %s", kept, vrrp.Linger)
	}
	r.says("the successor has them") // not: it was not heard to announce them
	r.order(message.Order{Leave: true})
	r.ended()
}
