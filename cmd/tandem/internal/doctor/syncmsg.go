// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/binary"
	"net/netip"

	"github.com/tandem-lvs/tandem/lvs"
)

// A SyncMessage is a message of connection sync as it arrived at an interface: what another machine's IPVS forwards.
type SyncMessage struct {
	Interface   string
	Source      netip.Addr
	Group       netip.Addr
	ID          uint8 // of the pair
	Connections []SyncedConnection
}

// A SyncedConnection is a connection of a client, and the real server that it was sent to.
type SyncedConnection struct {
	Protocol                lvs.Protocol
	Mark                    uint32 // of the service; 0: it has an address
	Client, Virtual, Server netip.AddrPort
	Method                  lvs.Method // 0: another one
	template                bool       // it stands for all connections of a client
}

// Lengths and flags of connection sync, version 1 (net/netfilter/ipvs/ip_vs_sync.c).
const (
	syncHeaderLen = 8
	syncLen4      = 36
	syncLen6      = 72
	syncIPv6      = 1 << 0  // in the type
	syncMethods   = 7       // in the flags
	syncTemplate  = 1 << 12 // in the flags
	syncSizeMask  = 0x0fff
	udpHeaderLen  = 8
)

// parseSync decodes an Ethernet frame with a message of connection sync for a port.
func parseSync(b []byte, port uint16) (m SyncMessage, ok bool) {
	if len(b) < ethernetLen+ipv4HeaderLen {
		return m, false
	}
	b = b[ethernetLen:]
	switch b[0] >> 4 {
	case 4:
		header, total := int(b[0]&0x0f)*4, int(b[2])<<8|int(b[3])
		fragment := binary.BigEndian.Uint16(b[6:])&0x3fff != 0
		if header < ipv4HeaderLen || total < header || total > len(b) || b[9] != protocolUDP || fragment {
			return m, false
		}
		m.Source, m.Group = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		b = b[header:total]
	case 6:
		if len(b) < ipv6HeaderLen || b[6] != protocolUDP {
			return m, false
		}
		end := ipv6HeaderLen + (int(b[4])<<8 | int(b[5]))
		if end > len(b) {
			return m, false
		}
		m.Source, m.Group = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		b = b[ipv6HeaderLen:end]
	default:
		return m, false
	}
	if len(b) < udpHeaderLen+syncHeaderLen || binary.BigEndian.Uint16(b[2:]) != port {
		return m, false
	}
	b = b[udpHeaderLen:]
	size, version := int(binary.BigEndian.Uint16(b[2:])), b[5]
	if b[0] != 0 || version != 1 || size > len(b) || size < syncHeaderLen {
		return m, false // version 0 is that of kernels before 2.6.39
	}
	m.ID = b[1]
	count := int(b[4])
	for b = b[syncHeaderLen:size]; count > 0; count-- {
		c, n, ok := parseSynced(b)
		if !ok {
			return m, false
		}
		m.Connections = append(m.Connections, c)
		b = b[min(n, len(b)):]
	}
	return m, true
}

// parseSynced decodes one connection of a message, and returns its size.
func parseSynced(b []byte) (c SyncedConnection, size int, ok bool) {
	if len(b) < syncLen4 {
		return c, 0, false
	}
	six := b[0]&syncIPv6 != 0
	versionAndSize := binary.BigEndian.Uint16(b[2:])
	size = int(versionAndSize & syncSizeMask)
	need, width := syncLen4, 4
	if six {
		need, width = syncLen6, 16
	}
	if versionAndSize>>12 != 0 || size < need || size > len(b) {
		return c, 0, false
	}
	switch b[1] {
	case protocolTCP:
		c.Protocol = lvs.TCP
	case protocolUDP:
		c.Protocol = lvs.UDP
	}
	flags := binary.BigEndian.Uint32(b[4:])
	const nat, tunnel, dr = 0, 2, 3
	c.Method = map[uint32]lvs.Method{nat: lvs.NAT, tunnel: lvs.Tunnel, dr: lvs.DR}[flags&syncMethods]
	c.template = flags&syncTemplate != 0
	c.Mark = binary.BigEndian.Uint32(b[16:])
	end := func(i int) netip.AddrPort { // of three: the client, the service, the server
		addr, _ := netip.AddrFromSlice(b[24+i*width : 24+(i+1)*width])
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[10+2*i:]))
	}
	c.Client, c.Virtual, c.Server = end(0), end(1), end(2)
	return c, (size + 3) &^ 3, true
}
