// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"net/netip"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// foreignPair starts a router of somebody else with the same VRID and another VIP.
func foreignPair(priority int) step {
	return func(s *site) {
		p := s.stranger.Keepalived("", lab.KeepalivedRouter{Priority: priority, VIPs: []string{"192.0.2.200/24"}})
		s.undo = p.Stop
		s.pause(3 * time.Second)
	}
}

// forged floods a director with advertisements that no honest router sends.
func forged(d side) step {
	return func(s *site) {
		packet := func(change func(*lab.Advert)) []byte {
			a := lab.Advert{
				To: d(s).MAC(), From: s.stranger.MAC(), Source: "192.0.2.3", TTL: 255, Version: 3, VRID: 51, Priority: 254,
				Centiseconds: uint16(advert / (10 * time.Millisecond)), VIPs: []string{lab.VIP},
			}
			change(&a)
			return a.Frame()
		}
		s.stranger.Flood(20_000, 3*time.Second, [][]byte{
			packet(func(a *lab.Advert) { a.TTL = 254 }),
			packet(func(a *lab.Advert) { a.TTL, a.Priority = 1, 0 }),
			packet(func(a *lab.Advert) { a.BreakChecksum = true }),
			packet(func(a *lab.Advert) { a.Version = 7 }),
			packet(func(a *lab.Advert) { a.Type = 2 }),
			packet(func(a *lab.Advert) { a.Truncate = 4 }),
			packet(func(a *lab.Advert) { a.VIPs, a.Count = nil, 0 }),
		})
	}
}

// spoofed has a stranger tell the client, by a gratuitous ARP reply, that it has the VIP.
func spoofed(s *site) {
	from, err := net.ParseMAC(s.stranger.MAC())
	if err != nil {
		s.attempt.Fatalf("%v", err)
	}
	vip := netip.MustParseAddr(lab.VIP).AsSlice()
	frame := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	frame = append(frame, from...)
	frame = append(frame, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2) // ARP, a reply about IPv4 over Ethernet (RFC 826)
	frame = append(append(frame, from...), vip...)
	frame = append(append(frame, from...), vip...)
	s.stranger.Flood(1000, 5*time.Millisecond, [][]byte{frame})
}
