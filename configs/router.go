// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A virtualRouter is a [[vrrp]] as a file has it: a virtual router, or one of each family where its VIPs are of both.
type virtualRouter struct {
	Router // what both families have, with the addresses of both
	named  bool
	tracks []tracked
}

func routerTable() toml.SchemaType[virtualRouter] {
	return toml.Table(checkRouter,
		slices.Concat(identityFields(), electionFields(), addressFields(), unicastFields(), followerFields())...)
}

// identityFields are what a virtual router is on the wire.
func identityFields() []toml.Field[virtualRouter] {
	return []toml.Field[virtualRouter]{
		toml.Derived("name", identifier(), "The virtual router's name in logs, status and commands; interface and vrid (eth0-51) unless given.",
			func(r *virtualRouter, v string) { r.Name, r.named = v, true }),
		toml.Required("interface", interfaceName(),
			"The interface that carries the advertisements and gets the VIPs. It may be missing at first.",
			func(r *virtualRouter, v string) { r.Interface = v }),
		toml.Required("vrid", toml.Integer[uint8](1, 255),
			"The virtual router id: the same on both directors, and used by nobody else on the segment.",
			func(r *virtualRouter, v uint8) { r.VRID = v }),
		toml.Optional("version", protocolVersion(), 3, "The version of VRRP on the wire.",
			func(r *virtualRouter, v uint8) { r.Version = v }),
		toml.Optional("checksum", toml.Enum(vrrp.ChecksumPseudoHeader, vrrp.ChecksumPacket), vrrp.ChecksumPseudoHeader,
			"What the checksum covers that version 3 sends over IPv4; received, either is right. keepalived and FRR send the first.",
			func(r *virtualRouter, v vrrp.Checksum) { r.Checksum = v }),
		toml.Derived("auth_pass", toml.String("1 to 8 printable ASCII characters", validPassword),
			"The password of version 2, which travels in clear. No authentication unless given.",
			func(r *virtualRouter, v string) { r.Password = v }),
	}
}

// electionFields are how a virtual router becomes master.
func electionFields() []toml.Field[virtualRouter] {
	return []toml.Field[virtualRouter]{
		toml.Optional("priority", toml.Integer[uint8](1, 255), 100,
			"The higher one becomes master. 255 is for a machine that owns the addresses.",
			func(r *virtualRouter, v uint8) { r.Priority = v }),
		toml.Optional("advert_interval", advertInterval(), time.Second,
			"The master advertises itself this often; after three times that without a word, and a little more, the backup takes over.",
			func(r *virtualRouter, v time.Duration) { r.AdvertInterval = v }),
		toml.Optional("preempt", toml.Boolean(), true,
			"Whether this director takes over from a master of lower priority, as when it returns after a failure.",
			func(r *virtualRouter, v bool) { r.Preempt = v }),
		toml.Optional("preempt_delay", toml.Duration(0, time.Hour, time.Nanosecond), 0, "How long it waits with that.",
			func(r *virtualRouter, v time.Duration) { r.PreemptDelay = v }),
		toml.Optional("startup_delay", toml.Duration(0, time.Hour, time.Nanosecond), 0,
			"How long this director only listens after its start, before it may become master.",
			func(r *virtualRouter, v time.Duration) { r.StartupDelay = v }),
		toml.Derived("sync_group", identifier(), "The name of a group of virtual routers that change state together. None unless given.",
			func(r *virtualRouter, v string) { r.SyncGroup = v }),
	}
}

// addressFields are the virtual addresses, and where they are put.
func addressFields() []toml.Field[virtualRouter] {
	vips := toml.List(virtualAddress(), 1, toml.Unlimited)
	vips.Values = fmt.Sprintf("1 to %d addresses of a family, %s", maxVIPs, vips.Values)
	excluded := toml.List(virtualAddress(), 0, toml.Unlimited)
	excluded.Values = "any number of addresses, " + excluded.Values
	return []toml.Field[virtualRouter]{
		toml.Required("vips", vips,
			"The virtual addresses, with the prefix length that they get on the interface; a bare address gets /32 or /128. "+
				"Addresses of both families make two virtual routers, NAME for IPv4 and NAME-ipv6.",
			func(r *virtualRouter, v []netip.Prefix) { r.VIPs = v }),
		toml.Optional("excluded_vips", excluded, nil,
			"More virtual addresses, which come and go with the others and are not in the advertisements.",
			func(r *virtualRouter, v []netip.Prefix) { r.ExcludedVIPs = v }),
		toml.Optional("noprefixroute", toml.Boolean(), false, "Keeps the kernel from adding a route for the prefix of each VIP.",
			func(r *virtualRouter, v bool) { r.NoPrefixRoute = v }),
		toml.Optional("virtual_mac", toml.Boolean(), false,
			"Puts the VIPs on an interface of their own, a macvlan, with the MAC address that the virtual router has by RFC 9568. "+
				"So that the interface below does not answer for them, it gets arp_ignore = 1 and arp_announce = 2, which stay.",
			func(r *virtualRouter, v bool) { r.VirtualMAC = v }),
		toml.Derived("virtual_mac_interface", interfaceName(),
			"The name of that interface; vrrp.VRID for IPv4 and vrrp6.VRID for IPv6 unless given, NAME and NAME-6 if it is given for both.",
			func(r *virtualRouter, v string) { r.VirtualMACInterface = v }),
	}
}

// unicastFields are how the advertisements travel where multicast does not.
func unicastFields() []toml.Field[virtualRouter] {
	peers := toml.List(neighbour(), 0, maxPeers)
	peers.Values = fmt.Sprintf("0 to %d addresses", maxPeers)
	return []toml.Field[virtualRouter]{
		toml.Optional("unicast_peers", peers, nil,
			"The other directors, if the advertisements go to each of them and not to the multicast group. Nobody else is listened to.",
			func(r *virtualRouter, v []netip.Addr) { r.UnicastPeers = v }),
		toml.Derived("unicast_source", neighbour(),
			"The address that unicast advertisements are sent from; the interface's primary one, over IPv6 its link-local one, unless given.",
			func(r *virtualRouter, v netip.Addr) { r.UnicastSource = v }),
		toml.Optional("unicast_ttl_min", toml.Integer[uint8](1, 255), 255,
			"The least TTL or hop limit of what a unicast peer sends: 255 less the number of routers between. keepalived sends over IPv6 with 64.",
			func(r *virtualRouter, v uint8) { r.UnicastTTLMin = v }),
	}
}

// followerFields are what follows the state of a virtual router, and what that follows.
func followerFields() []toml.Field[virtualRouter] {
	return []toml.Field[virtualRouter]{
		toml.Section("announce", announceTable(),
			"How a new master tells the segment, by gratuitous ARP and unsolicited neighbour advertisements, that the VIPs have moved.",
			func(r *virtualRouter, v garp.Config) { r.Announce = v }),
		toml.Derived("track", toml.List(trackTable(), 0, toml.Unlimited), "Something whose failure counts for the virtual router.",
			func(r *virtualRouter, v []tracked) { r.tracks = v }),
		toml.Derived("route", toml.List(routeTable(), 0, toml.Unlimited), "A route that follows the master.",
			func(r *virtualRouter, v []vrrp.Route) { r.Routes = v }),
		toml.Derived("rule", toml.List(ruleTable(), 0, toml.Unlimited), "A routing rule that follows the master.",
			func(r *virtualRouter, v []vrrp.Rule) { r.Rules = v }),
	}
}

// checkRouter works out what the keys of a virtual router say together.
func checkRouter(at toml.Node, r *virtualRouter) {
	checkVersion(at, r)
	checkElection(at, r)
	checkCount(at, r)
	checkUnicast(at, r)
	checkVirtualMAC(at, r)
	checkTracks(at, r)
}

// checkCount keeps each family's VIPs to what an advertisement can list.
func checkCount(at toml.Node, r *virtualRouter) {
	if !at.Sound("vips") {
		return
	}
	for _, half := range r.split() {
		if n := len(half.VIPs); n > maxVIPs {
			at.Key("vips").Mistake("put the rest in excluded_vips", "has %d %s addresses: an advertisement can list %d",
				n, familyName(familyOf(half.VIPs[0].Addr())), maxVIPs)
		}
	}
}

func announceTable() toml.SchemaType[garp.Config] {
	const most = 100
	usual := garp.DefaultConfig()
	repeat := toml.List(toml.Duration(0, time.Hour, time.Nanosecond), 1, most)
	repeat.Values = fmt.Sprintf("1 to %d, ascending, %s", most, repeat.Values)
	return toml.Table(checkAnnounce,
		toml.Optional("repeat", repeat, usual.Repeat, "The moments of the announcements, counted from the take-over.",
			func(c *garp.Config, v []time.Duration) { c.Repeat = v }),
		toml.Optional("refresh", toml.Duration(time.Second, 24*time.Hour, time.Nanosecond, 0), usual.Refresh,
			"The pause between further announcements for as long as this director is master; 0s for none.",
			func(c *garp.Config, v time.Duration) { c.Refresh = v }),
		toml.Optional("spacing", toml.Duration(0, time.Second, time.Nanosecond), usual.Spacing,
			"The least time between two frames, so that switches and neighbours keep up.",
			func(c *garp.Config, v time.Duration) { c.Spacing = v }),
	)
}

func checkAnnounce(at toml.Node, c *garp.Config) {
	if !at.Sound("repeat") {
		return
	}
	for i := 1; i < len(c.Repeat); i++ {
		if c.Repeat[i] <= c.Repeat[i-1] {
			at.Key("repeat").Index(i).Mistake("", "%s is not later than %s before it",
				toml.ShowDuration(c.Repeat[i]), toml.ShowDuration(c.Repeat[i-1]))
		}
	}
}

// interfaceName is the name of a network interface.
func interfaceName() toml.SchemaType[string] {
	return toml.String("an interface name of at most 15 bytes", validInterface)
}

// maxInterface is IFNAMSIZ without the final NUL.
const maxInterface = 15

// validInterface follows the kernel's dev_valid_name.
func validInterface(s string) *toml.Refusal {
	odd := func(r rune) bool { return r == '/' || r == ':' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	switch {
	case s == "", s == ".", s == "..", strings.ContainsFunc(s, odd):
		return toml.Refuse("", "%q cannot be the name of an interface", toml.Abbreviate(s))
	case len(s) > maxInterface:
		return toml.Refuse("", "%q is longer than the %d bytes of an interface name", toml.Abbreviate(s), maxInterface)
	}
	return nil
}
