// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A virtualRouter is a [[vrrp]] as it is written. With VIPs of both families it is two virtual routers.
type virtualRouter struct {
	Router // what both families have, with the addresses of both
	named  bool
	tracks []tracked
	keys   []KeyFile // without the router's name
	hooks  []Hook
	asks   witnessing
	synced bool // preempt = "synced"
}

func routerTable() toml.SchemaType[virtualRouter] {
	return toml.Table(checkRouter,
		slices.Concat(identityFields(), electionFields(), addressFields(), unicastFields(), witnessFields(), followerFields())...)
}

// identityFields are what a virtual router is on the wire.
func identityFields() []toml.Field[virtualRouter] {
	return []toml.Field[virtualRouter]{
		toml.Derived("name", identifier(), "The virtual router's name in logs, status and commands.",
			func(r *virtualRouter, v string) { r.Name, r.named = v, true }).
			Unset("interface and vrid, such as eth0-51").Example(`"web"`),
		toml.Required("interface", interfaceName(), `"eth0"`,
			"The interface that carries the advertisements and gets the VIPs. It may be missing when the daemon starts.",
			func(r *virtualRouter, v string) { r.Interface = v }),
		toml.Optional("carrier", toml.Enum(vrrp.CarrierTrack, vrrp.CarrierIgnore), vrrp.CarrierTrack,
			"What it means that the interface has no carrier. track: it is a fault of the virtual router. ignore: it is none. That is for "+
				"a cable that leads to the other director only: when the other director is off, this cable has no carrier, and this "+
				"director must still become or stay master. If the cable itself breaks, both directors are masters. The VIPs are "+
				"usually on another interface then: see vips.",
			func(r *virtualRouter, v vrrp.Carrier) { r.Carrier = v }),
		toml.Section("debounce", debounceTable(),
			"How long the interface must be without a carrier before the virtual router fails, and how long with one before it works again. "+
				"Without it, a change counts at once. With down_delay, a master whose cable is out for less than that stays master. It is "+
				"silent meanwhile, so a backup takes over if that is longer than the master-down time. An interface that is missing or "+
				"down counts at once.",
			func(r *virtualRouter, v vrrp.Debounce) { r.Debounce = v }),
		toml.Required("vrid", toml.Integer[uint8](1, 255), "51",
			"The virtual router id. It must be the same on both directors. No other pair on the network may use it.",
			func(r *virtualRouter, v uint8) { r.VRID = v }),
		toml.Optional("version", protocolVersion(), 3, "The version of VRRP on the wire.",
			func(r *virtualRouter, v uint8) { r.Version = v }),
		toml.Optional("checksum", toml.Enum(vrrp.ChecksumPseudoHeader, vrrp.ChecksumPacket), vrrp.ChecksumPseudoHeader,
			"The form of the checksum that version 3 sends over IPv4. Both forms are accepted. keepalived and FRR send pseudo-header.",
			func(r *virtualRouter, v vrrp.Checksum) { r.Checksum = v }),
		toml.Derived("hmac", hmacTable(),
			"Signed advertisements, as with auth_hmac of keepalived from 2.4.2 on (draft-cassen-vrrp-auth-hmac): a keyed hash, and a "+
				"number that makes a repeated advertisement useless. keepalived 2.4.0 and 2.4.1 compute another hash, which is refused here. "+
				"Without hmac, any machine that can send to this one can end or take over the role of master by a forged advertisement. It "+
				"does not protect against other attacks, such as forged ARP.\n"+
				"To give a running pair a key without an outage, set mode receive-only on one director after the other and reload each. Then "+
				"do the same with permissive, and then with enforce.\n"+
				"To replace a key without an outage, add the new one on both directors. Then change active_key on both. Then remove the old one. "+
				"Reload both after each step. `tandem status -v` shows the mode, the keys and the latest refusals.",
			func(r *virtualRouter, v signing) { r.HMAC, r.keys = v.HMAC, v.keys }).Unset("unsigned"),
		toml.Derived("auth_pass", toml.Secret(toml.String("1 to 8 printable ASCII characters", validPassword), "********"),
			"The password. It is sent unencrypted: it protects against mistakes, not against attackers.",
			func(r *virtualRouter, v string) { r.Password = v }).
			OnlyFor("version 2").Unset("no authentication").Example(`"not-safe"`),
	}
}

// electionFields are how a virtual router becomes master.
func electionFields() []toml.Field[virtualRouter] {
	return []toml.Field[virtualRouter]{
		toml.Optional("priority", toml.Integer[uint8](1, 255), 100,
			"The director with the higher priority becomes master. 255 is for a machine that owns the addresses.\n"+
				"BACKUP: the normal state of a director that is not master. It takes over when it hears no master.\n"+
				"Standby: by command. After `tandem failover` a director runs at priority 1 until `tandem release`.\n"+
				"Step-back: automatic. While a director cannot serve, or does not know yet whether it can, it runs at priority 1. "+
				"In standby and in step-back it still takes over if its peer dies.",
			func(r *virtualRouter, v uint8) { r.Priority = v }),
		toml.Optional("advert_interval", advertInterval(), time.Second,
			"The interval of the master's advertisements. The backup takes over when it has heard none for a little more than "+
				"down_adverts intervals.",
			func(r *virtualRouter, v time.Duration) { r.AdvertInterval = v }),
		toml.Optional("down_adverts", toml.Integer[uint8](vrrp.DownAdverts, vrrp.MaxDownAdverts), vrrp.DownAdverts,
			"The number of intervals without an advertisement after which the master counts as gone. RFC 9568 says 3. A greater number "+
				"is for a network that loses packets: a failover after the master's death takes longer, and a few lost advertisements "+
				"do not make a second master. With fewer than 3, one lost advertisement could. Set the same number on both directors.",
			func(r *virtualRouter, v uint8) { r.DownAdverts = v }),
		toml.Optional("preempt", preemptions(), preemptAlways, preemptDoc,
			func(r *virtualRouter, v preemption) { r.Preempt, r.synced = v != preemptNever, v == preemptSynced }),
		toml.Optional("preempt_delay", toml.Duration(0, time.Hour, time.Nanosecond), 0,
			"How long this director waits before it takes over from a master of lower priority.",
			func(r *virtualRouter, v time.Duration) { r.PreemptDelay = v }),
		toml.Optional("preempt_sync_limit", toml.Duration(time.Second, time.Hour, time.Nanosecond), time.Minute,
			"How long this director waits at most for the connections of the other one. After that it takes over all the same, and warns. "+
				"A connection without packets is not copied: the clients of such connections lose them then.",
			func(r *virtualRouter, v time.Duration) { r.PreemptSyncLimit = v }).OnlyFor("preempt = \"synced\""),
		toml.Optional("startup_delay", toml.Duration(0, time.Hour, time.Nanosecond), 0,
			"How long this director only listens after its start. It cannot become master in this time.",
			func(r *virtualRouter, v time.Duration) { r.StartupDelay = v }),
		toml.Derived("sync_group", identifier(), "The name of a group of virtual routers that change state together. The "+
			"group shares all tracks of its members, and the weights are added up. If several members have the same track "+
			"with the same weight, it counts once. If the group has several interfaces, and no other machine answers on one "+
			"of them, the director steps back.",
			func(r *virtualRouter, v string) { r.SyncGroup = v }).Unset("no group").Example(`"web"`),
	}
}

// addressFields are the virtual addresses, and where they are put.
func addressFields() []toml.Field[virtualRouter] {
	vips := placedAddresses()
	excluded := vips
	excluded.Keys = nil // they are those of vips
	return []toml.Field[virtualRouter]{
		toml.Derived("vips", vips.Valued("0 to %d addresses of each family, %s", maxVIPs, vips.Values),
			"The virtual addresses, with the prefix length that they get on the interface. An address without one gets /32 or "+
				"/128. An address may be a table with the keys address and interface. With another interface than the one for the "+
				"advertisements, a fault of that interface is a fault of the virtual router, unless it is tracked with a weight.\n"+
				"If there are addresses of both families, tandem makes two virtual routers: NAME for IPv4, and NAME-ipv6 for "+
				"IPv6.\n"+
				"Without VIPs, the virtual router only elects a master, for its hooks. Its family is that of unicast_peers or source, "+
				"otherwise IPv4. keepalived allows this in version 2 only.",
			func(r *virtualRouter, v []placedVIP) { r.VIPs = r.place(v) }).Unset("none").Example(`["192.0.2.100/24"]`),
		toml.Optional("excluded_vips", excluded.Valued("any number of addresses, %s", vips.Values), nil,
			"More virtual addresses. They are added and removed with the others, but are not in the advertisements.",
			func(r *virtualRouter, v []placedVIP) { r.ExcludedVIPs = r.place(v) }),
		toml.Optional("noprefixroute", toml.Boolean(), false, "If true, the kernel adds no route for the prefix of each VIP.",
			func(r *virtualRouter, v bool) { r.NoPrefixRoute = v }),
		toml.Optional("virtual_mac", toml.Boolean(), false,
			"If true, the VIPs are on a macvlan interface of their own, with the MAC address that RFC 9568 defines for the "+
				"virtual router. The macvlan is on top of the interface that the key `interface` names. That lower interface "+
				"must not answer ARP for the VIPs. So tandem sets arp_ignore = 1 and arp_announce = 2 on the lower interface. "+
				"When tandem is stopped, it restores both.",
			func(r *virtualRouter, v bool) { r.VirtualMAC = v }),
		toml.Derived("virtual_mac_interface", interfaceName(),
			"The name of the macvlan interface. If the VIPs are of both families, the one for IPv6 is this name with -6.",
			func(r *virtualRouter, v string) { r.VirtualMACInterface = v }).
			Unset("vrrp.VRID for IPv4, vrrp6.VRID for IPv6").Example(`"vrrp.52"`),
	}
}

// unicastFields are how the advertisements are sent where multicast is not possible.
func unicastFields() []toml.Field[virtualRouter] {
	return []toml.Field[virtualRouter]{
		toml.Optional("unicast_peers", toml.List(neighbour(), 0, maxPeers).Valued("0 to %d addresses", maxPeers), nil,
			"The addresses of the other directors. tandem sends advertisements to each of these addresses, not to the "+
				"multicast group. Then only their advertisements are accepted.",
			func(r *virtualRouter, v []netip.Addr) { r.UnicastPeers = v }),
		toml.Derived("source", neighbour(), "The address that advertisements are sent from. The interface must have it. At equal "+
			"priorities, the director with the higher address becomes master. Multicast over IPv6 needs a link-local address.",
			func(r *virtualRouter, v netip.Addr) { r.Source = v }).
			Unset("the primary address of the interface; over IPv6 its link-local address").Example(`"192.0.2.9"`),
		heartbeatField(),
		toml.Derived("unicast_source", neighbour(), "The same as source, for unicast advertisements only.",
			func(r *virtualRouter, v netip.Addr) { r.Source = v }).Unset("that of source").Example(`"198.51.100.2"`),
		toml.Optional("unicast_ttl_min", toml.Integer[uint8](1, 255), 255,
			"The lowest TTL or hop limit that is accepted from a unicast peer: 255 minus the number of routers in between. "+
				"keepalived sends with 64 over IPv6.",
			func(r *virtualRouter, v uint8) { r.UnicastTTLMin = v }),
	}
}

// followerFields are what follows the state of a virtual router, and what its state depends on.
func followerFields() []toml.Field[virtualRouter] {
	return []toml.Field[virtualRouter]{
		toml.Section("announce", announceTable(),
			"How a new master announces that the VIPs have moved: by gratuitous ARP and unsolicited neighbour advertisements.",
			func(r *virtualRouter, v garp.Config) { r.Announce = v }),
		toml.Derived("track", toml.List(trackTable(), 0, toml.Unlimited),
			"Something that the virtual router depends on. Each table has one of interface, script, file, service, check, process and unit.\n"+
				"Tables may be in one line: track = [{ interface = \"eth1\" }, { service = \"www\", weight = -50 }].",
			func(r *virtualRouter, v []tracked) { r.tracks = v }),
		toml.Derived("hook", toml.List(routerHookTable(), 0, toml.Unlimited),
			"Something that the director does when the state of the virtual router has changed: it runs a program, or posts to a URL.\n"+hookDoc,
			func(r *virtualRouter, v []Hook) { r.hooks = v }),
		toml.Derived("route", toml.List(routeTable(), 0, toml.Unlimited), "A route that only the master has.",
			func(r *virtualRouter, v []vrrp.Route) { r.Routes = v }),
		toml.Derived("rule", toml.List(ruleTable(), 0, toml.Unlimited),
			"A routing rule that only the master has. A rule without addresses applies to each family of the VIPs.",
			func(r *virtualRouter, v []vrrp.Rule) { r.Rules = v }),
	}
}

// checkRouter applies the rules about several keys of a virtual router.
func checkRouter(at toml.Node, r *virtualRouter) {
	checkVersion(at, r)
	checkHMAC(at, r)
	checkElection(at, r)
	checkPlaces(at, r)
	checkCount(at, r)
	checkSource(at, r)
	checkUnicast(at, r)
	checkHeartbeat(at, r)
	checkVirtualMAC(at, r)
	checkTracks(at, r)
	checkWitness(at, r)
	r.Fenced = slices.ContainsFunc(r.hooks, func(h Hook) bool { return h.Before })
}

// checkCount refuses more VIPs of a family than an advertisement can list.
func checkCount(at toml.Node, r *virtualRouter) {
	if !at.Sound("vips") {
		return
	}
	for _, half := range r.split() {
		if n := len(half.VIPs); n > maxVIPs {
			at.Key("vips").Mistake("put the rest in excluded_vips", "has %d %s addresses: an advertisement can list %d",
				n, familyName(lvs.FamilyOf(half.VIPs[0].Addr())), maxVIPs)
		}
	}
}

func debounceTable() toml.SchemaType[vrrp.Debounce] {
	return toml.Table(nil,
		toml.Optional("up_delay", delay(), 0, "How long the interface must have a carrier before the fault is over.",
			func(d *vrrp.Debounce, v time.Duration) { d.UpDelay = v }),
		toml.Optional("down_delay", delay(), 0, "How long the carrier must be missing before that is a fault.",
			func(d *vrrp.Debounce, v time.Duration) { d.DownDelay = v }),
	)
}

// delay is how long a change of an interface must last.
func delay() toml.SchemaType[time.Duration] { return toml.Duration(0, 10*time.Minute, time.Nanosecond) }

func announceTable() toml.SchemaType[garp.Config] {
	const most = 100
	usual := garp.DefaultConfig()
	repeat := toml.List(toml.Duration(0, time.Hour, time.Nanosecond), 1, most)
	return toml.Table(checkAnnounce,
		toml.Optional("repeat", repeat.Valued("1 to %d times, ascending, each %s", most, repeat.Values), usual.Repeat,
			"The times of the announcements, counted from the takeover.",
			func(c *garp.Config, v []time.Duration) { c.Repeat = v }),
		toml.Optional("refresh", toml.Duration(time.Second, 24*time.Hour, time.Nanosecond, 0), usual.Refresh,
			"The interval of further announcements after those of repeat, while this director is master. 0s turns them off.",
			func(c *garp.Config, v time.Duration) { c.Refresh = v }),
		toml.Optional("spacing", toml.Duration(0, time.Second, time.Nanosecond), usual.Spacing,
			"The minimum time between two frames, so that switches and neighbours keep up.",
			func(c *garp.Config, v time.Duration) { c.Spacing = v }),
	)
}

func checkAnnounce(at toml.Node, c *garp.Config) {
	if !at.Sound("repeat") {
		return
	}
	for i := 1; i < len(c.Repeat); i++ {
		if c.Repeat[i] <= c.Repeat[i-1] {
			at.Key("repeat").Index(i).Mistake("", "%s is not later than the one before it, %s",
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
