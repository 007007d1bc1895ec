// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Segment is a TCP segment over IPv4 without data: a SYN, or an ACK.
type Segment struct {
	To, From       string // hardware addresses
	Source, Target netip.AddrPort
	ACK            bool
}

// Frame is the packet from its Ethernet header on.
func (s Segment) Frame() []byte {
	src, dst := s.Source.Addr().As4(), s.Target.Addr().As4()
	tcp := s.segment()
	ip := []byte{0x45, 0, 0, 20 + tcpHeader, 0, 0, 0, 0, 64, unix.IPPROTO_TCP, 0, 0}
	ip = append(append(ip, src[:]...), dst[:]...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	frame := append(hardware(s.To), hardware(s.From)...)
	frame = append(frame, 0x08, 0x00)
	return append(append(frame, ip...), tcp...)
}

const tcpHeader = 20

// The flags of a TCP segment.
const (
	tcpSYN = 0x02
	tcpACK = 0x10
)

// segment is the packet from its TCP header on.
func (s Segment) segment() []byte {
	src, dst := s.Source.Addr().As4(), s.Target.Addr().As4()
	tcp := make([]byte, tcpHeader)
	binary.BigEndian.PutUint16(tcp, s.Source.Port())
	binary.BigEndian.PutUint16(tcp[2:], s.Target.Port())
	tcp[12], tcp[13] = tcpHeader/4<<4, tcpSYN
	if s.ACK {
		tcp[13] = tcpACK
	}
	binary.BigEndian.PutUint16(tcp[14:], 0xffff) // window
	pseudo := append(append(src[:], dst[:]...), 0, unix.IPPROTO_TCP, 0, tcpHeader)
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))
	return tcp
}

// The source ports of a prober's connections. A port comes again long after its connection is forgotten.
const (
	firstPort = 10_000
	portCount = 50_000
)

// ProbeTCP asks for a new connection at an interval. The answer is the server's SYN-ACK, which the host's kernel resets. A
// question is never repeated, so a connection that is asked for during an outage does not succeed later. source is the host's
// address towards the service.
func (h *Host) ProbeTCP(source netip.Addr, service netip.AddrPort, every time.Duration) *Prober {
	h.lab.t.Helper()
	fd := -1
	err := h.Do(func() error {
		var err error
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
			unix.Connect(fd, &unix.SockaddrInet4{Addr: service.Addr().As4()}),
		)
	})
	if err != nil {
		h.lab.t.Fatalf("probe %s from %s: %v", service, h.Name, err)
	}
	var latest atomic.Uint64
	first := rand.Uint64N(portCount) // not where the prober before began: directors still remember its connections
	return h.startProber(&Prober{fd: fd, every: every,
		ask: func(n uint64) []byte {
			latest.Store(first + n)
			return Segment{Source: netip.AddrPortFrom(source, uint16(firstPort+(first+n)%portCount)), Target: service}.segment()
		},
		which: func(packet []byte) (uint64, bool) {
			n, ok := answeredSYN(packet, service.Port(), latest.Load())
			return n - first, ok && n >= first
		},
	})
}

// answeredSYN tells which question a packet answers, if the latest of them is known: the last one from the port.
func answeredSYN(packet []byte, service uint16, latest uint64) (n uint64, ok bool) {
	if len(packet) < 20 {
		return 0, false
	}
	header := int(packet[0]&0x0f) * 4
	if len(packet) < header+tcpHeader {
		return 0, false
	}
	tcp := packet[header:]
	from, to := binary.BigEndian.Uint16(tcp), uint64(binary.BigEndian.Uint16(tcp[2:]))
	if from != service || tcp[13]&(tcpSYN|tcpACK) != tcpSYN|tcpACK || to < firstPort || to >= firstPort+portCount {
		return 0, false
	}
	ago := (latest%portCount + portCount - (to - firstPort)) % portCount
	return latest - ago, ago <= latest
}
