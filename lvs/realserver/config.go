// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

//go:generate go tool stringer -type Method,Mode,Action -linecomment -output names_string.go

// A Method is how a real server hides the VIPs from its network.
type Method uint8

// The methods, by their names in files: sysctl, arpfilter.
const (
	// Sysctl makes the kernel answer ARP requests only for addresses of the interface that receives the request
	// (arp_ignore), and send its own requests from an address of the interface that sends them (arp_announce).
	Sysctl Method = iota + 1 // sysctl
	// ARPFilter makes nftables drop requests for a VIP, and write the machine's own address into requests that it sends.
	ARPFilter // arpfilter
)

// A Mode is how packets reach the real server.
type Mode uint8

// The modes, by their names in files: dr, tunnel, nat.
const (
	// DirectRouting: in an Ethernet frame, from a director on the same segment. The VIPs are on lo.
	DirectRouting Mode = iota + 1 // dr
	// Tunnel: inside another IP packet. The VIPs are on the kernel's tunl0 and ip6tnl0.
	Tunnel // tunnel
	// NAT: with the machine's own address as destination. The directors translate the addresses of the answers back, so the
	// default route leads to the VIP that they have in the machine's network.
	NAT // nat
)

// MarshalText implements encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Mode) UnmarshalText(text []byte) (err error) {
	*m, err = named(text, DirectRouting, Tunnel, NAT)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (m Method) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Method) UnmarshalText(text []byte) (err error) {
	*m, err = named(text, Sysctl, ARPFilter)
	return err
}

// named returns the value that has a name.
func named[T fmt.Stringer](name []byte, values ...T) (none T, err error) {
	for _, v := range values {
		if v.String() == string(name) {
			return v, nil
		}
	}
	return none, fmt.Errorf("unknown value %q: write one of %v", name, values)
}

// A Config is the wanted state of a real server. The zero Config is a machine that is no real server.
type Config struct {
	VIPs   []netip.Addr `json:"vips,omitempty"` // unicast, without zones, each once
	Mode   Mode         `json:"mode,omitzero"`
	Method Method       `json:"method,omitzero"`
	// Interfaces are those that hide the VIPs. Empty: every Ethernet interface that has an IPv4 address.
	Interfaces []string `json:"interfaces,omitempty"`
	// DropIn is a file of sysctl.d(5) that makes the same settings when the machine starts. Empty: no file.
	DropIn string `json:"drop_in,omitempty"`
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	if len(c.VIPs) == 0 {
		return errors.New("no VIP is given")
	}
	for i, vip := range c.VIPs {
		switch {
		case !vip.IsValid() || vip.Zone() != "" || vip.Is4In6() || vip.IsUnspecified() || vip.IsMulticast() || vip.IsLoopback():
			return fmt.Errorf("%s cannot be a VIP", vip)
		case slices.Contains(c.VIPs[:i], vip):
			return fmt.Errorf("%s is given twice", vip)
		}
	}
	switch c.Mode {
	case DirectRouting, Tunnel:
	case NAT:
		for i, vip := range c.VIPs {
			if slices.ContainsFunc(c.VIPs[:i], func(o netip.Addr) bool { return o.Is4() == vip.Is4() }) {
				return fmt.Errorf("%s: mode nat has one default route for IPv4 and one for IPv6: give one VIP of each", vip)
			}
		}
	default:
		return fmt.Errorf("mode %d is unknown", c.Mode)
	}
	if c.Method != Sysctl && c.Method != ARPFilter {
		return fmt.Errorf("method %d is unknown", c.Method)
	}
	return nil
}

// device returns the interface that carries a VIP.
func (c Config) device(vip netip.Addr) string {
	switch {
	case c.Mode != Tunnel:
		return loopback
	case vip.Is4():
		return tunnel4
	}
	return tunnel6
}

// carried returns the VIPs that are on the machine itself: all of them, except with NAT.
func (c Config) carried() []netip.Addr {
	if c.Mode == NAT {
		return nil
	}
	return c.VIPs
}

// vips4 returns the IPv4 VIPs that are on the machine itself.
func (c Config) vips4() []netip.Addr {
	return slices.DeleteFunc(slices.Clone(c.carried()), netip.Addr.Is6)
}

// carries reports whether a VIP is on the machine itself.
func (c Config) carries(vip netip.Addr) bool { return slices.Contains(c.carried(), vip) }

// Devices returns the interfaces that carry the VIPs, each once.
func (c Config) Devices() []string {
	var names []string
	for _, vip := range c.carried() {
		if name := c.device(vip); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

const (
	loopback = "lo"
	tunnel4  = "tunl0"
	tunnel6  = "ip6tnl0"
)

// whole returns the prefix that contains one address.
func whole(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// has4 reports whether an IPv4 VIP is on the machine itself. IPv6 needs no settings: neighbour discovery answers only for
// addresses of the interface that was asked, and asks only from them.
func (c Config) has4() bool { return slices.ContainsFunc(c.carried(), netip.Addr.Is4) }
