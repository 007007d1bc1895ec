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
	return toml.Table(nil, append(whereabouts(),
		toml.Optional("weight", toml.Integer(0, lvs.MaxWeight), 1, "The share of new connections; 0 is none.",
			func(s *Server, v int) { s.Weight = v }),
		toml.Derived("thresholds", thresholdTable(), "The number of connections that the server may have. Any number unless given.",
			func(s *Server, v lvs.Server) { s.UpperThreshold, s.LowerThreshold = v.UpperThreshold, v.LowerThreshold }),
		toml.Derived("check", checkUses(), "How this server is checked; as the service says unless given.",
			func(s *Server, v []checkUse) { s.uses = v }),
		toml.Derived("check_pass", toml.Enum(PassAll, PassAny), "Whether all of several checks must pass, or any of them; as the service says unless given.",
			func(s *Server, v Pass) { s.ownPass = v }),
	)...)
}

// sorryTable has no weight: as long as a sorry server serves, it serves alone.
func sorryTable() toml.SchemaType[Server] { return toml.Table(nil, whereabouts()...) }

// whereabouts are the keys that say where a server is, and how it is reached.
func whereabouts() []toml.Field[Server] {
	return []toml.Field[Server]{
		toml.Required("address", hostAddress(), "The real server's own address.",
			func(s *Server, v netip.Addr) { s.Addr = v }),
		toml.Derived("port", toml.Integer[uint16](0, math.MaxUint16),
			"The real server's port; the service's own unless given, and only method nat can map it to another. 0 with a firewall mark only.",
			func(s *Server, v uint16) { s.Port = v }),
		toml.Derived("method", toml.Enum(lvs.DR, lvs.NAT, lvs.Tunnel), "How packets reach this server; as the service says unless given.",
			func(s *Server, v lvs.Method) { s.Method = v }),
		toml.Derived("tunnel", tunnelTable(), "What packets to this server are wrapped in; as the service says unless given.",
			func(s *Server, v lvs.Encapsulation) { s.Tunnel = v }),
	}
}

func thresholdTable() toml.SchemaType[lvs.Server] {
	return toml.Table(func(at toml.Node, s *lvs.Server) {
		if s.LowerThreshold > s.UpperThreshold && at.Sound("upper", "lower") {
			at.Key("lower").Mistake("", "%d is above the upper one, %d", s.LowerThreshold, s.UpperThreshold)
		}
	},
		toml.Required("upper", toml.Integer[uint32](1, math.MaxUint32), "From so many connections on the server gets no new ones.",
			func(s *lvs.Server, v uint32) { s.UpperThreshold = v }),
		toml.Derived("lower", toml.Integer[uint32](1, math.MaxUint32),
			"Below so many it gets new ones again; at most the upper one, three quarters of it unless given.",
			func(s *lvs.Server, v uint32) { s.LowerThreshold = v }),
	)
}

func tunnelTable() toml.SchemaType[lvs.Encapsulation] {
	return toml.Table(func(at toml.Node, t *lvs.Encapsulation) {
		if !at.Sound("type", "port", "checksum") {
			return
		}
		switch {
		case t.Type == lvs.GUE && t.Port == 0:
			at.Key("port").Mistake("", "is missing: a gue tunnel needs the port that the real server listens at")
		case t.Type != lvs.GUE && t.Port != 0:
			at.Key("port").Mistake("remove it", "has no meaning: only a gue tunnel has a port")
		case t.Type == lvs.IPIP && t.Checksum != lvs.NoChecksum:
			at.Key("checksum").Mistake("remove it", "has no meaning: an ipip tunnel has no checksum")
		case t.Type == lvs.GRE && t.Checksum == lvs.RemCsum:
			at.Key("checksum").Mistake("", `"remcsum" is for gue tunnels only`)
		}
	},
		toml.Required("type", toml.Enum(lvs.IPIP, lvs.GUE, lvs.GRE), "The kind of tunnel.",
			func(t *lvs.Encapsulation, v lvs.TunnelType) { t.Type = v }),
		toml.Derived("port", toml.Integer[uint16](1, math.MaxUint16), "The UDP port of gue at the real server. Needed there, and there only.",
			func(t *lvs.Encapsulation, v uint16) { t.Port = v }),
		toml.Optional("checksum", toml.Enum(lvs.NoChecksum, lvs.Csum, lvs.RemCsum), lvs.NoChecksum,
			"What protects the outer header of gue and gre; remcsum, which leaves the work to the receiver, is for gue.",
			func(t *lvs.Encapsulation, v lvs.Checksum) { t.Checksum = v }),
	)
}

// checkServer completes a server from its service. The two are compared only if what the service says is sound.
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
	if family := serviceFamily(s.Virtuals[0].ServiceID); at.Sound("address") && familyOf(server.Addr) != family && server.Method != lvs.Tunnel {
		at.Key("address").Mistake("", "%s is of another family than the service, %s", server.Addr, s.Virtuals[0].ServiceID)
		return
	}
	if at.Sound("port") {
		checkPort(at.Key("port"), s, server)
	}
	if !at.Sound("address", "port", "tunnel", "thresholds") {
		return
	}
	// What only the kernel's table can say is the same for all virtuals.
	if err := server.In(s.Virtuals[0]).Validate(s.Virtuals[0].ServiceID); err != nil {
		at.Mistake("", "%s", refusedByTable(err))
	}
}

// checkPort refuses a port that the server's method cannot lead to.
func checkPort(at toml.Node, s *virtualService, server *Server) {
	const hint = `leave it away, or use method = "nat"`
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
			at.Mistake(hint, "method %q cannot map ports: packets keep the port that they came for", server.Method)
		default:
			at.Mistake(hint, "method %q cannot map port %d to %d", server.Method, v.Port, server.Port)
		}
		return
	}
}

// checkDifferent refuses what would be one server twice in the kernel's table.
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

// clash tells whether two servers are one in any of the virtuals.
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

// refusedByTable is what package lvs has against a value, without the word that marks its errors.
func refusedByTable(err error) string {
	return strings.TrimPrefix(err.Error(), lvs.ErrInvalid.Error()+": ")
}
