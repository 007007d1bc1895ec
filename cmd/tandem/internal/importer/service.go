// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"math"
	"net/netip"
	"slices"
	"strings"
)

// A virtualServer is a virtual_server.
type virtualServer struct {
	at          Place
	words       []string // what it is for: ADDRESS [PORT], fwmark NUMBER or group NAME
	family      string   // ip_family
	scheduler   *statement
	flags       []*statement
	onePacket   *statement
	method      *statement
	engine      *statement
	timeout     *statement
	granularity *statement
	protocol    *statement
	suspend     *statement
	alert       *bool
	quorum      *statement
	hysteresis  *statement
	quorumUp    *command
	quorumDown  *command
	weight      *statement
	sorry       *statement
	sorryMethod *statement
	inhibit     Place
	pace        pace
	virtualhost string
	servers     []*realServer
}

func keep(set func(*virtualServer, *statement)) func(*converter, *virtualServer, *statement) {
	return func(c *converter, v *virtualServer, s *statement) { set(v, s) }
}

var serviceHandlers map[string]func(*converter, *virtualServer, *statement)

func init() {
	flag := keep(func(v *virtualServer, s *statement) { v.flags = append(v.flags, s) })
	serviceHandlers = map[string]func(*converter, *virtualServer, *statement){
		"ip_family":               keep(func(v *virtualServer, s *statement) { v.family = s.value() }),
		"lvs_sched":               keep(func(v *virtualServer, s *statement) { v.scheduler = s }),
		"lb_algo":                 keep(func(v *virtualServer, s *statement) { v.scheduler = s }),
		"flag-1":                  flag,
		"flag-2":                  flag,
		"sh-port":                 flag,
		"sh-fallback":             flag,
		"mh-port":                 flag,
		"mh-fallback":             flag,
		"ops":                     keep(func(v *virtualServer, s *statement) { v.onePacket = s }),
		"lvs_method":              keep(func(v *virtualServer, s *statement) { v.method = s }),
		"lb_kind":                 keep(func(v *virtualServer, s *statement) { v.method = s }),
		"persistence_engine":      keep(func(v *virtualServer, s *statement) { v.engine = s }),
		"persistence_timeout":     keep(func(v *virtualServer, s *statement) { v.timeout = s }),
		"persistence_granularity": keep(func(v *virtualServer, s *statement) { v.granularity = s }),
		"protocol":                keep(func(v *virtualServer, s *statement) { v.protocol = s }),
		"ha_suspend":              keep(func(v *virtualServer, s *statement) { v.suspend = s }),
		"smtp_alert":              func(c *converter, v *virtualServer, s *statement) { v.alert = c.flag(s) },
		"virtualhost":             keep(func(v *virtualServer, s *statement) { v.virtualhost = s.value() }),
		"quorum":                  keep(func(v *virtualServer, s *statement) { v.quorum = s }),
		"hysteresis":              keep(func(v *virtualServer, s *statement) { v.hysteresis = s }),
		"quorum_up":               func(c *converter, v *virtualServer, s *statement) { v.quorumUp = c.notified(s) },
		"quorum_down":             func(c *converter, v *virtualServer, s *statement) { v.quorumDown = c.notified(s) },
		"weight":                  keep(func(v *virtualServer, s *statement) { v.weight = s }),
		"sorry_server":            keep(func(v *virtualServer, s *statement) { v.sorry = s }),
		"sorry_server_lvs_method": keep(func(v *virtualServer, s *statement) { v.sorryMethod = s }),
		"inhibit_on_failure":      func(c *converter, v *virtualServer, s *statement) { v.inhibit = c.where(s) },
		"connect_timeout":         func(c *converter, v *virtualServer, s *statement) { v.pace.read(c, s) },
		"retry":                   func(c *converter, v *virtualServer, s *statement) { v.pace.read(c, s) },
		"delay_before_retry":      func(c *converter, v *virtualServer, s *statement) { v.pace.read(c, s) },
		"delay_loop":              func(c *converter, v *virtualServer, s *statement) { v.pace.read(c, s) },
		"real_server":             (*converter).readServer,
	}
}

// where returns the place of a flag that is on; otherwise the zero Place.
func (c *converter) where(s *statement) Place {
	if v := c.flag(s); v != nil && *v {
		return s.at
	}
	return Place{}
}

func (c *converter) readService(s *site, st *statement) {
	v := &virtualServer{at: st.at, words: st.values()}
	walk(c, "virtual_server", v, serviceHandlers, st.block)
	s.services = append(s.services, v)
}

// A part is the part of a virtual server that becomes one [[service]]: the addresses of one family, or one firewall mark.
type part struct {
	name     string
	virtuals []netip.AddrPort
	mark     int64
	six      bool
}

// parts splits a virtual server. A group may have addresses of both families, and several marks.
func (c *converter) parts(v *virtualServer) (all []part) {
	if len(v.words) == 0 {
		c.note(v.at, "", "virtual_server: has no address, fwmark or group, and is left out")
		return nil
	}
	switch what := v.words[0]; {
	case what == "group" && len(v.words) > 1:
		g := c.pools[v.words[1]]
		if g == nil {
			c.note(v.at, "", "virtual_server: there is no virtual_server_group %s, and it is left out", abbreviate(v.words[1]))
			return nil
		}
		return c.groupParts(v, g)
	case what == "fwmark" && len(v.words) > 1:
		n, ok := integer(v.words[1], 1, math.MaxUint32)
		if !ok {
			c.note(v.at, "", "virtual_server: %s is not a firewall mark, and it is left out", abbreviate(v.words[1]))
			return nil
		}
		six := v.family == "inet6" || v.family == "" && c.servesIPv6(v)
		return []part{{name: markName(n, six), mark: n, six: six}}
	default:
		a, err := netip.ParseAddr(what)
		port, ok := portOf(v.words[1:])
		if err != nil || !ok {
			c.note(v.at, "", "virtual_server: %s is not an address with a port, and it is left out",
				abbreviate(strings.Join(v.words, " ")))
			return nil
		}
		to := netip.AddrPortFrom(a, port)
		name := to.String()
		if p := c.protocolOf(v); p != "tcp" {
			name += "-" + p
		}
		return []part{{name: name, virtuals: []netip.AddrPort{to}, six: a.Is6()}}
	}
}

func markName(n int64, six bool) string {
	name := "fwmark-" + tomlInt(n)
	if six {
		name += "-ipv6"
	}
	return name
}

// portOf reads a port that may be missing: then it is 0.
func portOf(words []string) (uint16, bool) {
	if len(words) == 0 {
		return 0, true
	}
	n, ok := integer(words[0], 0, 65535)
	return uint16(n), ok
}

// servesIPv6 reports whether all servers are reached over IPv6: then a firewall mark is of IPv6, unless they are behind tunnels.
func (c *converter) servesIPv6(v *virtualServer) bool {
	for _, s := range v.servers {
		if !s.addr.Is6() || s.method != nil && strings.EqualFold(s.method.value(), "TUN") {
			return false
		}
	}
	return len(v.servers) > 0
}

// noteProtocol tells of a virtual server that has addresses and no protocol. Its clients are often those of TCP, who were never served.
func (c *converter) noteProtocol(v *virtualServer, parts []part) {
	if v.protocol == nil && len(v.servers) > 0 && slices.ContainsFunc(parts, func(p part) bool { return p.mark == 0 }) {
		c.note(v.at, "if its clients come by TCP, write protocol TCP there, and remove protocol from the [[service]]",
			"virtual_server: has no protocol, and keepalived takes UDP: so does the converted file")
	}
}

// protocolOf returns the protocol of a virtual server. keepalived takes UDP where none is given.
func (c *converter) protocolOf(v *virtualServer) string {
	if v.protocol == nil {
		return "udp"
	}
	return strings.ToLower(v.protocol.value())
}

// methodOf reads lvs_method: NAT, DR or TUN with its options. tunnel is nil unless there are any.
func (c *converter) methodOf(s *statement, usual string) (method string, tunnel *table) {
	if s == nil {
		return usual, nil
	}
	switch strings.ToUpper(s.value()) {
	case "NAT":
		return "nat", nil
	case "DR":
		return "dr", nil
	case "TUN":
	default:
		c.odd(s, "NAT, DR or TUN")
		return usual, nil
	}
	words := s.words[2:]
	if len(words) == 0 {
		return "tunnel", nil
	}
	t := &table{key: "tunnel", at: s.at}
	kind, port, checksum := "ipip", "", ""
	for k := 0; k < len(words); k++ {
		next := ""
		if k+1 < len(words) {
			next = words[k+1]
		}
		switch w := strings.ToLower(words[k]); w {
		case "type":
			kind = strings.ToLower(next)
			k++
		case "port":
			port = next
			k++
		case "csum", "remcsum":
			checksum = w
		case "nocsum":
		default:
			c.note(s.at, "", "%s: %s is not understood", s.keyword(), abbreviate(w))
		}
	}
	t.set(s.at, "type", tomlString(kind))
	if n, ok := integer(port, 1, 65535); ok {
		t.set(s.at, "port", tomlInt(n))
	}
	if checksum != "" {
		t.set(s.at, "checksum", tomlString(checksum))
	}
	return "tunnel", t
}
