// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// queued returns a control message of an error queue (ip(7), ipv6(7)).
func queued(six bool, errno syscall.Errno, typ, code byte, from netip.Addr) []byte {
	level, kind, origin, family, at := unix.IPPROTO_IP, unix.IP_RECVERR, byte(unix.SO_EE_ORIGIN_ICMP), unix.AF_INET, 4
	if six {
		level, kind, origin, family, at = unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.SO_EE_ORIGIN_ICMP6, unix.AF_INET6, 8
	}
	data := make([]byte, 16+28)
	binary.NativeEndian.PutUint32(data, uint32(errno))
	data[4], data[5], data[6] = origin, typ, code
	binary.NativeEndian.PutUint16(data[16:], uint16(family))
	copy(data[16+at:], from.AsSlice())
	oob := make([]byte, unix.CmsgSpace(len(data)))
	binary.NativeEndian.PutUint64(oob, uint64(unix.CmsgLen(len(data))))
	binary.NativeEndian.PutUint32(oob[8:], uint32(level))
	binary.NativeEndian.PutUint32(oob[12:], uint32(kind))
	copy(oob[16:], data)
	return oob
}

func TestICMPErrors(t *testing.T) {
	router, router6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, tt := range []struct {
		six       bool
		errno     syscall.Errno
		typ, code byte
		want      string
	}{
		{false, syscall.ENETUNREACH, 3, 0, "network unreachable (ICMP from 192.0.2.1)"},
		{false, syscall.EHOSTUNREACH, 3, 1, "host unreachable (ICMP from 192.0.2.1)"},
		{false, syscall.ENOPROTOOPT, 3, 2, "protocol unreachable (ICMP from 192.0.2.1)"},
		{false, syscall.ECONNREFUSED, 3, 3, "connection refused (ICMP from 192.0.2.1)"},
		{false, syscall.EMSGSIZE, 3, 4, "message too long (ICMP from 192.0.2.1)"},
		{false, syscall.ENETUNREACH, 3, 6, "network unreachable (ICMP from 192.0.2.1)"},
		{false, syscall.EHOSTDOWN, 3, 7, "host unreachable (ICMP from 192.0.2.1)"},
		{false, syscall.ENETUNREACH, 3, 9, "prohibited by a filter (ICMP from 192.0.2.1)"},
		{false, syscall.EHOSTUNREACH, 3, 10, "prohibited by a filter (ICMP from 192.0.2.1)"},
		{false, syscall.EHOSTUNREACH, 3, 13, "prohibited by a filter (ICMP from 192.0.2.1)"},
		{false, syscall.EHOSTUNREACH, 11, 0, "too many hops (ICMP from 192.0.2.1)"},
		{true, syscall.ENETUNREACH, 1, 0, "network unreachable (ICMP from 2001:db8::1)"},
		{true, syscall.EACCES, 1, 1, "prohibited by a filter (ICMP from 2001:db8::1)"},
		{true, syscall.EHOSTUNREACH, 1, 3, "host unreachable (ICMP from 2001:db8::1)"},
		{true, syscall.ECONNREFUSED, 1, 4, "connection refused (ICMP from 2001:db8::1)"},
		{true, syscall.EHOSTUNREACH, 3, 0, "too many hops (ICMP from 2001:db8::1)"},
	} {
		from := router
		if tt.six {
			from = router6
		}
		oob := queued(tt.six, tt.errno, tt.typ, tt.code, from)
		got := parseICMP(oob)
		if got == nil || got.Error() != tt.want || got.Unwrap() != error(tt.errno) {
			t.Errorf("type %d code %d, IPv6 %t: %v, want %q", tt.typ, tt.code, tt.six, got, tt.want)
		}
		for n := range oob {
			_ = parseICMP(oob[:n]) // does not panic
		}
	}
	local := queued(false, syscall.EMSGSIZE, 0, 0, router)
	local[16+4] = unix.SO_EE_ORIGIN_LOCAL
	if got := parseICMP(local); got != nil {
		t.Errorf("an error of this machine: %v", got)
	}
}
