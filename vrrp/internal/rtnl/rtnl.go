// SPDX-License-Identifier: Apache-2.0

// Package rtnl has the netlink code that the packages below vrrp share.
package rtnl

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Timeout is how long the kernel may take to answer. It answers at once, so a lost reply becomes an error.
const Timeout = 5 * time.Second

// Open opens a socket in the network namespace of the calling thread.
func Open() (*netlink.Handle, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("failed to open netlink socket: %w", err)
	}
	if err := handle.SetSocketTimeout(Timeout); err != nil {
		handle.Close()
		return nil, fmt.Errorf("failed to set the timeout of a netlink socket: %w", err)
	}
	return handle, nil
}

// Prefix returns an address with its prefix length; of a point-to-point address, its own end.
func Prefix(a netlink.Addr) (netip.Prefix, bool) {
	if a.IPNet == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(a.IP)
	bits, _ := a.Mask.Size()
	return netip.PrefixFrom(addr, bits), ok
}
