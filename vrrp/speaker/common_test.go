// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

var (
	linkLocalA = netip.MustParseAddr("fe80::ff:fe00:1")
	linkLocalB = netip.MustParseAddr("fe80::ff:fe00:2")
)

func prefixes(list ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testConfig(priority uint8) vrrp.Config {
	return vrrp.Config{
		Name: "web", Interface: "eth0", VRID: 51, Version: 3, Priority: priority, AdvertInterval: time.Second,
		Preempt: true, VIPs: []netip.Prefix{netip.PrefixFrom(vip, 24)},
	}
}

// testHMAC is signatures with one key.
func testHMAC(m vrrp.HMACMode) vrrp.HMAC {
	key := vrrp.Key{ID: 1, Secret: vrrp.NewSecret([]byte("a key that only these tests know!"))}
	return vrrp.HMAC{Mode: m, AntiReplay: vrrp.AntiReplayTime, Window: 5 * time.Second, ActiveKey: 1, Keys: []vrrp.Key{key}}
}

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
	addrC = netip.MustParseAddr("192.0.2.3")
	vip   = netip.MustParseAddr("192.0.2.100")
)

// receive is receiveOn for the loop's interface.
func (l *Loop) receive(now time.Time, b []byte) { l.receiveOn(now, l.iface, b) }

// accept is acceptOn for the loop's interface.
func (l *Loop) accept(now time.Time, h vrrp.Header, msg []byte, d vrrp.Drop) {
	l.acceptOn(now, l.iface, h, msg, d)
}
