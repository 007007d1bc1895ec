// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"math"
	"net/netip"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

func serverTable() toml.SchemaType[Server] {
	return toml.Table(nil, append(reachFields(),
		toml.Optional("weight", toml.Integer(0, lvs.MaxWeight), 1, "The server's share of new connections. 0 means none.",
			func(s *Server, v int) { s.Weight = v }),
		toml.Derived("thresholds", thresholdTable(), "Limits the number of connections of the server. Without it there is no limit.",
			func(s *Server, v lvs.Server) { s.UpperThreshold, s.LowerThreshold = v.UpperThreshold, v.LowerThreshold }),
		toml.Derived("maintenance_file", toml.String("an absolute path", pathOfServer), "While this file exists, this server is drained.",
			func(s *Server, v string) { s.MaintenanceFile = v }).
			Unset("the service's maintenance_file").Example(`"/run/tandem/maintenance/192.0.2.11"`),
		toml.Derived("track", toml.String("SERVICE/ADDRESS, or SERVICE/ADDRESS:PORT", nonEmpty),
			"The server of another service that this server tracks: see the service's track.",
			func(s *Server, v string) { s.Track = v }).Unset("the service's track").Example(`"www/192.0.2.11"`),
		toml.Derived("check", checkUses(), "How this server is checked.",
			func(s *Server, v []checkUse) { s.uses = v }).Unset("the service's check").Example(`["web", "queue", "load"]`),
		toml.Derived("check_pass", toml.Enum(PassAll, PassAny), "all: every check of the server must pass. any: one is enough.",
			func(s *Server, v Pass) { s.ownPass = v }).Unset("the service's check_pass").Example(`"all"`),
	)...)
}

// sorryTable returns the schema type of a sorry server. It has no weight: while a sorry server serves, it serves alone.
func sorryTable() toml.SchemaType[Server] {
	return toml.Table(nil, append(reachFields(),
		toml.Derived("check", checkUses(), "How the sorry server is checked. While it is unhealthy, clients do not go to it: the other "+
			"servers keep their weights, as without a sorry server.",
			func(s *Server, v []checkUse) { s.uses = v }).Unset("no check").Example(`{ type = "http" }`),
		toml.Optional("check_pass", toml.Enum(PassAll, PassAny), PassAll, "all: every check of the sorry server must pass. any: one is enough.",
			func(s *Server, v Pass) { s.ownPass = v }),
	)...)
}

// methodWords are the words that ipvsadm and keepalived have for how packets reach a server.
var methodWords = map[string]lvs.Method{
	"gate": lvs.DR, "gatewaying": lvs.DR, "route": lvs.DR, "direct": lvs.DR, "masq": lvs.NAT, "masquerading": lvs.NAT,
	"tun": lvs.Tunnel, "ipip": lvs.Tunnel,
}

// method returns the schema type of how packets reach a server.
func method() toml.SchemaType[lvs.Method] {
	return toml.Enum(lvs.DR, lvs.NAT, lvs.Tunnel).Synonyms(methodWords)
}

// reachFields returns the keys that say where a server is, and how it is reached.
func reachFields() []toml.Field[Server] {
	return []toml.Field[Server]{
		toml.Required("address", hostAddress(), `"192.0.2.11"`, "The real server's own address.",
			func(s *Server, v netip.Addr) { s.Addr = v }),
		toml.Derived("port", toml.Integer[uint16](0, math.MaxUint16),
			"The real server's port. It may differ from the service's port only with method nat. With 0, packets keep their "+
				"port: this is for services by firewall mark only.",
			func(s *Server, v uint16) { s.Port = v }).Unset("the service's port").Example("80"),
		toml.Derived("method", method(), "How packets reach this server.",
			func(s *Server, v lvs.Method) { s.Method = v }).Unset("the service's method").Example(`"nat"`),
		toml.Derived("tunnel", tunnelTable(), "How packets to this server are encapsulated. Without this table: as in the service's tunnel.",
			func(s *Server, v lvs.Encapsulation) { s.Tunnel = v }),
	}
}

func thresholdTable() toml.SchemaType[lvs.Server] {
	return toml.Table(func(at toml.Node, s *lvs.Server) {
		if s.LowerThreshold > s.UpperThreshold && at.Sound("upper", "lower") {
			at.Key("lower").Mistake("", "%d is greater than upper, %d", s.LowerThreshold, s.UpperThreshold)
		}
	},
		toml.Required("upper", toml.Integer[uint32](1, math.MaxUint32), "1000",
			"A server that has this many connections gets no new ones.",
			func(s *lvs.Server, v uint32) { s.UpperThreshold = v }),
		toml.Derived("lower", toml.Integer[uint32](1, math.MaxUint32),
			"When the server has fewer connections than this, it gets new ones again. It must not be more than upper.",
			func(s *lvs.Server, v uint32) { s.LowerThreshold = v }).Unset("three quarters of upper").Example("800"),
	)
}

func tunnelTable() toml.SchemaType[lvs.Encapsulation] {
	return toml.Table(func(at toml.Node, t *lvs.Encapsulation) {
		if !at.Sound("type", "port", "checksum") {
			return
		}
		switch {
		case t.Type == lvs.GUE && t.Port == 0:
			at.Key("port").Mistake("", "is missing: a gue tunnel needs the port that the real server listens on")
		case t.Type != lvs.GUE && t.Port != 0:
			at.Key("port").Mistake("remove it", "has no meaning: only a gue tunnel has a port")
		case t.Type == lvs.IPIP && t.Checksum != lvs.NoChecksum:
			at.Key("checksum").Mistake("remove it", "has no meaning: an ipip tunnel has no checksum")
		case t.Type == lvs.GRE && t.Checksum == lvs.RemCsum:
			at.Key("checksum").Mistake("", `"remcsum" is for gue tunnels only`)
		}
	},
		toml.Required("type", toml.Enum(lvs.IPIP, lvs.GUE, lvs.GRE), `"gue"`, "The kind of tunnel.",
			func(t *lvs.Encapsulation, v lvs.TunnelType) { t.Type = v }),
		toml.Derived("port", toml.Integer[uint16](1, math.MaxUint16),
			"The UDP port of a gue tunnel at the real server. It must be set for gue. It has no meaning for ipip and gre.",
			func(t *lvs.Encapsulation, v uint16) { t.Port = v }).Unset("none").Example("6080"),
		toml.Optional("checksum", toml.Enum(lvs.NoChecksum, lvs.Csum, lvs.RemCsum), lvs.NoChecksum,
			"The checksum of the outer header of gue and gre. remcsum is for gue only: the receiver computes the checksum of the inner "+
				"packet (remote checksum offload).",
			func(t *lvs.Encapsulation, v lvs.Checksum) { t.Checksum = v }),
	)
}

// checkServer completes a server from its service. It compares the two only if the service is sound.
func checkServer(at toml.Node, sound bool, s *virtualService, server *Server) {
	if server.Method == 0 {
		server.Method = s.Method
	}
	switch {
	case server.Method == lvs.Tunnel && !at.Has("tunnel"):
		server.Tunnel = s.tunnel
	case server.Method != lvs.Tunnel && at.Has("tunnel") && sound && at.Sound("method"):
		at.Key("tunnel").Mistake("remove it", "has no meaning for method %q", server.Method)
	}
	server.Mapped = at.Has("port")
	if !sound || len(s.Virtuals) == 0 || !at.Sound("method") {
		return
	}
	if !server.Mapped {
		server.Port = s.Virtuals[0].Port
	}
	family := s.Virtuals[0].ServiceID.AddrFamily()
	if at.Sound("address") && lvs.FamilyOf(server.Addr) != family && server.Method != lvs.Tunnel {
		at.Key("address").Mistake("", "%s is of another family than the service, %s", server.Addr, s.Virtuals[0].ServiceID)
		return
	}
	if at.Sound("port") {
		checkPort(at.Key("port"), s, server)
	}
	if !at.Sound("address", "port", "tunnel", "thresholds") {
		return
	}
	// These rules of the kernel's table give the same result for all virtuals.
	if err := server.In(s.Virtuals[0]).Validate(s.Virtuals[0].ServiceID); err != nil {
		at.Mistake("", "%s", refusedByTable(err))
	}
}

// checkPort refuses a port that the server's method cannot map to.
func checkPort(at toml.Node, s *virtualService, server *Server) {
	const hint = `remove it, or use method = "nat"`
	mark := s.Virtuals[0].FWMark != 0
	all := !server.Mapped && s.Virtuals[0].Port == 0
	if server.Port == 0 && !mark && !all {
		at.Mistake("", "0 is out of range: want 1 to 65535")
		return
	}
	for _, v := range s.Virtuals {
		switch {
		case !server.Mapped, server.Port == v.Port, server.Method == lvs.NAT:
			continue
		case mark:
			at.Mistake(hint, "method %q cannot map ports: packets keep their destination port", server.Method)
		default:
			at.Mistake(hint, "method %q cannot map port %d to %d", server.Method, v.Port, server.Port)
		}
		return
	}
}

// checkDifferent refuses two servers that are the same server in the kernel's table.
func checkDifferent(at toml.Node, s *virtualService) {
	byAddress := make(map[netip.Addr][]int)
	for i, server := range s.Servers {
		here := at.Key("server").Index(i)
		for _, j := range byAddress[server.Addr] {
			if s.clash(s.Servers[j], server) {
				here.Key("address").Mistake("", "%s is already %s", showServer(server.ServerID), at.Key("server").Index(j).Describe())
				break
			}
		}
		byAddress[server.Addr] = append(byAddress[server.Addr], i)
	}
}

// clash reports whether two servers are the same in any of the virtuals.
func (s *virtualService) clash(a, b Server) bool {
	if a.Addr != b.Addr {
		return false
	}
	for _, v := range s.Virtuals {
		if a.In(v).ServerID == b.In(v).ServerID {
			return true
		}
	}
	return false
}

// refusedByTable returns an error of package lvs without the prefix of ErrInvalid.
func refusedByTable(err error) string {
	return strings.TrimPrefix(err.Error(), lvs.ErrInvalid.Error()+": ")
}
