// SPDX-License-Identifier: Apache-2.0

package lvs

import "net/netip"

// A Protocol is the transport of a service.
type Protocol uint8

// The protocols, by their names in configuration: tcp, udp.
const (
	TCP Protocol = iota + 1
	UDP
)

// A Method is how the director hands a packet to a real server.
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

// A ServiceID tells services apart as the kernel does: by address, port and protocol, or by firewall mark and family.
// It is comparable.
type ServiceID struct {
	Protocol Protocol   // of an address service
	Addr     netip.Addr // of an address service
	Port     uint16     // of an address service
	FWMark   uint32     // of a firewall-mark service, which has none of the above
	Family   Family
}

// A Service is one row of the IPVS table without its real servers. It is comparable.
type Service struct {
	ServiceID
	Scheduler string // as the kernel names it: rr, wrr, lc, …
}

// A ServerID tells the real servers of one service apart. It is comparable.
type ServerID struct {
	Addr netip.Addr
	Port uint16
}

// A Server is one real server of a service. It is comparable.
type Server struct {
	ServerID
	Method Method
	Weight int // 0 to 65535; 0 gets no new connections
}

// An Entry is a service with its real servers, one row group of the IPVS table.
type Entry struct {
	Service
	Servers []Server
}
