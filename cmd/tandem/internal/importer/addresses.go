// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"net/netip"
	"slices"
	"strings"
)

// A placed is a VIP.
type placed struct {
	at      Place
	prefix  netip.Prefix
	length  bool // it has a prefix length of its own
	dev     string
	label   string
	noRoute bool
}

// addresses reads the lines of virtual_ipaddress: ADDRESS[/LENGTH] [OPTION [VALUE]]…
func (c *converter) addresses(s *statement) (all []placed) {
	for _, st := range s.block {
		a, bits, ok := prefixOf(st.keyword())
		if !ok {
			c.note(st.at, "keepalived ignores it: correct it there first", "%s: %s is not an address", s.keyword(),
				abbreviate(st.keyword()))
			continue
		}
		p := placed{at: st.at, length: bits >= 0}
		if bits == badLength {
			c.note(st.at, "write the length of the prefix, as /24, in both files",
				"%s: keepalived does not understand the length of %s, and takes %d: so does the converted file",
				s.keyword(), abbreviate(st.keyword()), a.BitLen())
		}
		if bits < 0 {
			bits = a.BitLen()
		}
		p.prefix = netip.PrefixFrom(a.WithZone(""), bits)
		c.addressOptions(st, &p)
		if slices.ContainsFunc(all, func(o placed) bool { return o.prefix.Addr() == a.WithZone("") }) {
			c.note(st.at, "", "%s: %s is there twice: this line is left out", s.keyword(), a)
			continue
		}
		all = append(all, p)
	}
	return all
}

func (c *converter) addressOptions(st *statement, p *placed) {
	for k := 1; k < len(st.words); k++ {
		name := st.words[k]
		row, ok := c.option(st.at, "address", name)
		switch {
		case !ok:
			c.note(st.at, "", "%s: %s is not understood", abbreviate(st.keyword()), abbreviate(name))
			continue
		case name == "dev":
			p.dev = st.valueAt(k + 1)
		case name == "label":
			p.label = st.valueAt(k + 1)
		case name == "noprefixroute":
			p.noRoute = true
		case row.fate == missing:
			c.note(st.at, row.text, "%s of %s: has no equivalent", name, st.keyword())
		}
		switch name {
		case "dev", "brd", "broadcast", "scope", "label", "peer", "preferred_lft", "track_group":
			k++
		}
	}
}

// sameFamily leaves out VIPs of another family than the first, which keepalived ignores.
func (c *converter) sameFamily(all []placed) []placed {
	return slices.DeleteFunc(slices.Clone(all), func(p placed) bool {
		other := p.prefix.Addr().Is4() != all[0].prefix.Addr().Is4()
		if other {
			c.note(p.at, "put it into virtual_ipaddress_excluded there, or into vips of the converted file: then it gets a virtual "+
				"router of its own",
				"virtual_ipaddress: %s is of another family than the first address, and keepalived ignores it: this never worked",
				p.prefix.Addr())
		}
		return other
	})
}

// emitAddresses writes the VIPs, and the interface of their virtual MAC address.
func (c *converter) emitAddresses(t *table, i *instance) {
	without := 0
	i.vips = c.sameFamily(i.vips)
	for _, group := range []struct {
		key string
		all []placed
	}{{"vips", i.vips}, {"excluded_vips", i.excluded}} {
		var list []string
		var from []Place
		for _, p := range group.all {
			a := p.prefix.String()
			if !p.length {
				a = p.prefix.Addr().String()
			}
			value := tomlString(a)
			if fields := c.placement(i, p); fields != "" {
				value = "{ address = " + value + fields + " }"
			}
			list, from = append(list, value), append(from, p.at)
			if p.noRoute {
				without++
			}
		}
		if list != nil {
			t.setList(group.all[0].at, group.key, list).from = from
		}
	}
	switch n := len(i.vips) + len(i.excluded); {
	case without > 0 && without == n:
		t.set(i.vips0(), "noprefixroute", "true")
	case without > 0:
		c.note(i.vips0(), "make a vrrp_instance of those with it",
			"noprefixroute: %d of %d addresses have it, and tandem has it for all or none: "+
				"it is left out", without, n)
	}
	c.emitMacvlan(t, i)
}

// placement returns the other keys of a VIP: its interface, if that is another one, and its label. A label begins with the
// interface, has at most 15 bytes, and is for IPv4 only.
func (c *converter) placement(i *instance, p placed) (fields string) {
	dev := i.link()
	if p.dev != "" && p.dev != dev {
		dev = p.dev
		fields = ", interface = " + tomlString(dev)
	}
	switch odd := strings.ContainsFunc(p.label, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }); {
	case p.label == "":
	case !strings.HasPrefix(p.label, dev+":") || len(p.label) > 15 || odd || p.prefix.Addr().Is6() || i.macvlan != nil:
		c.note(p.at, "a label is for IPv4, begins with the interface and a colon, and has at most 15 characters",
			"label %s of %s is left out",
			abbreviate(p.label), p.prefix.Addr())
	default:
		fields += ", label = " + tomlString(p.label)
	}
	return fields
}

// vips0 returns the place of the first VIP.
func (i *instance) vips0() Place {
	for _, p := range append(i.vips[:len(i.vips):len(i.vips)], i.excluded...) {
		return p.at
	}
	return i.at
}

// emitMacvlan translates use_vmac [[name] NAME] [MAC] [netlink_notify_msg] [group GROUP].
func (c *converter) emitMacvlan(t *table, i *instance) {
	s := i.macvlan
	if s == nil {
		return
	}
	t.set(s.at, "virtual_mac", "true")
	if i.xmitBase != nil && i.peers == nil {
		// The kernel gives a frame from the MAC address of a macvlan interface of its own to that interface only.
		c.note(i.xmitBase.at, "remove it on the machine that still runs keepalived, or use unicast_peers on both; nothing is to be done if "+
			"both run tandem", "vmac_xmit_base: tandem sends advertisements from the virtual MAC address, and a keepalived with "+
			"vmac_xmit_base does not hear those: both would be master")
	}
	name := ""
	words := s.values()
	for k := 0; k < len(words); k++ {
		switch w := words[k]; {
		case len(w) >= 14 && w[2] == ':':
			c.note(s.at, "", "use_vmac: the MAC address is the one of RFC 9568: %s is left out", abbreviate(w))
		case w == "netlink_notify_msg": // tandem hears of its own interfaces
		case w == "group" && k+1 < len(words):
			k++
			c.note(s.at, "set the group with a .link file or ip link", "use_vmac: group has no equivalent")
		case w == "name" && k+1 < len(words):
			k++
			name = words[k]
		default:
			name = w
		}
	}
	if name == "" && c.global.macvlanPrefix != "" {
		name = c.global.macvlanPrefix + "." + tomlInt(i.vrid)
		if i.ipv6() {
			name = c.global.macvlanPrefix + "6." + tomlInt(i.vrid)
		}
	}
	if name != "" {
		t.set(s.at, "virtual_mac_interface", tomlString(name))
	}
}
