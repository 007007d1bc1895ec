// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Problem says why a virtual router with this configuration cannot work on the wire. It is "" if it can.
func (c *Config) Problem() string {
	otherFamily := func(a netip.Addr) bool { return a.IsValid() && a.Is4() != (c.Family() == 4) }
	switch {
	case c.Version != Version2 && c.Version != Version3:
		return fmt.Sprintf("VRRP version %d is not supported", c.Version)
	case c.VRID == 0:
		return "VRID 0 is not valid"
	case c.Priority == PriorityLeaving:
		return "priority 0 is not valid"
	case !c.intervalFits():
		return fmt.Sprintf("advertisement interval %s is not valid in version %d", c.AdvertInterval, c.Version)
	case len(c.VIPs) > 255:
		return fmt.Sprintf("%d VIPs are not valid: at most 255", len(c.VIPs))
	case len(c.VIPInterfaces) > 0 && c.VirtualMAC:
		return "VIPs with a virtual MAC address on another interface are not valid"
	case c.DownAdverts != 0 && (c.DownAdverts < DownAdverts || c.DownAdverts > MaxDownAdverts):
		return fmt.Sprintf("%d down_adverts are not valid: %d to %d", c.DownAdverts, DownAdverts, MaxDownAdverts)
	case slices.ContainsFunc(c.VIPs, func(p netip.Prefix) bool { return otherFamily(p.Addr()) }):
		return "VIPs of both families are not valid"
	case c.Version == Version2 && c.Family() == 6:
		return "VRRP version 2 has no IPv6"
	case c.Password != "" && c.Version != Version2:
		return fmt.Sprintf("VRRP version %d has no password", c.Version)
	case len(c.Password) > authLen:
		return fmt.Sprintf("a password of %d octets is not valid: at most %d", len(c.Password), authLen)
	case slices.ContainsFunc(c.UnicastPeers, otherFamily):
		return "unicast addresses of another family than the VIPs are not valid"
	case otherFamily(c.Source):
		return "a source of another family than the VIPs is not valid"
	case len(c.Heartbeat) > MaxHeartbeat:
		return fmt.Sprintf("%d paths of the heartbeat are not valid: at most %d", len(c.Heartbeat), MaxHeartbeat)
	case slices.ContainsFunc(c.Heartbeat, func(p Path) bool { return otherFamily(p.Peer) || otherFamily(p.Source) }):
		return "a heartbeat of another family than the VIPs is not valid"
	case c.HMAC.On() && c.Password != "":
		return "a password beside hmac is not valid"
	}
	return c.HMAC.problem()
}

// intervalFits reports whether the packet can hold the interval.
func (c *Config) intervalFits() bool {
	if c.Version == Version2 {
		return c.AdvertInterval >= time.Second && c.AdvertInterval <= MaxAdvertInterval2 && c.AdvertInterval%time.Second == 0
	}
	return c.AdvertInterval >= MinAdvertInterval && c.AdvertInterval <= MaxAdvertInterval && c.AdvertInterval%centisecond == 0
}
