// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"math"
	"net/netip"

	"github.com/tandem-lvs/tandem/lvs"
)

func serviceTable() kind[Service] {
	return tableOf(checkService,
		derived("name", identifier(), "The service's name in logs, status and commands; the virtual written out unless given.",
			func(s *Service, v string) { s.Name = v }),
		required("virtual", stringOr(endpoint(), markTable()),
			"What clients connect to: an address and port, or the firewall mark that a rule puts on their packets.",
			func(s *Service, v lvs.ServiceID) { s.LVS.ServiceID = v }), // before protocol, which is part of it
		optional("protocol", enum(lvs.TCP, lvs.UDP), lvs.TCP, "The transport. A firewall mark has none of its own.",
			func(s *Service, v lvs.Protocol) { s.LVS.Protocol = v }),
		optional("scheduler", oneOf(lvs.Schedulers()...), "wlc", "How the kernel chooses a real server for a new connection.",
			func(s *Service, v string) { s.LVS.Scheduler = v }),
		optional("method", enum(lvs.DR, lvs.NAT, lvs.Tunnel), lvs.DR, "How packets reach the real servers.",
			func(s *Service, v lvs.Method) { s.Method = v }),
		optional("on_failure", enum(lvs.WeightZero, lvs.Remove), lvs.WeightZero,
			"What becomes of a server that fails its check: no new connections, or out of the table with those that it has.",
			func(s *Service, v lvs.OnFailure) { s.OnFailure = v }),
		optional("min_up", integer(1, math.MaxUint16), 1,
			"A [[vrrp]] that tracks the service fails with fewer healthy servers; at most their number.",
			func(s *Service, v int) { s.MinUp = v }),
		derived("check", checkUses(), "How the real servers are checked. Without it they are not, and count as healthy.",
			func(s *Service, v []checkUse) { s.uses = v }),
		optional("check_pass", enum(PassAll, PassAny), PassAll, "Whether all of several checks must pass, or any of them.",
			func(s *Service, v Pass) { s.Pass = v }),
		optional("check_when", enum(CheckAlways, CheckMaster), CheckAlways,
			"Whether both directors check, so that the backup knows the servers, or only the master of the service's address. "+
				"Servers that are not checked count as healthy.",
			func(s *Service, v CheckWhen) { s.CheckWhen = v }),
		required("server", list(serverTable(), 1, unlimited), "A real server.",
			func(s *Service, v []Server) { s.Servers = v }),
	)
}

func markTable() kind[lvs.ServiceID] {
	return tableOf(nil,
		required("fwmark", integer[uint32](1, math.MaxUint32), "The firewall mark.",
			func(id *lvs.ServiceID, v uint32) { id.FWMark = v }),
		optional("family", enum(lvs.IPv4, lvs.IPv6), lvs.IPv4, "The address family of the marked packets.",
			func(id *lvs.ServiceID, v lvs.Family) { id.Family = v }),
	)
}

func serverTable() kind[Server] {
	return tableOf(nil,
		required("address", hostAddress(), "The real server's own address.",
			func(s *Server, v netip.Addr) { s.Addr = v }),
		derived("port", integer[uint16](0, math.MaxUint16),
			"The real server's port; the service's own unless given, and only method nat can map it to another. 0 with a firewall mark only.",
			func(s *Server, v uint16) { s.Port = v }),
		optional("weight", integer(0, lvs.MaxWeight), 1, "The share of new connections; 0 is none.",
			func(s *Server, v int) { s.Weight = v }),
		derived("check", checkUses(), "How this server is checked; as the service says unless given.",
			func(s *Server, v []checkUse) { s.uses = v }),
		derived("check_pass", enum(PassAll, PassAny), "Whether all of several checks must pass, or any of them; as the service says unless given.",
			func(s *Server, v Pass) { s.ownPass = v }),
	)
}

// checkService works out a service's name and its servers, and what they say together.
func checkService(at place, s *Service) {
	mark := s.LVS.FWMark != 0
	if mark {
		if at.given("protocol") && at.sound("protocol") {
			at.key("protocol").mistake("remove it", "has no meaning for a firewall mark, which may be on packets of any protocol")
		}
		s.LVS.Protocol = 0
	}
	if !at.given("name") {
		s.Name = defaultName(s.LVS.ServiceID)
	}
	servers, total := seen[lvs.ServerID]{}, 0
	for i := range s.Servers {
		server := &s.Servers[i]
		here := at.key("server").index(i)
		checkServer(here, at.sound("virtual", "method"), s, server)
		total += server.Weight
		if !here.sound("address", "port") || !at.sound("virtual") {
			continue
		}
		if earlier, ok := servers.first(server.ServerID, here); !ok {
			here.key("address").mistake("", "%s is already %s", showServer(server.ServerID), earlier.describe())
		}
	}
	if total == 0 && at.sound("server") && len(s.Servers) > 0 {
		at.warn("", "all its servers have weight 0: no client will be served")
	}
	if n := len(s.Servers); s.MinUp > n && at.sound("min_up", "server") {
		at.key("min_up").mistake("", "%d is more than the servers that the service has, %d", s.MinUp, n)
	}
}

// checkServer completes a server from its service. The two are compared only if what the service says is sound.
func checkServer(at place, sound bool, s *Service, server *Server) {
	server.Method = s.Method
	if !at.given("port") {
		server.Port = s.LVS.Port
	}
	if !sound {
		return
	}
	if at.sound("address") && familyOf(server.Addr) != serviceFamily(s.LVS.ServiceID) {
		at.key("address").mistake("", "%s is of another family than the service, %s", server.Addr, s.LVS.ServiceID)
	}
	mark := s.LVS.FWMark != 0
	switch {
	case !at.sound("port"):
	case server.Port == 0 && !mark:
		at.key("port").mistake("", "0 is out of range: want 1 to 65535")
	case server.Port != s.LVS.Port && s.Method != lvs.NAT && mark:
		at.key("port").mistake(`leave it away, or use method = "nat"`,
			"method %q cannot map ports: packets keep the port that they came for", s.Method)
	case server.Port != s.LVS.Port && s.Method != lvs.NAT:
		at.key("port").mistake(`leave it away, or use method = "nat"`,
			"method %q cannot map port %d to %d", s.Method, s.LVS.Port, server.Port)
	}
}

// checkServices finds what two services must not share.
func checkServices(at place, services []Service) {
	names, ids := seen[string]{}, seen[lvs.ServiceID]{}
	for i, s := range services {
		service := at.index(i)
		unique := service.sound("virtual", "protocol")
		if unique {
			earlier, ok := ids.first(s.LVS.ServiceID, service)
			if unique = ok; !ok {
				service.key("virtual").mistake("", "%s is already %s", s.LVS.ServiceID, earlier.describe())
			}
		}
		checkName(names, s.Name, unique, service)
	}
}

// defaultName writes a service's virtual so that different services differ: 192.0.2.100:53, 192.0.2.100:53-udp, fwmark-1.
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
