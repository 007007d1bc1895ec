// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// An addressGroup is a virtual_server_group.
type addressGroup struct {
	at    Place
	lines []*statement
}

func (c *converter) readPool(s *site, st *statement) {
	s.pools[st.value()] = &addressGroup{st.at, st.block}
}

// groupParts returns the parts of a virtual server that has the addresses and marks of a group.
func (c *converter) groupParts(v *virtualServer, g *addressGroup) (all []part) {
	name := identifier(v.words[1])
	marked := name
	if p := c.protocolOf(v); p != "tcp" {
		name += "-" + p
	}
	if v.protocol != nil {
		marked = name
	}
	four, six := part{name: name}, part{name: name, six: true}
	for _, s := range g.lines {
		if s.keyword() == "fwmark" {
			c.option(s.at, "virtual_server_group", "fwmark")
			n, ok := integer(s.value(), 1, math.MaxUint32)
			if !ok {
				c.odd(s, "a firewall mark")
				continue
			}
			is6 := s.valueAt(2) == "inet6" || s.valueAt(2) == "" && v.family == "inet6"
			all = append(all, part{name: marked + "-" + markName(n, is6), mark: n, six: is6})
			continue
		}
		addrs, ok := addressRange(s.keyword())
		port, isPort := portOf(s.values())
		if !ok || !isPort {
			c.note(s.at, "a group may have 1024 addresses; for more, use a firewall mark", "virtual_server_group: %s is not an address, "+
				"a range of addresses or a port, and is left out", abbreviate(strings.Join(s.words, " ")))
			continue
		}
		for _, a := range addrs {
			to := &four
			if a.Is6() {
				to = &six
			}
			to.virtuals = append(to.virtuals, netip.AddrPortFrom(a, port))
		}
	}
	if len(four.virtuals) > 0 && len(six.virtuals) > 0 {
		six.name += "-ipv6"
	}
	for _, p := range []part{six, four} {
		if len(p.virtuals) > 0 {
			all = append([]part{p}, all...)
		}
	}
	return all
}

// maxAddresses is the maximum number of addresses of a [[service]].
const maxAddresses = 1024

// addressRange reads 192.0.2.1, 192.0.2.1-10, 192.0.2.250-192.0.3.10 or 192.0.2.8/29. The last number of an IPv6 range is
// hexadecimal.
func addressRange(s string) (all []netip.Addr, ok bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		for a := p.Masked().Addr(); p.Contains(a) && len(all) <= maxAddresses; a = a.Next() {
			all = append(all, a)
		}
		return all, len(all) <= maxAddresses
	}
	from, to, is := strings.Cut(s, "-")
	first, err := netip.ParseAddr(from)
	if err != nil {
		return nil, false
	}
	last := first
	if is {
		if last, err = netip.ParseAddr(to); err != nil {
			last, ok = lastPart(first, to)
			if !ok {
				return nil, false
			}
		}
	}
	if last.BitLen() != first.BitLen() || last.Less(first) {
		return nil, false
	}
	for a := first; a.IsValid() && !last.Less(a); a = a.Next() {
		if all = append(all, a); len(all) > maxAddresses {
			return nil, false
		}
	}
	return all, true
}

// lastPart replaces the last part of an address.
func lastPart(a netip.Addr, s string) (netip.Addr, bool) {
	if a.Is4() {
		n, err := strconv.ParseUint(s, 10, 8)
		b := a.As4()
		b[3] = byte(n)
		return netip.AddrFrom4(b), err == nil
	}
	n, err := strconv.ParseUint(s, 16, 16)
	b := a.As16()
	b[14], b[15] = byte(n>>8), byte(n)
	return netip.AddrFrom16(b), err == nil
}
