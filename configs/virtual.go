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

	"github.com/tandem-lvs/tandem/lvs"
)

// maxVirtuals is the most addresses and ports of one service, each of which is a service to the kernel. For more there
// are firewall marks.
const maxVirtuals = 1024

const useMark = "mark their packets by a firewall rule, and write { fwmark = 1 }"

// virtuals are what clients connect to, in any of the forms that a file may give it.
func virtuals() kind[[]lvs.ServiceID] {
	one := endpoints()
	many, mark := list(one, 1, maxVirtuals), markTable()
	return kind[[]lvs.ServiceID]{
		typ:    "string, array of strings or table",
		values: one.values,
		keys:   mark.keys,
		show:   one.show,
		read: func(at place) []lvs.ServiceID {
			switch at.value.(type) {
			case string:
				return one.read(at)
			case []any:
				return slices.Concat(many.read(at)...)
			case map[string]any:
				return []lvs.ServiceID{mark.read(at)}
			}
			at.wrongType("string, array of strings or table", "")
			return nil
		},
	}
}

// endpoints are an address with its port, 0 for all, or with the ports from one to another.
func endpoints() kind[[]lvs.ServiceID] {
	const want = `"192.0.2.100:80", "[2001:db8::100]:8000-8010", an array of such, or { fwmark = 1 }`
	return text("string", want, func(s string) (ids []lvs.ServiceID, _ *refusal) {
		first, last := s, ""
		if dash := strings.LastIndexByte(s, '-'); dash > strings.LastIndexByte(s, ':') {
			first, last = s[:dash], s[dash+1:]
		}
		ap, err := netip.ParseAddrPort(first)
		if err != nil {
			hint := "write " + want
			if a, err := netip.ParseAddr(s); err == nil {
				hint = "its port is missing: write " + netip.AddrPortFrom(a, 80).String()
			}
			return nil, refuse(hint, "%q is not an address with a port", abbreviate(s))
		}
		if no := unicast(ap.Addr()); no != nil {
			return nil, no
		}
		if ap.Port() == 0 && first != s {
			return nil, refuse("write 0 alone for all ports", "port 0 is out of range: want 1 to 65535")
		}
		end := uint64(ap.Port())
		if first != s {
			if end, err = strconv.ParseUint(last, 10, 16); err != nil || end < uint64(ap.Port()) {
				return nil, refuse("", "%q is not a port from %d to 65535", abbreviate(last), ap.Port())
			}
			if n := end - uint64(ap.Port()) + 1; n > maxVirtuals {
				return nil, refuse(useMark, "has %d ports: want at most %d", n, maxVirtuals)
			}
		}
		for port := uint64(ap.Port()); port <= end; port++ {
			ids = append(ids, lvs.ServiceID{Addr: ap.Addr(), Port: uint16(port)})
		}
		return ids, nil
	}, func(ids []lvs.ServiceID) string { return netip.AddrPortFrom(ids[0].Addr, ids[0].Port).String() })
}

func markTable() kind[lvs.ServiceID] {
	return tableOf(nil,
		required("fwmark", integer[uint32](1, math.MaxUint32), "The firewall mark.",
			func(id *lvs.ServiceID, v uint32) { id.FWMark = v }),
		optional("family", enum(lvs.IPv4, lvs.IPv6), lvs.IPv4, "The address family of the marked packets.",
			func(id *lvs.ServiceID, v lvs.Family) { id.Family = v }),
	)
}

// checkVirtuals makes the virtuals, and puts into each what holds for all.
func checkVirtuals(at place, s *virtualService) {
	here := at.key("virtual")
	if !at.sound("virtual") {
		return
	}
	mark := len(s.ids) > 0 && s.ids[0].FWMark != 0
	if mark && at.given("protocol") && at.sound("protocol") {
		at.key("protocol").mistake("remove it", "has no meaning for a firewall mark, which may be on packets of any protocol")
	}
	if len(s.ids) > maxVirtuals {
		here.mistake(useMark, "has %d addresses and ports: want at most %d", len(s.ids), maxVirtuals)
		return
	}
	given := make(map[lvs.ServiceID]bool)
	for _, id := range s.ids {
		if !mark {
			id.Protocol = s.protocol
		}
		switch {
		case given[id]:
			here.mistake("", "%s is there twice", id)
			return
		case serviceFamily(id) != serviceFamily(s.ids[0]):
			here.mistake("make them two services", "has addresses of both families")
			return
		}
		given[id] = true
		v := s.common
		v.ServiceID = id
		s.Virtuals = append(s.Virtuals, v)
	}
}

// A persistence is how long and by what a client is known again.
type persistence struct {
	timeout time.Duration
	prefix  uint8
	engine  string
}

func persistenceTable() kind[persistence] {
	return tableOf(nil,
		optional("timeout", duration(time.Second, lvs.MaxTimeout, time.Second), 5*time.Minute,
			"The time after its last connection in which a client comes back to its server.",
			func(p *persistence, v time.Duration) { p.timeout = v }),
		derived("prefix", integer[uint8](1, 128),
			"How many bits of their address tell clients apart, at most 32 over IPv4; all of them unless given.",
			func(p *persistence, v uint8) { p.prefix = v }),
		derived("engine", oneOf(lvs.Engines()...),
			"Tells clients apart by something in their packets instead, for udp services: sip by the Call-ID.",
			func(p *persistence, v string) { p.engine = v }),
	)
}

// A schedulerFlag is a flag with the name of its scheduler.
type schedulerFlag struct{ name, scheduler string }

func flagOfScheduler() kind[schedulerFlag] {
	flags := make([]schedulerFlag, 0, len(lvs.SchedulerFlags()))
	for _, name := range lvs.SchedulerFlags() {
		_, scheduler, _ := lvs.ParseSchedulerFlag(name) // which gave us the name
		flags = append(flags, schedulerFlag{name, scheduler})
	}
	return choice(func(f schedulerFlag) string { return f.name }, flags)
}

// checkPersistence puts persistence and flags into the virtuals, and refuses those that go with something else.
func checkPersistence(at place, s *virtualService) {
	udp := s.protocol == lvs.UDP || len(s.ids) > 0 && s.ids[0].FWMark != 0
	known := at.sound("virtual", "protocol")
	if s.common.Flags&lvs.OnePacket != 0 && !udp && known {
		at.key("one_packet").mistake("", "is for udp: %s has connections", s.protocol)
	}
	for _, v := range s.Virtuals {
		if v.FWMark == 0 && v.Port == 0 && !at.given("persistence") {
			at.key("virtual").mistake("give it `persistence`", "port 0 of %s stands for all ports, between which only persistence keeps a client on its server", v.Addr)
			break
		}
	}
	var flags lvs.Flags
	for i, f := range s.flags {
		flag, scheduler, err := lvs.ParseSchedulerFlag(f.name)
		if err != nil {
			continue // it is a mistake already
		}
		flags |= flag
		if scheduler != s.common.Scheduler && at.sound("scheduler") {
			at.key("scheduler_flags").index(i).mistake("", "%q has no meaning for scheduler %q", f.name, s.common.Scheduler)
		}
	}
	p := s.persistence
	if at.given("persistence") && at.sound("persistence") && known && len(s.Virtuals) > 0 {
		here := at.key("persistence")
		if most := familyBits(serviceFamily(s.ids[0])); p.prefix > most {
			here.key("prefix").mistake("", "%d is out of range: want 1 to %d", p.prefix, most)
		}
		if p.engine != "" && !udp {
			here.key("engine").mistake("", "%q is for udp", p.engine)
		}
	}
	for i := range s.Virtuals {
		v := &s.Virtuals[i]
		v.Flags |= flags
		v.Persist(p.timeout, p.prefix)
		v.Engine = p.engine
	}
}

// familyBits is the length of an address.
func familyBits(f lvs.Family) uint8 {
	if f == lvs.IPv4 {
		return 32
	}
	return 128
}

// defaultName writes a virtual so that different ones differ: 192.0.2.100:53, 192.0.2.100:53-udp, fwmark-1.
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
