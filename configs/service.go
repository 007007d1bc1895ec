// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"math"
	"time"

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

func serviceTable() kind[virtualService] {
	return tableOf(checkService,
		derived("name", identifier(), "The service's name in logs, status and commands; the first virtual written out unless given.",
			func(s *virtualService, v string) { s.Name = v }),
		required("virtual", virtuals(),
			"What clients connect to: addresses of one family with their ports, where 0 is all ports and needs persistence, "+
				"or the firewall mark that a rule puts on their packets.",
			func(s *virtualService, v []lvs.ServiceID) { s.ids = v }),
		optional("protocol", enum(lvs.TCP, lvs.UDP, lvs.SCTP), lvs.TCP, "The transport. A firewall mark has none of its own.",
			func(s *virtualService, v lvs.Protocol) { s.protocol = v }),
		optional("scheduler", oneOf(lvs.Schedulers()...), "wlc", "How the kernel chooses a real server for a new connection.",
			func(s *virtualService, v string) { s.common.Scheduler = v }),
		optional("scheduler_flags", list(flagOfScheduler(), 0, unlimited), nil,
			"What sh and mh do besides: take another server instead of one of weight 0, and look at the client's port too.",
			func(s *virtualService, v []schedulerFlag) { s.flags = v }),
		derived("persistence", persistenceTable(), "Makes a client come back to its server. Without it each connection is scheduled anew.",
			func(s *virtualService, v persistence) { s.persistence = v }),
		optional("one_packet", boolean(), false, "Schedules every datagram by itself, for UDP services whose clients keep their port.",
			func(s *virtualService, v bool) {
				if v {
					s.common.Flags |= lvs.OnePacket
				}
			}),
		optional("method", enum(lvs.DR, lvs.NAT, lvs.Tunnel), lvs.DR, "How packets reach the real servers.",
			func(s *virtualService, v lvs.Method) { s.Method = v }),
		derived("tunnel", tunnelTable(), "What packets to the servers of method tunnel are wrapped in; IP in IP unless given.",
			func(s *virtualService, v lvs.Encapsulation) { s.tunnel = v }),
		optional("on_failure", enum(lvs.WeightZero, lvs.Remove), lvs.WeightZero,
			"What becomes of a server that fails its check: no new connections, or out of the table with those that it has.",
			func(s *virtualService, v lvs.OnFailure) { s.OnFailure = v }),
		optional("slow_start", duration(0, time.Hour, time.Nanosecond), 0,
			"How long a server that has come up takes to its full weight.",
			func(s *virtualService, v time.Duration) { s.SlowStart = v }),
		optional("drain_timeout", duration(0, 24*time.Hour, time.Nanosecond), 0,
			"How long a server that has left the configuration, by itself or with its service, may stay in the table for its "+
				"connections, at weight 0. It goes with the last of them.",
			func(s *virtualService, v time.Duration) { s.DrainTimeout = v }),
		optional("quorum", integer(1, maxQuorum), 1,
			"The weight of healthy servers, taken together, below which the service has lost its quorum.",
			func(s *virtualService, v int) { s.Quorum = v }),
		optional("quorum_hysteresis", integer(0, maxQuorum), 0,
			"Quorum is lost only below the quorum less this, and regained at the quorum and this; less than the quorum.",
			func(s *virtualService, v int) { s.Hysteresis = v }),
		derived("sorry_server", sorryTable(), "Serves all new clients while quorum is lost. None unless given.",
			func(s *virtualService, v Server) { s.Sorry = &v }),
		optional("panic_below", share(), 0,
			"The share of healthy servers below which all are treated as healthy, rather than to let the rest be crushed; 0 is never.",
			func(s *virtualService, v float64) { s.PanicBelow = v }),
		optional("min_up", integer(1, math.MaxUint16), 1,
			"A [[vrrp]] that tracks the service fails with fewer healthy servers; at most their number.",
			func(s *virtualService, v int) { s.MinUp = v }),
		derived("check", checkUses(), "How the real servers are checked. Without it they are not, and count as healthy.",
			func(s *virtualService, v []checkUse) { s.uses = v }),
		optional("check_pass", enum(PassAll, PassAny), PassAll, "Whether all of several checks must pass, or any of them.",
			func(s *virtualService, v Pass) { s.Pass = v }),
		optional("check_when", enum(CheckAlways, CheckMaster), CheckAlways,
			"Whether both directors check, so that the backup knows the servers, or only the master of the service's address. "+
				"Servers that are not checked count as healthy.",
			func(s *virtualService, v CheckWhen) { s.CheckWhen = v }),
		required("server", list(serverTable(), 1, unlimited), "A real server.",
			func(s *virtualService, v []Server) { s.Servers = v }),
	)
}

// maxQuorum is what any number of servers weighs that a file may have.
const maxQuorum = 1 << 30

// checkService works out a service's name, its virtuals and its servers, and what they say together.
func checkService(at place, s *virtualService) {
	checkVirtuals(at, s)
	checkPersistence(at, s)
	if !at.given("name") && len(s.Virtuals) > 0 {
		s.Name = defaultName(s.Virtuals[0].ServiceID)
	}
	total := 0
	for i := range s.Servers {
		server := &s.Servers[i]
		checkServer(at.key("server").index(i), at.sound("virtual", "method", "tunnel"), s, server)
		total += server.Weight
	}
	if at.sound("server", "virtual", "method") {
		checkDifferent(at, s)
	}
	if total == 0 && at.sound("server") && len(s.Servers) > 0 {
		at.warn("", "all its servers have weight 0: no client will be served")
	}
	if n := len(s.Servers); s.MinUp > n && at.sound("min_up", "server") {
		at.key("min_up").mistake("", "%d is more than the servers that the service has, %d", s.MinUp, n)
	}
	checkQuorum(at, s, total)
	if at.given("tunnel") && at.sound() && !s.tunnels() {
		at.key("tunnel").mistake("remove it", `has no meaning: no server has the method "tunnel"`)
	}
}

// checkQuorum refuses a quorum that cannot be reached, and a sorry server that is no other.
func checkQuorum(at place, s *virtualService, total int) {
	if at.sound("quorum", "quorum_hysteresis", "server") && (at.given("quorum") || at.given("quorum_hysteresis")) {
		switch {
		case s.Hysteresis >= s.Quorum:
			at.key("quorum_hysteresis").mistake("", "%d is not less than the quorum, %d: it would never be lost", s.Hysteresis, s.Quorum)
		case s.Quorum+s.Hysteresis > total && s.Hysteresis > 0:
			at.key("quorum_hysteresis").mistake("", "quorum and hysteresis are %d, and all servers together weigh %d: lost once, it would never be regained",
				s.Quorum+s.Hysteresis, total)
		case s.Quorum > total:
			at.key("quorum").mistake("", "%d is more than all servers together weigh, %d", s.Quorum, total)
		}
	}
	if s.Sorry == nil {
		return
	}
	here := at.key("sorry_server")
	checkServer(here, at.sound("virtual", "method", "tunnel"), s, s.Sorry)
	if !here.sound("address", "port") || !at.sound("virtual", "server") {
		return
	}
	for i, server := range s.Servers {
		if s.clash(server, *s.Sorry) {
			here.key("address").mistake("", "%s is already %s", showServer(s.Sorry.ServerID), at.key("server").index(i).describe())
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
func checkServices(at place, services []Service) {
	names, ids := seen[string]{}, seen[lvs.ServiceID]{}
	for i, s := range services {
		service := at.index(i)
		unique := service.sound("virtual", "protocol")
		if unique {
			for _, v := range s.Virtuals {
				earlier, ok := ids.first(v.ServiceID, service)
				if unique = ok; !ok {
					service.key("virtual").mistake("", "%s is already %s", v.ServiceID, earlier.describe())
					break
				}
			}
		}
		checkName(names, s.Name, unique, service)
	}
}

// share is a part of a whole.
func share() kind[float64] {
	return kind[float64]{
		typ:    "number",
		values: "0 to 1",
		read: func(at place) float64 {
			var v float64
			switch n := at.value.(type) {
			case float64:
				v = n
			case int64:
				v = float64(n)
			default:
				at.wrongType("number", "")
				return 0
			}
			if !(v >= 0 && v <= 1) {
				at.mistake("", "%v is out of range: want 0 to 1", at.value)
				return 0
			}
			return v
		},
		show: func(v float64) string { return fmt.Sprintf("%.1f", v) },
	}
}
