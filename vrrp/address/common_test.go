// SPDX-License-Identifier: Apache-2.0

package address

import (
	"net/netip"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

func testConfig(priority uint8) vrrp.Config {
	return vrrp.Config{
		Name: "web", Interface: "eth0", VRID: 51, Version: 3, Priority: priority, AdvertInterval: time.Second,
		Preempt: true, VIPs: []netip.Prefix{netip.PrefixFrom(vip, 24)},
	}
}

var (
	vip = netip.MustParseAddr("192.0.2.100")
)
