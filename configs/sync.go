// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"math"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

func syncTable() toml.SchemaType[lvs.Sync] {
	return toml.Table(func(at toml.Node, s *lvs.Sync) {
		s.Roles = lvs.SyncBoth
		if err := s.Validate(); err != nil && at.Sound("interface", "id", "group", "port", "ttl", "max_len") {
			at.Mistake("", "%s", refusedByTable(err))
		}
	},
		toml.Required("interface", interfaceName(), `"eth0"`, "The interface between the directors.",
			func(s *lvs.Sync, v string) { s.Interface = v }),
		toml.Required("id", toml.Integer[uint8](1, math.MaxUint8), "51",
			"The number of the pair. Messages with another number are ignored.",
			func(s *lvs.Sync, v uint8) { s.ID = v }),
		toml.Optional("group", multicast(), netip.AddrFrom4([4]byte{224, 0, 0, 81}), "The multicast group.",
			func(s *lvs.Sync, v netip.Addr) { s.Group = v }),
		toml.Optional("port", toml.Integer[uint16](1, math.MaxUint16), 8848,
			"The UDP port. If sync_ports in [lvs.sysctl] is above 1, sync also uses the ports that follow. With sync_ports = "+
				"4 these are 8848 to 8851. A firewall between the directors must pass all of them.",
			func(s *lvs.Sync, v uint16) { s.Port = v }),
		toml.Optional("ttl", toml.Integer[uint8](1, math.MaxUint8), 1, "The TTL or hop limit.",
			func(s *lvs.Sync, v uint8) { s.TTL = v }),
		toml.Derived("max_len", toml.Integer(1024, 65507), "The maximum size of a message in bytes; over IPv6 at most 65487.",
			func(s *lvs.Sync, v int) { s.MaxLen = v }).Unset("what the MTU of the interface allows").Example("1400"),
	)
}

// multicast returns the schema type of the address of a group.
func multicast() toml.SchemaType[netip.Addr] {
	return toml.Text("a multicast address", func(s string) (netip.Addr, *toml.Refusal) {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			return a, toml.Refuse("", "%q is not an address", toml.Abbreviate(s))
		case a.Zone() != "":
			return a, needlessZone(a)
		case !a.IsMulticast() || a.Is4In6():
			return a, toml.Refuse("", "%s is not a multicast address", a)
		}
		return a, nil
	}, netip.Addr.String)
}

// checkSync refuses services that the kernel does not allow together with connection sync.
func checkSync(at toml.Node, c *Config) {
	if c.LVS.Sync == (lvs.Sync{}) {
		return
	}
	for i, s := range c.Services {
		for j, server := range s.Servers {
			here := at.Index(i).Key("server").Index(j)
			if !here.Sound("address") || !at.Index(i).Sound("virtual") || len(s.Virtuals) == 0 {
				continue
			}
			family := lvs.FamilyOf(server.Addr)
			if !slices.ContainsFunc(s.Virtuals, func(v lvs.Service) bool { return v.AddrFamily() != family }) {
				continue
			}
			here.Key("address").Mistake("remove [lvs] sync, or use a server of the service's family",
				"%s is of another family than the service: the kernel refuses that while connection sync is on", server.Addr)
		}
	}
}
