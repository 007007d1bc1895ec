// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// Attributes of linux/ip_vs.h: of a command (IPVS_CMD_ATTR_…), a service (IPVS_SVC_ATTR_…), a real server
// (IPVS_DEST_ATTR_…) and statistics (IPVS_STATS_ATTR_…).
const (
	attrService = 1
	attrServer  = 2
	attrDaemon  = 3

	serviceFamily    = 1
	serviceProtocol  = 2
	serviceAddr      = 3
	servicePort      = 4
	serviceFWMark    = 5
	serviceScheduler = 6
	serviceFlags     = 7
	serviceTimeout   = 8
	serviceNetmask   = 9
	serviceEngine    = 11
	serviceStats     = 12 // in 64 bits

	serverAddr       = 1
	serverPort       = 2
	serverMethod     = 3
	serverWeight     = 4
	serverUpper      = 5
	serverLower      = 6
	serverActive     = 7
	serverInactive   = 8
	serverPersistent = 9
	serverFamily     = 11
	serverStats      = 12 // in 64 bits
	serverTunType    = 13
	serverTunPort    = 14
	serverTunFlags   = 15
)

// flagHashed is IP_VS_SVC_F_HASHED, which the kernel sets on every service for itself.
const flagHashed = 0x2

// The kernel's numbers, indexed by our own: IPPROTO_…, AF_…, IP_VS_CONN_F_…, IP_VS_CONN_F_TUNNEL_TYPE_…,
// IP_VS_TUNNEL_ENCAP_FLAG_…. Ours start at 1.
var (
	protocolNumbers = [...]uint16{lvs.TCP: unix.IPPROTO_TCP, lvs.UDP: unix.IPPROTO_UDP, lvs.SCTP: unix.IPPROTO_SCTP}
	familyNumbers   = [...]uint16{lvs.IPv4: unix.AF_INET, lvs.IPv6: unix.AF_INET6}
	methodNumbers   = [...]uint32{lvs.DR: 3, lvs.NAT: 0, lvs.Tunnel: 2}
	tunnelNumbers   = [...]uint8{lvs.IPIP: 0, lvs.GUE: 1, lvs.GRE: 2}
	checksumNumbers = [...]uint16{lvs.NoChecksum: 0, lvs.Csum: 1, lvs.RemCsum: 2}
)

// methodMask is IP_VS_CONN_F_FWD_MASK.
const methodMask = 0x7

// enumOf returns our value for the kernel's number v, or 0 if we have none.
func enumOf[E ~uint8, V comparable](numbers []V, v V) E {
	for i := 1; i < len(numbers); i++ {
		if numbers[i] == v {
			return E(i)
		}
	}
	return 0
}

// appendService appends the attributes that identify a service, and if full all others.
func appendService(b []byte, s lvs.Service, full bool) []byte {
	b, start := nest(b, attrService)
	b = appendAttr16(b, serviceFamily, familyNumbers[s.AddrFamily()])
	if s.FWMark != 0 {
		b = appendAttr32(b, serviceFWMark, s.FWMark)
	} else {
		b = appendAttr16(b, serviceProtocol, protocolNumbers[s.Protocol])
		b = appendAttr(b, serviceAddr, s.Addr.AsSlice())
		b = appendPort(b, servicePort, s.Port)
	}
	if full {
		b = appendText(b, serviceScheduler, s.Scheduler)
		b = appendHead(b, serviceFlags, 8) // the flags, and the mask of those that are meant: all
		b = binary.NativeEndian.AppendUint32(b, uint32(s.Flags))
		b = binary.NativeEndian.AppendUint32(b, ^uint32(0))
		b = appendAttr32(b, serviceTimeout, uint32(s.Timeout/time.Second))
		b = appendAttr32(b, serviceNetmask, netmask(s))
		if s.Engine != "" {
			b = appendText(b, serviceEngine, s.Engine)
		}
	}
	unnest(b, start)
	return b
}

// netmask returns the prefix in the kernel's form: for IPv4 a mask in network byte order, for IPv6 a length.
func netmask(s lvs.Service) uint32 {
	prefix := s.Prefix
	if prefix == 0 {
		prefix = s.AddrFamily().Bits()
	}
	if s.AddrFamily() == lvs.IPv6 {
		return uint32(prefix)
	}
	var mask [4]byte
	binary.BigEndian.PutUint32(mask[:], ^uint32(0)<<(32-prefix))
	return binary.NativeEndian.Uint32(mask[:])
}

// prefixOf is the inverse of netmask.
func prefixOf(netmask uint32, family lvs.Family) uint8 {
	length := netmask
	if family == lvs.IPv4 {
		var mask [4]byte
		binary.NativeEndian.PutUint32(mask[:], netmask)
		m := binary.BigEndian.Uint32(mask[:])
		if length = uint32(bits.LeadingZeros32(^m)); m<<length != 0 {
			return lvs.OtherPrefix
		}
	}
	switch {
	case length == uint32(family.Bits()):
		return 0
	case length == 0 || length > uint32(family.Bits()):
		return lvs.OtherPrefix
	}
	return uint8(length)
}

// appendServer appends the attributes that identify a real server, and if full all others.
func appendServer(b []byte, s lvs.Server, full bool) []byte {
	s = s.Canonical()
	b, start := nest(b, attrServer)
	b = appendAttr(b, serverAddr, s.Addr.AsSlice())
	b = appendPort(b, serverPort, s.Port)
	b = appendAttr16(b, serverFamily, familyNumbers[lvs.FamilyOf(s.Addr)])
	if full {
		b = appendAttr32(b, serverMethod, methodNumbers[s.Method])
		b = appendAttr32(b, serverWeight, uint32(s.Weight))
		b = appendAttr32(b, serverUpper, s.UpperThreshold)
		b = appendAttr32(b, serverLower, s.LowerThreshold)
		b = appendAttr8(b, serverTunType, tunnelNumbers[s.Tunnel.Type])
		b = appendPort(b, serverTunPort, s.Tunnel.Port)
		b = appendAttr16(b, serverTunFlags, checksumNumbers[s.Tunnel.Checksum])
	}
	unnest(b, start)
	return b
}

// parseService parses the attributes of a message about a service. ok is false for a service that tandem cannot manage. The
// counters are ignored if stats is nil.
func parseService(b []byte, stats *lvs.Stats) (s lvs.Service, ok bool) {
	top, _, _ := nextAttr(b)
	if top.kind != attrService {
		return lvs.Service{}, false
	}
	var addr []byte
	mask := attribute{}
	for a, rest, more := nextAttr(top.value); more; a, rest, more = nextAttr(rest) {
		switch a.kind {
		case serviceFamily:
			s.Family = enumOf[lvs.Family](familyNumbers[:], a.uint16())
		case serviceProtocol:
			s.Protocol = enumOf[lvs.Protocol](protocolNumbers[:], a.uint16())
		case serviceAddr:
			addr = a.value
		case servicePort:
			s.Port = a.port()
		case serviceFWMark:
			s.FWMark = a.uint32()
		case serviceScheduler:
			s.Scheduler = a.text()
		case serviceFlags:
			s.Flags = lvs.Flags(a.uint32() &^ flagHashed)
		case serviceTimeout:
			s.Timeout = time.Duration(a.uint32()) * time.Second
		case serviceNetmask:
			mask = a
		case serviceEngine:
			s.Engine = a.text()
		case serviceStats:
			if stats != nil {
				parseStats(a.value, stats)
			}
		}
	}
	if s.Prefix = 0; mask.kind != 0 {
		s.Prefix = prefixOf(mask.uint32(), s.Family)
	}
	if s.FWMark == 0 {
		s.Addr, ok = addrOf(addr, s.Family)
		ok = ok && s.Protocol != 0
	} else {
		ok = s.Family != 0
	}
	s.ServiceID = s.ServiceID.Canonical()
	return s, ok
}

// parseServer parses the attributes of a message about a real server of a service of the given family. The counters are
// ignored unless counted is set.
func parseServer(b []byte, family lvs.Family, counted bool) (s lvs.ServerStatus, err error) {
	top, _, _ := nextAttr(b)
	if top.kind != attrServer {
		return s, fmt.Errorf("real server: %w", errMalformed)
	}
	var addr []byte
	for a, rest, more := nextAttr(top.value); more; a, rest, more = nextAttr(rest) {
		switch a.kind {
		case serverAddr:
			addr = a.value
		case serverPort:
			s.Port = a.port()
		case serverMethod:
			s.Method = enumOf[lvs.Method](methodNumbers[:], a.uint32()&methodMask)
		case serverWeight:
			s.Weight = int(int32(a.uint32()))
		case serverUpper:
			s.UpperThreshold = a.uint32()
		case serverLower:
			s.LowerThreshold = a.uint32()
		case serverActive:
			s.Active = int(a.uint32())
		case serverInactive:
			s.Inactive = int(a.uint32())
		case serverPersistent:
			s.Persistent = int(a.uint32())
		case serverFamily:
			family = enumOf[lvs.Family](familyNumbers[:], a.uint16())
		case serverTunType:
			s.Tunnel.Type = enumOf[lvs.TunnelType](tunnelNumbers[:], a.uint8())
		case serverTunPort:
			s.Tunnel.Port = a.port()
		case serverTunFlags:
			s.Tunnel.Checksum = enumOf[lvs.Checksum](checksumNumbers[:], a.uint16())
		case serverStats:
			if counted {
				parseStats(a.value, &s.Stats)
			}
		}
	}
	var ok bool
	if s.Addr, ok = addrOf(addr, family); !ok {
		return s, fmt.Errorf("real server address of %d bytes: %w", len(addr), errMalformed)
	}
	s.Server = s.Server.Canonical()
	return s, nil
}

// parseStats parses IPVS_STATS_ATTR_…, which the kernel numbers in the order of Stats.
func parseStats(b []byte, stats *lvs.Stats) {
	counters := [...]*uint64{1: &stats.Connections, &stats.InPackets, &stats.OutPackets, &stats.InBytes, &stats.OutBytes,
		&stats.ConnectionRate, &stats.InPacketRate, &stats.OutPacketRate, &stats.InByteRate, &stats.OutByteRate}
	for a, rest, more := nextAttr(b); more; a, rest, more = nextAttr(rest) {
		if a.kind > 0 && int(a.kind) < len(counters) {
			*counters[a.kind] = a.uint64()
		}
	}
}

// addrOf returns the address in the kernel's union of an IPv4 and an IPv6 address.
func addrOf(b []byte, family lvs.Family) (netip.Addr, bool) {
	switch {
	case family == lvs.IPv4 && len(b) >= 4:
		return netip.AddrFrom4([4]byte(b)), true
	case family == lvs.IPv6 && len(b) >= 16:
		return netip.AddrFrom16([16]byte(b)), true
	}
	return netip.Addr{}, false
}
