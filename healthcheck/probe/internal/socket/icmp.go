// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// An ICMPError is an error of a socket that an ICMP message caused.
type ICMPError struct {
	Errno syscall.Errno
	From  netip.Addr // who sent the message
	What  string     // what the message says
}

func (e *ICMPError) Error() string { return fmt.Sprintf("%s (ICMP from %s)", e.What, e.From) }
func (e *ICMPError) Unwrap() error { return e.Errno }

// KeepICMP makes the kernel keep the ICMP messages about a socket (ip(7), IP_RECVERR), or no longer. A UDP socket without
// it never hears that a host or network cannot be reached. A TCP socket needs it only until it is connected: later
// such messages would end a connection that RFC 1122, section 4.2.3.9, lets go on.
func KeepICMP(fd int, on bool) {
	value := 0
	if on {
		value = 1
	}
	// One of the two fails: it is for the other family.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, value)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, value)
}

// WithICMP adds to an error of a socket what an ICMP message said, if one caused it.
func WithICMP(fd int, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	for range 8 { // there may be older messages
		oob := make([]byte, 256)
		_, n, _, peer, e := unix.Recvmsg(fd, nil, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if e != nil {
			break
		}
		if icmp := parseICMP(oob[:n]); icmp != nil && icmp.Errno == errno && !icmp.plain(fd, peer) {
			return icmp
		}
	}
	return err
}

// plain reports whether the reason need not name the sender of the message. This is so if the sender is this machine, whose
// address resolution has failed, or the server, which refuses.
func (e *ICMPError) plain(fd int, peer unix.Sockaddr) bool {
	local, err := unix.Getsockname(fd)
	return err == nil && addrOf(local) == e.From || e.Errno == syscall.ECONNREFUSED && addrOf(peer) == e.From
}

func addrOf(sa unix.Sockaddr) netip.Addr {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr).Unmap()
	}
	return netip.Addr{}
}

// parseICMP reads the control messages of an error queue: a struct sock_extended_err, followed by the address of who sent
// the ICMP message. It is nil for any other error.
func parseICMP(oob []byte) *ICMPError {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range all {
		four := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		six := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !four && !six || len(m.Data) < 16+8 {
			continue
		}
		errno := syscall.Errno(binary.NativeEndian.Uint32(m.Data))
		origin, typ, code := m.Data[4], m.Data[5], m.Data[6]
		from := m.Data[16:]
		switch family := binary.NativeEndian.Uint16(from); {
		case origin == unix.SO_EE_ORIGIN_ICMP && family == unix.AF_INET:
			return &ICMPError{errno, netip.AddrFrom4([4]byte(from[4:8])), icmpWords(typ, code, errno)}
		case origin == unix.SO_EE_ORIGIN_ICMP6 && family == unix.AF_INET6 && len(from) >= 24:
			return &ICMPError{errno, netip.AddrFrom16([16]byte(from[8:24])), icmp6Words(typ, code, errno)}
		}
	}
	return nil
}

// icmpWords returns what a message of ICMP says (RFC 792 and RFC 1122, section 3.2.2.1).
func icmpWords(typ, code byte, errno syscall.Errno) string {
	switch {
	case typ == 3 && (code == 0 || code == 6 || code == 11):
		return "network unreachable"
	case typ == 3 && (code == 1 || code == 7 || code == 8 || code == 12):
		return "host unreachable"
	case typ == 3 && code == 2:
		return "protocol unreachable"
	case typ == 3 && (code == 9 || code == 10 || code == 13):
		return "prohibited by a filter"
	case typ == 11:
		return "too many hops"
	}
	return errno.Error()
}

// icmp6Words returns what a message of ICMPv6 says (RFC 4443, section 3).
func icmp6Words(typ, code byte, errno syscall.Errno) string {
	switch {
	case typ == 1 && (code == 0 || code == 2 || code == 6):
		return "network unreachable"
	case typ == 1 && code == 3:
		return "host unreachable"
	case typ == 1 && (code == 1 || code == 5):
		return "prohibited by a filter"
	case typ == 3:
		return "too many hops"
	}
	return errno.Error()
}

// Datagrams is a connected datagram socket: a *net.UDPConn or *net.IPConn.
type Datagrams interface {
	net.Conn
	net.PacketConn // a library asks in this way whether a connection carries datagrams
	syscall.Conn
}

// A HearingICMP is a datagram socket whose errors name the ICMP messages that caused them.
type HearingICMP struct{ Datagrams }

func (c HearingICMP) Read(b []byte) (int, error) {
	n, err := c.Datagrams.Read(b)
	return n, c.explained(err)
}

func (c HearingICMP) Write(b []byte) (int, error) {
	n, err := c.Datagrams.Write(b)
	return n, c.explained(err)
}

func (c HearingICMP) explained(err error) error {
	if err == nil {
		return nil
	}
	raw, e := c.SyscallConn()
	if e != nil {
		return err
	}
	_ = raw.Control(func(fd uintptr) { err = WithICMP(int(fd), err) })
	return err
}
