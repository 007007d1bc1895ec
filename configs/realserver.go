// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"

	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// DefaultDropIn is where a real server's settings are kept for the next start of the machine.
const DefaultDropIn = "/etc/sysctl.d/60-tandem-realserver.conf"

func realServerTable() kind[realserver.Config] {
	return tableOf(nil,
		required("vips", list(realServerVIP(), 1, unlimited), "The virtual addresses that the machine serves, and keeps silent about.",
			func(c *realserver.Config, v []netip.Addr) { c.VIPs = v }),
		optional("mode", enum(realserver.DirectRouting, realserver.Tunnel), realserver.DirectRouting,
			"How packets reach it: the services' method.",
			func(c *realserver.Config, v realserver.Mode) { c.Mode = v }),
		optional("method", enum(realserver.Sysctl, realserver.ARPFilter), realserver.Sysctl,
			"How it keeps silent: by the settings arp_ignore and arp_announce, or by rules of nftables.",
			func(c *realserver.Config, v realserver.Method) { c.Method = v }),
		derived("interfaces", list(interfaceName(), 1, unlimited), "Where it keeps silent; every Ethernet interface with an IPv4 address unless given.",
			func(c *realserver.Config, v []string) { c.Interfaces = v }),
		optional("persist", boolean(), false,
			"Whether the settings are written to "+DefaultDropIn+" too, so that they hold from the start of the machine.",
			func(c *realserver.Config, v bool) {
				if v {
					c.DropIn = DefaultDropIn
				}
			}),
	)
}

// realServerVIP is a virtual address; its prefix length is not for a real server to choose.
func realServerVIP() kind[netip.Addr] {
	k := neighbour()
	k.values = "each an IPv4 or IPv6 address"
	return k
}

// checkRealServer refuses what would have two parts of tandem fight over an address.
func checkRealServer(at place, c *Config) {
	if c.RealServer == nil {
		return
	}
	first := make(seen[netip.Addr])
	for i, vip := range c.RealServer.VIPs {
		if here := at.key("vips").index(i); vip.IsValid() {
			if earlier, ok := first.first(vip, here); !ok {
				here.mistake("", "%s is already %s", vip, earlier.describe())
			}
		}
	}
	for _, r := range c.Routers {
		for _, vip := range r.VIPs {
			if here, ok := first[vip.Addr()]; ok {
				here.mistake("a machine is a director or a real server of an address", "%s is a VIP of [[vrrp]] %q too", vip.Addr(), r.Name)
			}
		}
	}
}
