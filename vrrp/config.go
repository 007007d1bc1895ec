// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// A Config describes one virtual router: one VRID of one address family on one interface.
type Config struct {
	// Name is unique among the virtual routers of a director.
	Name string `json:"name"`
	// Interface is the link that carries the advertisements and, without VirtualMAC, the VIPs.
	Interface string `json:"interface"`
	// VRID is 1 to 255 and unique among the virtual routers of a segment and family.
	VRID uint8 `json:"vrid"`
	// Version is the protocol version on the wire: 3 (RFC 9568), or 2 (RFC 3768) for IPv4 alone.
	Version uint8 `json:"version"`
	// Priority is 1 to 254, or 255 for the owner of the addresses.
	Priority uint8 `json:"priority"`
	// AdvertInterval is a whole number of centiseconds, 10 ms to 40.95 s (RFC 9568, section 5.2.7), and in version 2
	// of seconds, 1 s to 255 s.
	AdvertInterval time.Duration `json:"advert_interval"`
	// VIPs are the virtual addresses with the prefix length they get on the interface, all of one family. Without any, the
	// router only runs the election.
	VIPs []netip.Prefix `json:"vips"`
	// ExcludedVIPs are added and removed with the VIPs, but are not in the advertisements. They may be of either family.
	ExcludedVIPs []netip.Prefix `json:"excluded_vips,omitempty"`
	// VIPInterfaces has the interface of each VIP and excluded VIP that is not on the AddressInterface. There are none with
	// VirtualMAC.
	VIPInterfaces map[netip.Addr]string `json:"vip_interfaces,omitempty"`
	// VIPLabels has the label of each VIP and excluded VIP that has one, of at most 15 octets. Only IPv4 addresses have labels.
	VIPLabels map[netip.Addr]string `json:"vip_labels,omitempty"`
	// NoPrefixRoute keeps the kernel from adding a route for a VIP's prefix.
	NoPrefixRoute bool `json:"no_prefix_route,omitempty"`

	// Preempt lets this router take over from a master of lower priority (RFC 9568, section 6.1: Preempt_Mode).
	Preempt bool `json:"preempt"`
	// DownAdverts is the number of advertisement intervals after which a silent master counts as gone, 3 to 20. 0 is
	// DownAdverts.
	DownAdverts uint8 `json:"down_adverts,omitempty"`
	// Carrier says whether a missing carrier of the Interface is a fault. 0 is CarrierTrack.
	Carrier Carrier `json:"carrier,omitempty"`
	// Debounce is how long the Interface must be without a carrier before this is a fault, and how long it must have one again. An
	// interface that is missing or down is a fault at once.
	Debounce Debounce `json:"debounce,omitzero"`
	// PreemptDelay is the delay before preempting.
	PreemptDelay time.Duration `json:"preempt_delay,omitempty"`
	// Witnessed says that the router has witnesses: then it tells when its master is Silent, so that they can be asked in time.
	Witnessed bool `json:"witnessed,omitempty"`
	// Fenced says that the router, before it takes over from a silent master, must be told that this one is fenced: see
	// Status.Claim.
	Fenced bool `json:"fenced,omitempty"`
	// StartupDelay is how long the router listens after its start before it may become master.
	StartupDelay time.Duration `json:"startup_delay,omitempty"`
	// SyncGroup names the group whose members change state together; empty: none.
	SyncGroup string `json:"sync_group,omitempty"`

	// Password is the simple-text authentication of version 2, 1 to 8 octets; empty: none. It is sent in clear.
	Password string `json:"password,omitempty"`
	// HMAC is how advertisements are signed; the zero HMAC: they are not.
	HMAC HMAC `json:"hmac,omitzero"`
	// Checksum is the checksum form sent for version 3 over IPv4. Both forms are accepted.
	Checksum Checksum `json:"checksum,omitempty"`
	// UnicastPeers are the other routers; empty: multicast. Unicast packets from other senders are dropped.
	UnicastPeers []netip.Addr `json:"unicast_peers,omitempty"`
	// Heartbeat are more paths of the advertisements. They are sent by all of them, and a master counts as gone when all are
	// silent. There are at most MaxHeartbeat.
	Heartbeat []Path `json:"heartbeat,omitempty"`
	// Source is the address that advertisements are sent from; the zero Addr: the primary one.
	Source netip.Addr `json:"source,omitzero"`
	// UnicastTTLMin is the lowest accepted TTL or hop limit of an advertisement from a unicast peer, 1 to 255: 255 minus
	// the greatest number of routers in between.
	UnicastTTLMin uint8 `json:"unicast_ttl_min,omitempty"`

	// VirtualMAC puts the VIPs on a macvlan interface with the virtual router's MAC address (RFC 9568, section 7.3).
	VirtualMAC bool `json:"virtual_mac,omitempty"`
	// VirtualMACInterface is the name of that interface, at most 15 octets.
	VirtualMACInterface string `json:"virtual_mac_interface,omitempty"`

	// TrackInterfaces are the interfaces that this router tracks.
	TrackInterfaces []TrackInterface `json:"track_interfaces,omitempty"`
	// Routes and Rules are added and removed with the VIPs.
	Routes []Route `json:"routes,omitempty"`
	Rules  []Rule  `json:"rules,omitempty"`
}

// Family returns the address family of the virtual router, 4 or 6: that of its VIPs. Without VIPs it is that of its unicast
// peers, without these that of its Source, and without that 4.
func (c *Config) Family() uint8 {
	a := c.Source
	switch {
	case len(c.VIPs) > 0:
		a = c.VIPs[0].Addr()
	case len(c.UnicastPeers) > 0:
		a = c.UnicastPeers[0]
	}
	if a.Is6() {
		return 6
	}
	return 4
}

// InterfaceOf returns the interface that a VIP or excluded VIP is put on.
func (c *Config) InterfaceOf(vip netip.Addr) string {
	if name, elsewhere := c.VIPInterfaces[vip]; elsewhere {
		return name
	}
	return c.AddressInterface()
}

// AllTrackInterfaces returns the TrackInterfaces, and those of VIPInterfaces: unless such an interface is tracked with a weight,
// its fault is a fault of the virtual router. A VIP on it reaches nobody.
func (c *Config) AllTrackInterfaces() []TrackInterface {
	if len(c.VIPInterfaces) == 0 {
		return c.TrackInterfaces
	}
	all := slices.Clone(c.TrackInterfaces)
	for _, name := range slices.Sorted(maps.Values(c.VIPInterfaces)) {
		if !slices.ContainsFunc(all, func(t TrackInterface) bool { return t.Interface == name }) {
			all = append(all, TrackInterface{Interface: name})
		}
	}
	return all
}

// DownCount returns the number of advertisement intervals after which a silent master counts as gone.
func (c *Config) DownCount() int {
	if c.DownAdverts == 0 {
		return DownAdverts
	}
	return int(c.DownAdverts)
}

// Silence returns how long DownCount advertisements take.
func (c *Config) Silence() time.Duration { return time.Duration(c.DownCount()) * c.AdvertInterval }

// DownTime returns the Active_Down_Interval of the router at a priority, if the master has the same advertisement interval
// (RFC 9568, section 6.1).
func (c *Config) DownTime(priority uint8) time.Duration {
	return c.Silence() + Skew(priority, c.AdvertInterval)
}

// LinkFault returns why the router cannot take part on its Interface. If it can, LinkFault returns the zero Cause.
func (c *Config) LinkFault(l Link) Cause {
	why := l.FaultCause()
	if why.Kind == FaultLinkCarrier && c.Carrier == CarrierIgnore {
		return Cause{}
	}
	return why
}

// Equal reports whether two configurations are the same.
func (c *Config) Equal(d *Config) bool { return reflect.DeepEqual(c, d) }

// SameRouter reports whether two configurations are of the same virtual router, which keeps its role if one replaces the
// other.
func (c *Config) SameRouter(d *Config) bool {
	return c.Name == d.Name && c.VRID == d.VRID && c.Family() == d.Family()
}

// AddressInterface returns the interface that holds the VIPs: with VirtualMAC the virtual router's own, by default
// called vrrp.VRID or, for IPv6, vrrp6.VRID.
func (c *Config) AddressInterface() string {
	switch {
	case !c.VirtualMAC:
		return c.Interface
	case c.VirtualMACInterface != "":
		return c.VirtualMACInterface
	case c.Family() == 6:
		return fmt.Sprintf("vrrp6.%d", c.VRID)
	}
	return fmt.Sprintf("vrrp.%d", c.VRID)
}

// MAC returns the virtual MAC address that the AddressInterface should have. Without one it returns the zero VirtualMAC.
func (c *Config) MAC() VirtualMAC {
	if !c.VirtualMAC {
		return VirtualMAC{}
	}
	return VirtualMAC{Parent: c.Interface, VRID: c.VRID, IPv6: c.Family() == 6}
}

// A Carrier says what a missing carrier of its interface means to a virtual router.
type Carrier uint8

// The values, by their names in configuration: track, ignore.
const (
	CarrierTrack  Carrier = iota + 1 // it is a fault
	CarrierIgnore                    // nothing: on a crossover cable, the carrier is gone when the peer is
)

// String returns the value as files name it.
func (c Carrier) String() string {
	switch c {
	case CarrierTrack:
		return "track"
	case CarrierIgnore:
		return "ignore"
	}
	return "unknown"
}

// A Checksum says what the checksum of a version 3 advertisement over IPv4 covers. RFC 5798 was understood in two ways. Over
// IPv6 there is one form.
type Checksum uint8

// The forms, by their names in configuration: pseudo-header, packet.
const (
	ChecksumPseudoHeader Checksum = iota + 1 // with the pseudo-header, as keepalived and FRR send it
	ChecksumPacket                           // the VRRP packet alone
)

// String returns the form as files name it.
func (c Checksum) String() string {
	switch c {
	case ChecksumPseudoHeader:
		return "pseudo-header"
	case ChecksumPacket:
		return "packet"
	}
	return "unknown"
}

// A Route is on the master only.
type Route struct {
	To     netip.Prefix `json:"to"`               // 0.0.0.0/0 and ::/0 are the default routes
	Via    netip.Addr   `json:"via,omitzero"`     // the zero Addr: on the link
	Device string       `json:"device,omitempty"` // empty: the VIPs' interface
	Source netip.Addr   `json:"source,omitzero"`  // preferred source; the zero Addr: the kernel's choice
	Table  uint32       `json:"table,omitempty"`  // 0: the main table
	Metric uint32       `json:"metric,omitempty"`
	OnLink bool         `json:"on_link,omitempty"` // Via is reached directly, whatever the addresses say
}

// A Rule is on the master only.
type Rule struct {
	Family   uint8        `json:"family"`           // 4 or 6
	From     netip.Prefix `json:"from,omitzero"`    // the zero Prefix: all
	To       netip.Prefix `json:"to,omitzero"`      // the zero Prefix: all
	FWMark   uint32       `json:"fwmark,omitempty"` // 0: any
	Table    uint32       `json:"table"`
	Priority uint32       `json:"priority"`
}

// String returns the rule in the words of ip-rule(8).
func (r Rule) String() string {
	s := fmt.Sprintf("%d:", r.Priority)
	if r.From.IsValid() {
		s += " from " + r.From.String()
	} else {
		s += " from all"
	}
	if r.To.IsValid() {
		s += " to " + r.To.String()
	}
	if r.FWMark != 0 {
		s += fmt.Sprintf(" fwmark %#x", r.FWMark)
	}
	return s + fmt.Sprintf(" lookup %d", r.Table)
}

// A VirtualMAC is the MAC address of a virtual router on the link of a parent interface. A macvlan interface has this
// address, and the VIPs. The zero value is none.
//
// The macvlan is in VEPA mode. In private mode the kernel hides from the parent the packets that others send from the same
// address. Routers that follow RFC 9568, section 7.2, send their advertisements from it (keepalived and this project do).
//
// The macvlan is down while it holds no VIP. A backup must send nothing from the address, else the switches learn it at
// the backup's port.
type VirtualMAC struct {
	Parent string
	VRID   uint8
	IPv6   bool
}

// Hardware returns the address (RFC 9568, section 7.3).
func (v VirtualMAC) Hardware() [6]byte {
	family := byte(0x01)
	if v.IPv6 {
		family = 0x02
	}
	return [6]byte{0x00, 0x00, 0x5e, 0x00, family, v.VRID}
}
