// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// maxVirtuals is the maximum number of addresses and ports of one service. Each of them is a service in the kernel. A
// firewall mark can cover more.
const maxVirtuals = 1024

const useMark = "mark their packets with a firewall rule, and write { fwmark = 1 }"

// virtuals returns the schema type of what clients connect to: a string, an array of strings, or a table.
func virtuals() toml.SchemaType[[]lvs.ServiceID] {
	one := endpoints()
	many, mark := toml.List(one, 1, maxVirtuals), markTable()
	return toml.SchemaType[[]lvs.ServiceID]{
		Name:   "string, array of strings or table",
		Values: one.Values,
		Keys:   mark.Keys,
		Show:   one.Show,
		Read: func(at toml.Node) []lvs.ServiceID {
			switch at.Value.(type) {
			case string:
				return one.Read(at)
			case []any:
				return slices.Concat(many.Read(at)...)
			case map[string]any:
				return []lvs.ServiceID{mark.Read(at)}
			}
			at.WrongType("string, array of strings or table", "")
			return nil
		},
	}
}

// wantEndpoints are the forms of what clients connect to, for people.
const wantEndpoints = `"192.0.2.100:80", "192.0.2.100-120:80", "[2001:db8::100]:8000-8010", an array of such, or { fwmark = 1 }`

// endpoints returns the schema type of an address or a range of addresses, with a port, with port 0 for all ports, or with a range
// of ports.
func endpoints() toml.SchemaType[[]lvs.ServiceID] {
	return toml.Text(wantEndpoints, func(s string) ([]lvs.ServiceID, *toml.Refusal) {
		if addrs, ports, is := cutRange(s); is {
			return addressRange(addrs, ports)
		}
		return parseEndpoint(s)
	}, func(ids []lvs.ServiceID) string { return netip.AddrPortFrom(ids[0].Addr, ids[0].Port).String() })
}

// parseEndpoint reads an address with its port or ports.
func parseEndpoint(s string) (ids []lvs.ServiceID, _ *toml.Refusal) {
	first, last := s, ""
	if dash := strings.LastIndexByte(s, '-'); dash > strings.LastIndexByte(s, ':') {
		first, last = s[:dash], s[dash+1:]
	}
	ap, err := netip.ParseAddrPort(first)
	if err != nil {
		hint := "write " + wantEndpoints
		if a, err := netip.ParseAddr(s); err == nil {
			hint = "its port is missing: write " + netip.AddrPortFrom(a, 80).String()
		}
		return nil, toml.Refuse(hint, "%q is not an address with a port", toml.Abbreviate(s))
	}
	if no := unicast(ap.Addr()); no != nil {
		return nil, no
	}
	if ap.Port() == 0 && first != s {
		return nil, toml.Refuse("write 0 alone for all ports", "port 0 is out of range: want 1 to 65535")
	}
	end := uint64(ap.Port())
	if first != s {
		if end, err = strconv.ParseUint(last, 10, 16); err != nil || end < uint64(ap.Port()) {
			return nil, toml.Refuse("", "%q is not a port from %d to 65535", toml.Abbreviate(last), ap.Port())
		}
		if n := end - uint64(ap.Port()) + 1; n > maxVirtuals {
			return nil, toml.Refuse(useMark, "has %d ports: want at most %d", n, maxVirtuals)
		}
	}
	for port := uint64(ap.Port()); port <= end; port++ {
		ids = append(ids, lvs.ServiceID{Addr: ap.Addr(), Port: uint16(port)})
	}
	return ids, nil
}

func markTable() toml.SchemaType[lvs.ServiceID] {
	return toml.Table(nil,
		toml.Required("fwmark", toml.Integer[uint32](1, math.MaxUint32), "1", "The firewall mark.",
			func(id *lvs.ServiceID, v uint32) { id.FWMark = v }),
		toml.Optional("family", toml.Enum(lvs.IPv4, lvs.IPv6), lvs.IPv4, "The address family of the marked packets.",
			func(id *lvs.ServiceID, v lvs.Family) { id.Family = v }),
	)
}

// checkVirtuals makes the virtuals, with the common settings in each.
func checkVirtuals(at toml.Node, s *virtualService) {
	here := at.Key("virtual")
	if !at.Sound("virtual") {
		return
	}
	mark := len(s.ids) > 0 && s.ids[0].FWMark != 0
	if mark && at.Has("protocol") && at.Sound("protocol") {
		at.Key("protocol").Mistake("remove it", "has no meaning for a firewall mark: it may be on packets of any protocol")
	}
	if len(s.ids) > maxVirtuals {
		here.Mistake(useMark, "has %d addresses and ports: want at most %d", len(s.ids), maxVirtuals)
		return
	}
	given := make(map[lvs.ServiceID]bool)
	for _, id := range s.ids {
		if !mark {
			id.Protocol = s.protocol
		}
		switch {
		case given[id]:
			here.Mistake("", "%s is given twice", id)
			return
		case id.AddrFamily() != s.ids[0].AddrFamily():
			here.Mistake("split it into two services", "has addresses of both families")
			return
		}
		given[id] = true
		v := s.common
		v.ServiceID = id
		s.Virtuals = append(s.Virtuals, v)
	}
}

// A persistence has the time for which a client stays with its server, and the prefix by which clients are identified.
type persistence struct {
	timeout time.Duration
	prefix  uint8
	engine  string
}

func persistenceTable() toml.SchemaType[persistence] {
	return toml.Table(nil,
		toml.Optional("timeout", toml.Duration(time.Second, lvs.MaxTimeout, time.Second), 5*time.Minute,
			"A client gets the same server until this time has passed since its last connection.",
			func(p *persistence, v time.Duration) { p.timeout = v }),
		toml.Derived("prefix", toml.Integer[uint8](1, 128),
			"The number of leading bits of an address that identify a client. Over IPv4 it is at most 32.",
			func(p *persistence, v uint8) { p.prefix = v }).Unset("all of them").Example("24"),
		toml.Derived("engine", toml.OneOf(lvs.Engines()...),
			"If set, a client is identified by the content of its packets, not by its address. sip: by the Call-ID.",
			func(p *persistence, v string) { p.engine = v }).OnlyFor("UDP services").Unset("none").Example(`"sip"`),
	)
}

// A schedulerFlag is a flag with the name of its scheduler.
type schedulerFlag struct{ name, scheduler string }

func flagOfScheduler() toml.SchemaType[schedulerFlag] {
	flags := make([]schedulerFlag, 0, len(lvs.SchedulerFlags()))
	for _, name := range lvs.SchedulerFlags() {
		_, scheduler, _ := lvs.ParseSchedulerFlag(name) // the name is one of its own
		flags = append(flags, schedulerFlag{name, scheduler})
	}
	return toml.Choice(func(f schedulerFlag) string { return f.name }, flags)
}

// checkPersistence puts persistence and flags into the virtuals, and refuses those that do not fit the service.
func checkPersistence(at toml.Node, s *virtualService) {
	udp := s.protocol == lvs.UDP || len(s.ids) > 0 && s.ids[0].FWMark != 0
	known := at.Sound("virtual", "protocol")
	if s.common.Flags&lvs.OnePacket != 0 && !udp && known {
		at.Key("one_packet").Mistake("", "is for udp: %s has connections", s.protocol)
	}
	for _, v := range s.Virtuals {
		if v.FWMark == 0 && v.Port == 0 && !at.Has("persistence") {
			at.Key("virtual").Mistake("add persistence",
				"port 0 of %s means all ports: without persistence, a client may reach a different server on each port", v.Addr)
			break
		}
	}
	flags := lvs.NeededFlags(s.common.Scheduler)
	for i, f := range s.flags {
		flag, scheduler, err := lvs.ParseSchedulerFlag(f.name)
		if err != nil {
			continue // it is a mistake already
		}
		flags |= flag
		if scheduler != s.common.Scheduler && at.Sound("scheduler") {
			at.Key("scheduler_flags").Index(i).Mistake("", "%q has no meaning for scheduler %q", f.name, s.common.Scheduler)
		}
	}
	p := s.persistence
	if at.Has("persistence") && at.Sound("persistence") && known && len(s.Virtuals) > 0 {
		here := at.Key("persistence")
		if most := s.ids[0].AddrFamily().Bits(); p.prefix > most {
			here.Key("prefix").Mistake("", "%d is out of range: want 1 to %d", p.prefix, most)
		}
		if p.engine != "" && !udp {
			here.Key("engine").Mistake("", "%q is for UDP services", p.engine)
		}
	}
	for i := range s.Virtuals {
		v := &s.Virtuals[i]
		v.Flags |= flags
		v.Persist(p.timeout, p.prefix)
		v.Engine = p.engine
	}
}

// defaultName returns a name that differs for different virtuals: 192.0.2.100:53, 192.0.2.100:53-udp, fwmark-1.
func defaultName(id lvs.ServiceID) string {
	if id.FWMark != 0 {
		name := fmt.Sprintf("fwmark-%d", id.FWMark)
		if id.Family != lvs.IPv4 {
			name += "-" + id.Family.String()
		}
		return name
	}
	name := netip.AddrPortFrom(id.Addr, id.Port).String()
	if id.Protocol != lvs.TCP {
		name += "-" + id.Protocol.String()
	}
	return name
}
