// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// DefaultDropIn is the file that keeps a real server's settings for the next start of the machine.
const DefaultDropIn = "/etc/sysctl.d/60-tandem-realserver.conf"

// A RealServer is this machine as a real server. Mode and Method are as `tandem realserver` takes them.
type RealServer struct {
	VIPs       []netip.Addr
	Mode       string   // dr, tunnel or nat
	Method     string   // sysctl or arpfilter
	Interfaces []string // nil: every Ethernet interface with an IPv4 address
	Persist    bool     // also write the settings to DefaultDropIn
}

// realServerMode returns the schema type of how packets reach this machine.
func realServerMode() toml.SchemaType[string] {
	words := make(map[string]string, len(methodWords))
	for word, m := range methodWords {
		words[word] = m.String()
	}
	return toml.OneOf("dr", "tunnel", "nat").Synonyms(words)
}

func realServerTable() toml.SchemaType[RealServer] {
	return toml.Table(nil,
		toml.Required("vips", toml.List(neighbour().Valued("each an IPv4 or IPv6 address"), 1, toml.Unlimited), `["192.0.2.110"]`,
			"The virtual addresses that this machine serves, and does not answer ARP for. With mode nat, give the virtual "+
				"address that the directors have in this machine's network. With the other modes, tandem moves an address "+
				"that is on another interface to where it belongs, unless this machine depends on it.",
			func(c *RealServer, v []netip.Addr) { c.VIPs = v }),
		toml.Optional("mode", realServerMode(), "dr", "How packets reach this machine. Use the same value as "+
			"method in [[service]]. nat only sets the default route to go through the VIP.",
			func(c *RealServer, v string) { c.Mode = v }),
		toml.Optional("method", toml.OneOf("sysctl", "arpfilter"), "sysctl",
			"How ARP for the VIPs is suppressed. sysctl: by arp_ignore and arp_announce. arpfilter: by rules of nftables.",
			func(c *RealServer, v string) { c.Method = v }),
		toml.Derived("interfaces", toml.List(interfaceName(), 1, toml.Unlimited), "The interfaces where ARP is suppressed.",
			func(c *RealServer, v []string) { c.Interfaces = v }).
			Unset("every Ethernet interface with an IPv4 address").Example(`["eth0"]`),
		toml.Optional("persist", toml.Boolean(), false,
			"If true, tandem also writes the settings to "+DefaultDropIn+", so that they apply from the start of the machine.",
			func(c *RealServer, v bool) { c.Persist = v }),
	)
}

// checkRealServer refuses an address that two parts of tandem would manage.
func checkRealServer(at toml.Node, c *Config) {
	if c.RealServer == nil {
		return
	}
	first := make(firstUse[netip.Addr])
	for i, vip := range c.RealServer.VIPs {
		if here := at.Key("vips").Index(i); vip.IsValid() {
			if earlier, ok := first.add(vip, here); !ok {
				here.Mistake("", "%s is already %s", vip, earlier.Describe())
			}
		}
	}
	for _, r := range c.Routers {
		for _, vip := range r.VIPs {
			if here, ok := first[vip.Addr()]; ok {
				here.Mistake("a machine cannot be both the director and a real server of an address",
					"%s is a VIP of [[vrrp]] %q too", vip.Addr(), r.Name)
			}
		}
	}
}
