// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"math"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// A virtualService is a service as it is written, before what holds for all its virtuals is put into each.
type virtualService struct {
	Service
	ids         []lvs.ServiceID
	common      lvs.Service
	protocol    lvs.Protocol
	persistence persistence
	flags       []schedulerFlag
	tunnel      lvs.Encapsulation // of the servers that name no other
}

func serviceTable() toml.SchemaType[virtualService] {
	return toml.Table(checkService,
		toml.Derived("name", identifier(), "The service's name in logs, status and commands; the first virtual written out unless given.",
			func(s *virtualService, v string) { s.Name = v }),
		toml.Required("virtual", virtuals(),
			"What clients connect to: addresses of one family with their ports, where 0 is all ports and needs persistence, "+
				"or the firewall mark that a rule puts on their packets.",
			func(s *virtualService, v []lvs.ServiceID) { s.ids = v }),
		toml.Optional("protocol", toml.Enum(lvs.TCP, lvs.UDP, lvs.SCTP), lvs.TCP, "The transport. A firewall mark has none of its own.",
			func(s *virtualService, v lvs.Protocol) { s.protocol = v }),
		toml.Optional("scheduler", toml.OneOf(lvs.Schedulers()...), "wlc", "How the kernel chooses a real server for a new connection.",
			func(s *virtualService, v string) { s.common.Scheduler = v }),
		toml.Optional("scheduler_flags", toml.List(flagOfScheduler(), 0, toml.Unlimited), nil,
			"What sh and mh do besides: take another server instead of one of weight 0, and look at the client's port too.",
			func(s *virtualService, v []schedulerFlag) { s.flags = v }),
		toml.Derived("persistence", persistenceTable(), "Makes a client come back to its server. Without it each connection is scheduled anew.",
			func(s *virtualService, v persistence) { s.persistence = v }),
		toml.Optional("one_packet", toml.Boolean(), false, "Schedules every datagram by itself, for UDP services whose clients keep their port.",
			func(s *virtualService, v bool) {
				if v {
					s.common.Flags |= lvs.OnePacket
				}
			}),
		toml.Optional("method", toml.Enum(lvs.DR, lvs.NAT, lvs.Tunnel), lvs.DR, "How packets reach the real servers.",
			func(s *virtualService, v lvs.Method) { s.Method = v }),
		toml.Derived("tunnel", tunnelTable(), "What packets to the servers of method tunnel are wrapped in; IP in IP unless given.",
			func(s *virtualService, v lvs.Encapsulation) { s.tunnel = v }),
		toml.Optional("on_failure", toml.Enum(lvs.WeightZero, lvs.Remove), lvs.WeightZero,
			"What becomes of a server that fails its check: no new connections, or out of the table with those that it has.",
			func(s *virtualService, v lvs.OnFailure) { s.OnFailure = v }),
		toml.Optional("slow_start", toml.Duration(0, time.Hour, time.Nanosecond), 0,
			"How long a server that has come up takes to its full weight.",
			func(s *virtualService, v time.Duration) { s.SlowStart = v }),
		toml.Optional("drain_timeout", toml.Duration(0, 24*time.Hour, time.Nanosecond), 0,
			"How long a server that has left the configuration, by itself or with its service, may stay in the table for its "+
				"connections, at weight 0. It goes with the last of them.",
			func(s *virtualService, v time.Duration) { s.DrainTimeout = v }),
		toml.Optional("quorum", toml.Integer(1, maxQuorum), 1,
			"The weight of healthy servers, taken together, below which the service has lost its quorum.",
			func(s *virtualService, v int) { s.Quorum = v }),
		toml.Optional("quorum_hysteresis", toml.Integer(0, maxQuorum), 0,
			"Quorum is lost only below the quorum less this, and regained at the quorum and this; less than the quorum.",
			func(s *virtualService, v int) { s.Hysteresis = v }),
		toml.Derived("sorry_server", sorryTable(), "Serves all new clients while quorum is lost. None unless given.",
			func(s *virtualService, v Server) { s.Sorry = &v }),
		toml.Optional("panic_below", toml.Number(0, 1), 0,
			"The share of healthy servers below which all are treated as healthy, rather than to let the rest be crushed; 0 is never.",
			func(s *virtualService, v float64) { s.PanicBelow = v }),
		toml.Optional("min_up", toml.Integer(1, math.MaxUint16), 1,
			"A [[vrrp]] that tracks the service fails with fewer healthy servers; at most their number.",
			func(s *virtualService, v int) { s.MinUp = v }),
		toml.Derived("check", checkUses(), "How the real servers are checked. Without it they are not, and count as healthy.",
			func(s *virtualService, v []checkUse) { s.uses = v }),
		toml.Optional("check_pass", toml.Enum(PassAll, PassAny), PassAll, "Whether all of several checks must pass, or any of them.",
			func(s *virtualService, v Pass) { s.Pass = v }),
		toml.Optional("check_when", toml.Enum(CheckAlways, CheckMaster), CheckAlways,
			"Whether both directors check, so that the backup knows the servers, or only the master of the service's address. "+
				"Servers that are not checked count as healthy.",
			func(s *virtualService, v CheckWhen) { s.CheckWhen = v }),
		toml.Required("server", toml.List(serverTable(), 1, toml.Unlimited), "A real server.",
			func(s *virtualService, v []Server) { s.Servers = v }),
	)
}

// maxQuorum is what any number of servers weighs that a file may have.
const maxQuorum = 1 << 30

// checkService works out a service's name, its virtuals and its servers, and what they say together.
func checkService(at toml.Node, s *virtualService) {
	checkVirtuals(at, s)
	checkPersistence(at, s)
	if !at.Has("name") && len(s.Virtuals) > 0 {
		s.Name = defaultName(s.Virtuals[0].ServiceID)
	}
	total := 0
	for i := range s.Servers {
		server := &s.Servers[i]
		checkServer(at.Key("server").Index(i), at.Sound("virtual", "method", "tunnel"), s, server)
		total += server.Weight
	}
	if at.Sound("server", "virtual", "method") {
		checkDifferent(at, s)
	}
	if total == 0 && at.Sound("server") && len(s.Servers) > 0 {
		at.Warn("", "all its servers have weight 0: no client will be served")
	}
	if n := len(s.Servers); s.MinUp > n && at.Sound("min_up", "server") {
		at.Key("min_up").Mistake("", "%d is more than the servers that the service has, %d", s.MinUp, n)
	}
	checkQuorum(at, s, total)
	if at.Has("tunnel") && at.Sound() && !s.tunnels() {
		at.Key("tunnel").Mistake("remove it", `has no meaning: no server has the method "tunnel"`)
	}
}

// checkQuorum refuses a quorum that cannot be reached, and a sorry server that is no other.
func checkQuorum(at toml.Node, s *virtualService, total int) {
	if at.Sound("quorum", "quorum_hysteresis", "server") && (at.Has("quorum") || at.Has("quorum_hysteresis")) {
		switch {
		case s.Hysteresis >= s.Quorum:
			at.Key("quorum_hysteresis").Mistake("", "%d is not less than the quorum, %d: it would never be lost", s.Hysteresis, s.Quorum)
		case s.Quorum+s.Hysteresis > total && s.Hysteresis > 0:
			at.Key("quorum_hysteresis").Mistake("", "quorum and hysteresis are %d, and all servers together weigh %d: lost once, it would never be regained",
				s.Quorum+s.Hysteresis, total)
		case s.Quorum > total:
			at.Key("quorum").Mistake("", "%d is more than all servers together weigh, %d", s.Quorum, total)
		}
	}
	if s.Sorry == nil {
		return
	}
	here := at.Key("sorry_server")
	checkServer(here, at.Sound("virtual", "method", "tunnel"), s, s.Sorry)
	if !here.Sound("address", "port") || !at.Sound("virtual", "server") {
		return
	}
	for i, server := range s.Servers {
		if s.clash(server, *s.Sorry) {
			here.Key("address").Mistake("", "%s is already %s", showServer(s.Sorry.ServerID), at.Key("server").Index(i).Describe())
			return
		}
	}
}

// tunnels tells whether a server of the service, or its sorry server, is reached by a tunnel.
func (s *virtualService) tunnels() bool {
	for _, server := range s.Servers {
		if server.Method == lvs.Tunnel {
			return true
		}
	}
	return s.Sorry != nil && s.Sorry.Method == lvs.Tunnel
}

// services leaves what only the checks of a service need.
func services(written []virtualService) []Service {
	all := make([]Service, len(written))
	for i := range written {
		all[i] = written[i].Service
	}
	return all
}

// checkServices finds what two services must not share.
func checkServices(at toml.Node, services []Service) {
	names, ids := firstUse[string]{}, firstUse[lvs.ServiceID]{}
	for i, s := range services {
		service := at.Index(i)
		unique := service.Sound("virtual", "protocol")
		if unique {
			for _, v := range s.Virtuals {
				earlier, ok := ids.add(v.ServiceID, service)
				if unique = ok; !ok {
					service.Key("virtual").Mistake("", "%s is already %s", v.ServiceID, earlier.Describe())
					break
				}
			}
		}
		checkName(names, s.Name, unique, service)
	}
}
