// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"math"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// A virtualService is a service as it is written, before the common settings are copied into each virtual.
type virtualService struct {
	Service
	ids         []lvs.ServiceID
	common      lvs.Service
	protocol    lvs.Protocol
	persistence persistence
	flags       []schedulerFlag
	tunnel      lvs.Encapsulation // of the servers without one of their own
}

func serviceTable() toml.SchemaType[virtualService] {
	return toml.Table(checkService, slices.Concat(balancingFields(), failureFields(), poolFields())...)
}

const schedulerDoc = "" +
	"How the kernel chooses a real server for a new connection. Some schedulers have limits in the kernel:\n" +
	"dh: if a server is drained or has weight 0, its new clients are refused.\n" +
	"sh: it has 256 buckets. If the total weight is higher, the last servers get no clients.\n" +
	"sh, ovf, lblc and lblcr: in a slow start the weight is always a whole number, at most the server's weight. So a server " +
	"of weight 1 gets its full weight at once."

// balancingFields returns the keys for what clients connect to, and for how connections reach the real servers.
func balancingFields() []toml.Field[virtualService] {
	return []toml.Field[virtualService]{
		toml.Derived("name", identifier(), "The service's name in logs, status and commands.",
			func(s *virtualService, v string) { s.Name = v }).
			Unset("the first address and port, such as 192.0.2.100:80").Example(`"www"`),
		toml.Required("virtual", virtuals(), `"192.0.2.100:80"`,
			"Either the addresses and ports that clients connect to, all of one family, or the firewall mark that a firewall "+
				"rule puts on the packets of clients. Port 0 means all ports, and needs persistence.",
			func(s *virtualService, v []lvs.ServiceID) { s.ids = v }),
		toml.Optional("protocol", toml.Enum(lvs.TCP, lvs.UDP, lvs.SCTP), lvs.TCP, "The transport protocol. A firewall mark has none.",
			func(s *virtualService, v lvs.Protocol) { s.protocol = v }),
		toml.Optional("scheduler", toml.OneOf(lvs.Schedulers()...), "wlc", schedulerDoc,
			func(s *virtualService, v string) { s.common.Scheduler = v }),
		toml.Optional("scheduler_flags", toml.List(flagOfScheduler(), 0, toml.Unlimited), nil,
			"Options of the schedulers sh and mh. port: the choice depends on the client's port too. "+
				"fallback: if the chosen server has weight 0, choose another one. fallback is always on.",
			func(s *virtualService, v []schedulerFlag) { s.flags = v }),
		toml.Derived("persistence", persistenceTable(),
			"All connections of a client go to the same server. Without this table each connection is scheduled anew.",
			func(s *virtualService, v persistence) { s.persistence = v }),
		toml.Optional("one_packet", toml.Boolean(), false,
			"If true, each datagram is scheduled by itself. It is for clients that send many datagrams from one port. It does not work "+
				"with method nat: the kernel does not put the VIP into the answers.",
			func(s *virtualService, v bool) {
				if v {
					s.common.Flags |= lvs.OnePacket
				}
			}).OnlyFor("UDP services"),
		toml.Optional("method", method(), lvs.DR,
			"How packets reach the real servers. dr: direct routing, in one network. tunnel: IP in IP, across networks. "+
				"With dr and tunnel the real servers have the VIP too, and answer the clients themselves. "+
				"nat: the director rewrites the addresses, and the answers must pass through the director.",
			func(s *virtualService, v lvs.Method) { s.Method = v }),
		toml.Derived("tunnel", tunnelTable(), "How packets to servers of method tunnel are encapsulated. Without this table: IP in IP.",
			func(s *virtualService, v lvs.Encapsulation) { s.tunnel = v }),
	}
}

const maintenanceDoc = "While this file exists, its servers are drained: they get no new clients, and keep their present ones. tandem " +
	"looks for the file each second; what is in it does not matter. {address} and {port} in the path stand for the server's, so that " +
	"each server has its own file. If all servers of a service are drained, new clients go to sorry_server."

// failureFields returns the keys for what happens when servers fail.
func failureFields() []toml.Field[virtualService] {
	return []toml.Field[virtualService]{
		toml.Optional("on_failure", toml.Enum(lvs.WeightZero, lvs.Remove), lvs.Remove,
			"How a server that fails its check is treated. remove: tandem removes it from the table. Its connections end with a reset, "+
				"and its clients reach another server at once. If neither it nor any machine on the way to it answers, this director is cut "+
				"off: the server has weight 0 until it can be checked again. weight-zero: it gets no new connections, and keeps its present "+
				"ones. If the server is dead, its clients get no answer until it returns or their connections time out.",
			func(s *virtualService, v lvs.OnFailure) { s.OnFailure = v }),
		toml.Optional("slow_start", toml.Duration(0, time.Hour, time.Nanosecond), 0,
			"How long a server takes to reach its full weight after it has become healthy.",
			func(s *virtualService, v time.Duration) { s.SlowStart = v }),
		toml.Optional("remove_after", toml.Duration(0, 24*time.Hour, time.Nanosecond), 0,
			"How long a server of weight 0 stays in the kernel's table with its present connections: because it has failed with "+
				"on_failure = \"weight-zero\", is drained, or has this weight for another reason. After that, tandem removes it, and its "+
				"connections end with a reset. With 0s, it stays for ever.",
			func(s *virtualService, v time.Duration) { s.RemoveAfter = v }),
		toml.Derived("maintenance_file", toml.String("an absolute path", pathOfServer), maintenanceDoc,
			func(s *virtualService, v string) { s.maintenance = v }).Unset("none").Example(`"/run/tandem/maintenance/{address}"`),
		toml.Optional("drain_timeout", toml.Duration(0, 24*time.Hour, time.Nanosecond), 0,
			"If a server is removed from the configuration, alone or with its service, it stays in the table at weight 0 until its "+
				"last connection ends, but at most for this time.",
			func(s *virtualService, v time.Duration) { s.DrainTimeout = v }),
		toml.Optional("quorum", toml.Integer(1, maxQuorum), 1,
			"The minimum total weight of healthy servers. "+
				"With less, the service has lost its quorum, and new clients go to sorry_server.",
			func(s *virtualService, v int) { s.Quorum = v }),
		toml.Optional("quorum_hysteresis", toml.Integer(0, maxQuorum), 0,
			"The distance of two limits from quorum. The service loses its quorum if the total weight falls below quorum minus this "+
				"value. It regains its quorum if the total weight reaches quorum plus this value. The value must be less than quorum.",
			func(s *virtualService, v int) { s.Hysteresis = v }),
		toml.Derived("sorry_server", sorryTable(), "The server for all new clients while quorum is lost. It is optional.",
			func(s *virtualService, v Server) { s.Sorry = &v }),
		toml.Optional("panic_below", toml.Number(0, 1), 0,
			"The panic threshold, as in Envoy. If the healthy share of the servers is smaller than this, all servers count as healthy, "+
				"so that the few healthy servers are not overloaded. 0 turns this off.",
			func(s *virtualService, v float64) { s.PanicBelow = v }),
		toml.Optional("min_up", toml.Integer(1, math.MaxUint16), 1,
			"If fewer servers than this are healthy, the track of this service fails in every [[vrrp]] that tracks it. It "+
				"must not be more than the number of servers.",
			func(s *virtualService, v int) { s.MinUp = v }),
	}
}

// poolFields returns the keys for the real servers and their checks.
func poolFields() []toml.Field[virtualService] {
	return []toml.Field[virtualService]{
		toml.Derived("check", checkUses(), "How the real servers are checked. Servers without a check count as healthy.",
			func(s *virtualService, v []checkUse) { s.uses = v }).Unset("no check").Example(`{ type = "http", path = "/health" }`),
		toml.Derived("track", toml.String("the name of a service", nonEmpty),
			"The servers of this service have the health of the servers with the same addresses in that service: one probe decides about "+
				"both. They follow the orders about those servers too (tandem drain, tandem disable), and their maintenance_file. Servers "+
				"with a check of their own do not.",
			func(s *virtualService, v string) { s.track = v }).Unset("none").Example(`"www"`),
		toml.Optional("check_pass", toml.Enum(PassAll, PassAny), PassAll, "all: every check of a server must pass. any: one is enough.",
			func(s *virtualService, v Pass) { s.Pass = v }),
		toml.Optional("check_when", toml.Enum(CheckAlways, CheckMaster), CheckAlways,
			"always: this director checks the servers as master and as backup. "+
				"master: it checks them only while it is master of the service's address. If it has become backup because no server "+
				"answered it, it continues to check. Servers that are not checked count as healthy.",
			func(s *virtualService, v CheckWhen) { s.CheckWhen = v }),
		toml.Section("outlier", outlierTable(),
			"A master reads the kernel's table of TCP connections. There it finds servers that answer their checks but not "+
				"their clients. It compares the servers of the service with each other, so that a SYN flood or slow clients "+
				"cause no false finding. "+
				"Over UDP it finds them with method nat alone, where every question has one packet as its answer (DNS, RADIUS): with the "+
				"other methods, a director sees no answers.",
			func(s *virtualService, v OutlierAction) { s.Outlier = v }),
		toml.Required("server", toml.List(serverTable(), 1, toml.Unlimited), "", "A real server.",
			func(s *virtualService, v []Server) { s.Servers = v }),
	}
}

func outlierTable() toml.SchemaType[OutlierAction] {
	return toml.Table(nil,
		toml.Optional("action", toml.Enum(OutlierWarn, OutlierWeightZero), OutlierWarn,
			"warn: the status, the log and the doctor name the server. weight-zero: it also gets no new clients for 30 s. "+
				"Then it is tried again. If it still does not answer, the time doubles, up to 1 h. At most a third of the "+
				"servers in service are taken out, so this needs at least three of them. A server is never taken out if it is "+
				"the last one, or if quorum would be lost without it.",
			func(s *OutlierAction, v OutlierAction) { *s = v }))
}

// maxQuorum is the highest quorum. It is more than the total weight of all servers that a file may have.
const maxQuorum = 1 << 30

// checkService completes a service: its name, its virtuals and its servers. It applies the rules about several keys.
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
		if server.MaintenanceFile == "" {
			server.MaintenanceFile = s.maintenance
		}
		total += server.Weight
	}
	if at.Sound("server", "virtual", "method") {
		checkDifferent(at, s)
	}
	if total == 0 && at.Sound("server") && len(s.Servers) > 0 {
		at.Warn("", "all its servers have weight 0: no client will be served")
	}
	if n := len(s.Servers); s.MinUp > n && at.Sound("min_up", "server") {
		at.Key("min_up").Mistake("", "%d is more than the number of servers, %d", s.MinUp, n)
	}
	checkQuorum(at, s, total)
	if at.Has("tunnel") && at.Sound() && !s.tunnels() {
		at.Key("tunnel").Mistake("remove it", `has no meaning: no server has the method "tunnel"`)
	}
}

// checkQuorum refuses a quorum that cannot be reached, and a sorry server that is one of the real servers.
func checkQuorum(at toml.Node, s *virtualService, total int) {
	if at.Sound("quorum", "quorum_hysteresis", "server") && (at.Has("quorum") || at.Has("quorum_hysteresis")) {
		switch {
		case s.Hysteresis >= s.Quorum:
			at.Key("quorum_hysteresis").Mistake("", "%d is not less than quorum, %d: quorum would never be lost", s.Hysteresis, s.Quorum)
		case s.Quorum+s.Hysteresis > total && s.Hysteresis > 0:
			at.Key("quorum_hysteresis").Mistake("",
				"quorum plus hysteresis is %d, but the total weight of all servers is %d: a lost quorum would never be regained",
				s.Quorum+s.Hysteresis, total)
		case s.Quorum > total:
			at.Key("quorum").Mistake("", "%d is more than the total weight of all servers, %d", s.Quorum, total)
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

// tunnels reports whether a server of the service, or its sorry server, is reached by a tunnel.
func (s *virtualService) tunnels() bool {
	for _, server := range s.Servers {
		if server.Method == lvs.Tunnel {
			return true
		}
	}
	return s.Sorry != nil && s.Sorry.Method == lvs.Tunnel
}

// services returns the services without what only the rules about them need.
func services(written []virtualService) []Service {
	all := make([]Service, len(written))
	for i := range written {
		all[i] = written[i].Service
	}
	return all
}

// checkServices refuses what two services must not share.
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
