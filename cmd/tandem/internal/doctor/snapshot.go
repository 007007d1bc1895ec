// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// A Snapshot is what was seen of the machine and its network.
type Snapshot struct {
	// IPVS tells that the kernel has it, Schedulers which of those asked for it has or can load.
	IPVS       bool
	Schedulers map[string]bool
	// Sysctls are values by their paths below /proc/sys, without the line's end.
	Sysctls map[string]string
	Links   map[string]Link
	// Ways are the interfaces that lead to the servers of tunnels; one that no route leads to is left out.
	Ways map[netip.Addr]string
	// Owners are the other machines that say to have a VIP, by the interface that they were asked on.
	Owners map[string][]garp.Owner
	// Adverts are those of other machines, Heard how long each interface was listened on.
	Adverts []Advert
	Heard   map[string]time.Duration
	// Hindered are the flows between the directors that this machine's firewall drops.
	Hindered []Hindrance
	Clock    Clock
	// Programs are the names of those that run in this network namespace.
	Programs []string
	// Director is the process of the running director; the zero value if none runs.
	Director Process
	// Status is what the running director says; nil if none answers.
	Status *control.Status
	// Steps are what a real server lacks; Refused says why it cannot be had.
	Steps   []realserver.Step
	Refused string
	// Gateways are the next hops of the default routes with their hardware addresses, where known.
	Gateways []Gateway
	// Listening are the sockets that wait for clients; an unspecified address stands for all.
	Listening []Socket
}

// A Process is a program that runs.
type Process struct {
	Files   uint64        // how many descriptors it may open
	Started time.Duration // since boot
}

// A Link is an interface.
type Link struct {
	Up, Carrier bool
	MTU         int
	Addrs       []netip.Prefix

	hardware []byte
}

// A Socket is where a program waits for clients.
type Socket struct {
	Protocol lvs.Protocol
	At       netip.AddrPort
}

// A Gateway is a next hop.
type Gateway struct {
	Addr     netip.Addr
	Hardware string
}

// holds tells whether an interface has an address.
func (s Snapshot) holds(addr netip.Addr) bool {
	for _, l := range s.Links {
		if slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == addr }) {
			return true
		}
	}
	return false
}

// onLink tells whether an address is in a network that the machine is in. A prefix of a single address is no network.
func (s Snapshot) onLink(addr netip.Addr) bool {
	for _, l := range s.Links {
		for _, p := range l.Addrs {
			if !p.IsSingleIP() && p.Contains(addr) {
				return true
			}
		}
	}
	return false
}
