// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"net/netip"

	"golang.org/x/sys/unix"
)

// IsVRRP6 reports whether the frame carries VRRP over IPv6.
func (f Frame) IsVRRP6() bool {
	return f.EtherType() == unix.ETH_P_IPV6 && len(f.Data) >= 62 && f.Data[14+6] == 112
}

// IsAnnouncement reports whether the frame is a gratuitous ARP, request or reply, for VIP: from its sender to itself.
func (f Frame) IsAnnouncement() bool {
	if f.EtherType() != unix.ETH_P_ARP || len(f.Data) < 42 {
		return false
	}
	vip := netip.MustParseAddr(VIP).As4()
	sender, target := f.Data[28:32], f.Data[38:42]
	return bytes.Equal(sender, vip[:]) && bytes.Equal(target, vip[:])
}
