// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/realserver"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A Snapshot is the facts that were gathered about a machine and its network.
type Snapshot struct {
	IPVS       bool              // the kernel has IPVS
	Schedulers []string          // that the kernel has or can load; empty: not known
	Sysctls    map[string]string // values by their paths below /proc/sys, without the newline
	Timeouts   lvs.Timeouts      // of connections; the zero value: not known, or not asked for
	Links      map[string]vrrp.Link
	// Routes are those to the servers of methods tunnel and nat; servers without a route are absent.
	Routes map[netip.Addr]Route
	// Owners are the other machines that answered for a VIP, by the interface on which it was asked for.
	Owners map[string][]garp.Owner
	Asked  time.Time // when the owners were asked
	// Adverts are those of other machines. Listened is the time for which each interface was listened on.
	Adverts  []Advert
	Listened map[string]time.Duration
	Synced   []SyncMessage // of other machines
	Filtered []FilteredFlow
	// Dropped are the packets of clients that this machine's firewall drops.
	Dropped []DroppedPacket
	Servers []ServerAnswers
	Clock   Clock
	// Certificates are those of the channel to the other director.
	Certificates []Certificate
	Programs     []string // names of the processes in this network namespace
	Director     Process  // the running director; the zero value if none runs
	Status       *control.Status
	Scripts      []diagnosis.TriedScript // those that failed
	// Steps are those that `tandem realserver apply` would run. Refused is the reason why it would run none.
	// Apply is that command, as it works on this machine. Unclear is why it is not known whether rules of other programs hide the
	// VIPs; empty: it is known.
	Steps    []realserver.Step
	Refused  string
	Unclear  string
	Apply    string
	Gateways []Gateway // next hops of the default routes whose hardware addresses are known
	// Routeless says that there is no default route, of IPv4. Unroutable is the number of packets since boot that went, or would
	// have gone, to addresses without a route.
	Routeless  bool
	Unroutable uint64
	// Listening are the sockets that wait for clients; an unspecified address stands for all addresses.
	Listening []Socket
}

// A Route leads to a real server.
type Route struct {
	Interface string
	MTU       int        // of the route; 0: not known
	Gateway   netip.Addr // the router; not valid: the server is in a network of this machine
}

// An Answer is what a real server does with a connection.
type Answer uint8

// The answers.
const (
	NotAsked Answer = iota
	Accepts
	Refuses
	Silent
	Unreachable // there is no route to it, or it does not answer address resolution
	NoTunnel    // it does not unwrap packets
	TooLarge    // this machine or a router says that the packet is too large
)

// ServerAnswers are the answers of one real server of a TCP service.
type ServerAnswers struct {
	Service string
	Server  netip.AddrPort
	VIP     netip.AddrPort
	Own     Answer // at its own address
	Through Answer // at the VIP, with methods dr and tunnel
	Wrapped Answer // at its own address, through the tunnel
	Large   TunnelFit
	Back    Answer // at its own address, to a connection from the VIP, with method nat, if this director has the VIP
}

// A Chain is a chain of nftables, or a built-in chain of iptables.
type Chain struct {
	Program             string // of iptables that changes it; empty: nftables
	Family, Table, Name string // Family: of nftables
}

// String is the chain as nft writes it, or begins with the program of iptables.
func (c Chain) String() string {
	if c.Program != "" {
		return c.Program + " " + c.Table + " " + c.Name
	}
	return c.Family + " " + c.Table + " " + c.Name
}

// accept is the command that accepts packets in the chain: those that nft and iptables match with these words.
func (c Chain) accept(nft, iptables string) string {
	switch {
	case c.Program == "":
		return fmt.Sprintf("nft insert rule %s %s accept", c, nft)
	case c.Table == "filter":
		return fmt.Sprintf("%s -I %s %s -j ACCEPT", c.Program, c.Name, iptables)
	}
	return fmt.Sprintf("%s -t %s -I %s %s -j ACCEPT", c.Program, c.Table, c.Name, iptables)
}

// A DroppedPacket is a packet of a service that a chain drops.
type DroppedPacket struct {
	Service string
	Chain   Chain
	Forward bool   // an answer of a real server of method nat; false: a packet of a client
	From    string // the interface by which it comes
	Port    uint16 // of the service
}

// A Process is a running program.
type Process struct {
	Files   uint64        // limit of open file descriptors
	Started time.Duration // since boot
}

// A Clock is the state of the time of day.
type Clock struct {
	// Stepped is the change of the clock during the examination. SteppedBefore is its change between the start of the
	// director and the examination. 0: the clock was not set.
	Stepped, SteppedBefore time.Duration
	Unsynchronised         bool
}

// A Certificate is a file of the channel to the other director.
type Certificate struct {
	Key, File string // of the configuration
	Ends      time.Time
	Problem   string // why it cannot be used; empty: it can
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

// A Flow is multicast traffic between the directors.
type Flow struct {
	Interface string
	Group     netip.Addr
	Port      uint16 // UDP port; 0: VRRP
}

// String names the flow.
func (f Flow) String() string {
	if f.Port == 0 {
		return fmt.Sprintf("VRRP (IP protocol %d to %s) on %s", vrrp.Protocol, f.Group, f.Interface)
	}
	return fmt.Sprintf("connection sync (UDP port %d to %s) on %s", f.Port, f.Group, f.Interface)
}

// A FilteredFlow is a Flow that this machine's firewall drops.
type FilteredFlow struct {
	Flow
	Out    bool    // in the outgoing direction; false: in the incoming one
	Chains []Chain // that drop it, as far as they are known
}

// flows returns the multicast flows that a configuration needs.
func flows(c *configs.Config) (all []Flow) {
	add := func(f Flow) {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	for _, r := range c.Routers {
		group := vrrp.Group4
		if r.Family() == 6 {
			group = vrrp.Group6
		}
		if len(r.UnicastPeers) == 0 {
			add(Flow{r.Interface, group, 0})
		}
		for _, p := range r.Heartbeat {
			if p.Interface != "" {
				add(Flow{p.Interface, group, 0})
			}
		}
	}
	if s := c.LVS.Sync; s != (lvs.Sync{}) {
		add(Flow{s.Interface, s.Group, s.Port})
	}
	return all
}

// holds reports whether this machine has an address.
func (s Snapshot) holds(addr netip.Addr) bool {
	for _, l := range s.Links {
		if slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == addr }) {
			return true
		}
	}
	return false
}

// has reports whether an interface has an address.
func (s Snapshot) has(iface string, addr netip.Addr) bool {
	return slices.ContainsFunc(s.Links[iface].Addrs, func(p netip.Prefix) bool { return p.Addr() == addr })
}

// onLink reports whether an address is in a network of this machine. A prefix of a single address is not a network.
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

// working reports whether an interface can carry packets.
func (s Snapshot) working(iface string) bool { return s.Links[iface].Fault() == "" }

// listensOn reports whether a program listens on the socket's address or on all addresses.
func (s Snapshot) listensOn(want Socket) bool {
	return slices.ContainsFunc(s.Listening, func(l Socket) bool {
		addr := l.At.Addr()
		all := addr.IsUnspecified() && (addr.Is6() || want.At.Addr().Is4())
		return (addr == want.At.Addr() || all) && l.Protocol == want.Protocol && l.At.Port() == want.At.Port()
	})
}

// listenersAt returns the addresses and ports at which programs listen on a socket's port, without loopback addresses.
func (s Snapshot) listenersAt(want Socket) (all []string) {
	for _, l := range s.Listening {
		if l.Protocol == want.Protocol && l.At.Port() == want.At.Port() && !l.At.Addr().IsLoopback() && !slices.Contains(all, l.At.String()) {
			all = append(all, l.At.String())
		}
	}
	return all
}

// isHardware reports whether an interface of this machine has a hardware address.
func (s Snapshot) isHardware(addr string) bool {
	for _, l := range s.Links {
		if fmt.Sprintf("% x", l.Hardware) == strings.ReplaceAll(addr, ":", " ") {
			return true
		}
	}
	return false
}
