// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"net/netip"
	"time"
)

// A Protocol is the transport of a service.
type Protocol uint8

// The protocols, by their names in configuration: tcp, udp, sctp.
const (
	TCP Protocol = iota + 1
	UDP
	SCTP
)

// A Method is how the director sends a packet to a real server. The zero value stands for a method of the kernel that tandem
// does not use.
type Method uint8

// The forwarding methods, by their names in configuration: dr, nat, tunnel.
const (
	DR Method = iota + 1
	NAT
	Tunnel
)

// A Family is the address family of a firewall-mark service.
type Family uint8

// The families.
const (
	IPv4 Family = iota + 1
	IPv6
)

// A TunnelType is the protocol that carries packets to a real server. The zero value stands for IPIP.
type TunnelType uint8

// The tunnel types, by their names in configuration: ipip, gue, gre.
const (
	IPIP TunnelType = iota + 1
	GUE
	GRE
)

// A Checksum protects the outer header of a GUE or GRE tunnel. The zero value stands for NoChecksum.
type Checksum uint8

// The checksums, by their names in configuration: none, csum, remcsum (remote checksum offload, GUE only).
const (
	NoChecksum Checksum = iota + 1
	Csum
	RemCsum
)

// A ServiceID identifies a service as the kernel does: by address, port and protocol, or by firewall mark and family.
// It is comparable.
//
// The kernel has no lists of addresses and no ranges of ports. A configured service with several of them becomes one
// Service, and one Entry, for each address and port. Port 0 of a persistent service stands for all ports.
type ServiceID struct {
	Protocol Protocol   // of an address service
	Addr     netip.Addr // of an address service
	Port     uint16     // of an address service
	FWMark   uint32     // of a firewall-mark service, which has none of the above
	Family   Family     // of a firewall-mark service; 0 for an address service
}

// Flags are the kernel's options of a service, as linux/ip_vs.h numbers them (IP_VS_SVC_F_…).
type Flags uint32

// The flags. Only the schedulers sh and mh use Fallback and SourcePort. With Fallback they replace a server of weight 0 by
// another one. With SourcePort they hash the client's port beside its address.
const (
	Persistent Flags = 0x1 // set if and only if Timeout is not 0
	OnePacket  Flags = 0x4 // schedule every datagram by itself; UDP only
	Fallback   Flags = 0x8
	SourcePort Flags = 0x10
)

// A Service is one row of the IPVS table without its real servers. It is comparable.
type Service struct {
	ServiceID
	Scheduler string // as the kernel names it: rr, wrr, lc, …
	Flags     Flags
	// Timeout is how long a client stays with its server after its last connection, in whole seconds. 0: no persistence.
	Timeout time.Duration
	// Prefix is the length of the network that counts as one client of a persistent service. 0: each address is a client.
	Prefix uint8
	// Engine is the persistence engine: "sip" identifies clients by the Call-ID. It is empty if clients are identified by
	// address.
	Engine string
}

// OtherPrefix is the Prefix of a service whose netmask cannot be expressed as a Prefix: it has no bits, or a gap in its bits.
const OtherPrefix = 255

// Persist makes the service persistent. Timeout 0 makes it not persistent. See Timeout and Prefix.
func (s *Service) Persist(timeout time.Duration, prefix uint8) {
	s.Timeout, s.Prefix = timeout, prefix
	s.Flags |= Persistent
	if timeout == 0 {
		s.Flags, s.Prefix = s.Flags&^Persistent, 0
	}
}

// A ServerID identifies a real server within a service. It is comparable.
type ServerID struct {
	Addr netip.Addr
	Port uint16
}

// An Encapsulation is how packets travel to a real server of the method tunnel, where the zero value stands for IPIP.
// Servers of the other methods have the zero value.
type Encapsulation struct {
	Type     TunnelType
	Port     uint16 // of GUE, at the real server
	Checksum Checksum
}

// A Server is one real server of a service. It is comparable.
type Server struct {
	ServerID
	Method Method // each server of a service has its own
	Weight int    // 0 to 65535; 0 gets no new connections
	Tunnel Encapsulation

	// A server that has UpperThreshold connections gets no new ones; 0: no limit. It gets new ones again when it has fewer
	// than LowerThreshold; 0: three quarters of UpperThreshold.
	UpperThreshold uint32
	LowerThreshold uint32
}

// An Entry is a service with its real servers, one row group of the IPVS table.
type Entry struct {
	Service
	Servers []Server
}

// Stats are the kernel's counters of a service or real server. The rates are estimates over some seconds.
type Stats struct {
	Connections, InPackets, OutPackets, InBytes, OutBytes uint64

	ConnectionRate, InPacketRate, OutPacketRate, InByteRate, OutByteRate uint64 // a second
}

// Canonical returns the one form in which ids are compared: a firewall-mark service has no address, an address service has no
// family.
func (id ServiceID) Canonical() ServiceID {
	if id.FWMark != 0 {
		return ServiceID{FWMark: id.FWMark, Family: id.Family}
	}
	id.Family = 0
	return id
}

// Canonical returns the one form in which servers are compared. Its Encapsulation is the zero value, except for tunnels of type
// GUE and GRE.
func (s Server) Canonical() Server {
	if s.Method != Tunnel {
		s.Tunnel = Encapsulation{}
	}
	if s.Tunnel.Type == IPIP {
		s.Tunnel.Type = 0
	}
	if s.Tunnel.Checksum == NoChecksum {
		s.Tunnel.Checksum = 0
	}
	return s
}

// Canonical returns the one form in which services are compared: a Prefix as long as the address is written as 0.
func (s Service) Canonical() Service {
	s.ServiceID = s.ServiceID.Canonical()
	if s.Prefix == s.AddrFamily().Bits() {
		s.Prefix = 0
	}
	return s
}

// Bits returns the length of an address.
func (f Family) Bits() uint8 {
	if f == IPv6 {
		return 128
	}
	return 32
}

// AddrFamily returns the address family of the service's clients, or 0 if it has none.
func (id ServiceID) AddrFamily() Family {
	if id.FWMark != 0 {
		return id.Family
	}
	return FamilyOf(id.Addr)
}

// FamilyOf returns the family of an address, 0 for none.
func FamilyOf(a netip.Addr) Family {
	switch {
	case a.Is4():
		return IPv4
	case a.Is6():
		return IPv6
	}
	return 0
}
