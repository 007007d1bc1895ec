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

// A Method is how the director hands a packet to a real server. The zero value is one that the kernel reports and
// tandem does not set.
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
	Family   Family     // of a firewall-mark service; 0 for an address service
}

// Flags are the kernel's options of a service, as linux/ip_vs.h numbers them. tandem sets none: a flag on a service
// of ours is somebody else's change.
type Flags uint32

// The flags that /proc/net/ip_vs shows; the others belong to the scheduler.
const (
	Persistent Flags = 0x1
	OnePacket  Flags = 0x4
)

// A Service is one row of the IPVS table without its real servers. It is comparable.
type Service struct {
	ServiceID
	Scheduler string // as the kernel names it: rr, wrr, lc, …
	Flags     Flags  // 0 in what is wanted
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

// canonical gives the one spelling of an id: a firewall-mark service has no address, an address service no family.
func (id ServiceID) canonical() ServiceID {
	if id.FWMark != 0 {
		return ServiceID{FWMark: id.FWMark, Family: id.Family}
	}
	id.Family = 0
	return id
}

// family is the address family of the service's clients, or 0 if it has none.
func (id ServiceID) family() Family {
	if id.FWMark != 0 {
		return id.Family
	}
	return addrFamily(id.Addr)
}

// addrFamily is 0 for no address.
func addrFamily(a netip.Addr) Family {
	switch {
	case a.Is4():
		return IPv4
	case a.Is6():
		return IPv6
	}
	return 0
}
