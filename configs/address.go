// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// showServer writes a server without port 0.
func showServer(id lvs.ServerID) string {
	if id.Port == 0 {
		return id.Addr.String()
	}
	return id.String()
}

// unicast refuses an address that no host can have, and notations that are not read in the same way everywhere.
func unicast(a netip.Addr) *toml.Refusal {
	switch {
	case a.Zone() != "":
		return toml.Refuse("", "%s has a zone: an address with a zone cannot be balanced", a)
	case a.Is4In6():
		return toml.Refuse("write "+a.Unmap().String(), "%s is an IPv4 address in IPv6 notation", a)
	case a.IsUnspecified():
		return toml.Refuse("", "%s is not a host address", a)
	case a.IsMulticast():
		return toml.Refuse("", "%s is a multicast address", a)
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return toml.Refuse("", "%s is the broadcast address", a)
	}
	return nil
}

// hostAddress returns the schema type of the address of a machine, without a port.
func hostAddress() toml.SchemaType[netip.Addr] {
	return toml.Text("an IPv4 or IPv6 address", func(s string) (netip.Addr, *toml.Refusal) {
		a, no := parseHost(s)
		if _, err := netip.ParseAddrPort(s); err == nil {
			no.Hint = "the port has a key of its own, port"
		}
		return a, no
	}, netip.Addr.String)
}

// parseHost returns a readable address even if it refuses it.
func parseHost(s string) (netip.Addr, *toml.Refusal) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, toml.Refuse("", "%q is not an address", toml.Abbreviate(s))
	}
	return a, unicast(a)
}

// neighbour returns the schema type of the address of a machine on the network, or of this one.
func neighbour() toml.SchemaType[netip.Addr] {
	return toml.Text("an IPv4 or IPv6 address", func(s string) (netip.Addr, *toml.Refusal) {
		a, no := parseHost(s)
		switch {
		case a.Zone() != "":
			return a, needlessZone(a)
		case a.IsLoopback():
			return a, toml.Refuse("", "%s is a loopback address", a)
		}
		return a, no
	}, netip.Addr.String)
}

// needlessZone refuses the zone of an address that is on a known interface.
func needlessZone(a netip.Addr) *toml.Refusal {
	return toml.Refuse("write "+a.WithZone("").String(), "%s has a zone, which follows from the interface", a)
}

// network returns the schema type of a prefix, or an address, which means the prefix with that address only.
func network() toml.SchemaType[netip.Prefix] {
	return toml.Text(`a prefix or an address ("198.51.100.0/24")`, parseNetwork, netip.Prefix.String)
}

// destination returns the schema type of the destination of a route. The zero Prefix is the default route, of any family.
func destination() toml.SchemaType[netip.Prefix] {
	return toml.Text(`"default", a prefix or an address ("198.51.100.0/24")`, func(s string) (netip.Prefix, *toml.Refusal) {
		if s == "default" {
			return netip.Prefix{}, nil
		}
		return parseNetwork(s)
	}, netip.Prefix.String)
}

func parseNetwork(s string) (netip.Prefix, *toml.Refusal) {
	p, no := parsePrefix(s, "198.51.100.0/24", "198.51.100.7")
	switch a := p.Addr(); {
	case no != nil:
		return netip.Prefix{}, no
	case a.Is4In6():
		return netip.Prefix{}, toml.Refuse("write it in IPv4 notation", "%s is an IPv4 address in IPv6 notation", a)
	case p != p.Masked():
		return netip.Prefix{}, toml.Refuse("write "+p.Masked().String(), "%s has bits set beyond its prefix", p)
	}
	return p, nil
}

// virtualAddress returns the schema type of a VIP with or without its prefix length.
func virtualAddress() toml.SchemaType[netip.Prefix] {
	return toml.Text(`each with or without its prefix length ("192.0.2.100/24")`,
		func(s string) (netip.Prefix, *toml.Refusal) {
			p, no := parsePrefix(s, "192.0.2.100/24", "192.0.2.100")
			if no == nil {
				no = holdable(p)
			}
			if no != nil {
				return netip.Prefix{}, no
			}
			return p, nil
		}, netip.Prefix.String)
}

// parsePrefix reads an address with or without its prefix length. The examples are for the hint.
func parsePrefix(s, prefix, address string) (netip.Prefix, *toml.Refusal) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, toml.Refuse(fmt.Sprintf("write %q or %q", prefix, address), "%q is not an address", toml.Abbreviate(s))
		}
		if a.Zone() != "" { // a Prefix cannot keep it
			return netip.Prefix{}, needlessZone(a)
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, toml.Refuse(fmt.Sprintf("write %q", prefix),
			"%q is not an address with a prefix length", toml.Abbreviate(s))
	}
	return p, nil
}

// holdable refuses an address that an interface cannot have as a virtual address.
func holdable(p netip.Prefix) *toml.Refusal {
	a := p.Addr()
	switch no := unicast(a); {
	case no != nil:
		return no
	case a.IsLoopback():
		return toml.Refuse("", "%s is a loopback address", a)
	case p.Bits() == 0:
		return toml.Refuse("", "prefix length 0 would make every address a neighbour")
	case p.Bits() >= a.BitLen()-1: // RFC 3021 and 6164: two addresses, both of them hosts
		return nil
	case a == p.Masked().Addr() && a.Is6():
		return toml.Refuse("", "%s is the subnet-router anycast address of %s (RFC 4291, section 2.6.1)", a, p)
	case a == p.Masked().Addr():
		return toml.Refuse("", "%s is the address of the network %s itself", a, p)
	case a.Is4() && a == broadcast(p):
		return toml.Refuse("", "%s is the broadcast address of %s", a, p.Masked())
	}
	return nil
}

// broadcast returns the last address of an IPv4 prefix.
func broadcast(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(a)
}

// splitHostPort splits host:port, where the host may be empty or an IPv6 address in brackets.
func splitHostPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	host, port = s[:i], s[i+1:]
	if inner, open := strings.CutPrefix(host, "["); open {
		host, ok = strings.CutSuffix(inner, "]")
		return host, port, ok && !strings.ContainsAny(host, "[]")
	}
	return host, port, !strings.ContainsAny(host, ":[]")
}
