// SPDX-License-Identifier: Apache-2.0

// Package message defines the messages between a director and its election process.
//
// One stream socket connects the two processes. Each message is one line. The director sends an Order (JSON). The election
// sends a Report (JSON) or a sign of life (SignOfLife). An order says what the state should be, and a report says what it is:
// so only the latest of each counts. The package does no input or output.
package message

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// SocketFD is the descriptor at which an election process finds its end of the socket pair.
const SocketFD = 3

// BoardFD is the descriptor at which it finds the file of its board (package board).
const BoardFD = 4

// An Order is the state that the director wants from its election.
type Order struct {
	// Sequence numbers the orders, ascending. A report carries the number of the latest order that was carried out.
	Sequence uint64 `json:"sequence"`
	// LogLevel is the lowest level that the election logs.
	LogLevel string `json:"log_level,omitempty"`
	// Routers are all the virtual routers that should run. Unchanged ones are not disturbed.
	Routers []Router `json:"routers"`
	// Resume lists routers that were master when the former election died. Only the first order to an election has it.
	Resume []Resume `json:"resume,omitempty"`
	// OrphanGrace is how long the election stays master without a director if no peer takes over.
	OrphanGrace time.Duration `json:"orphan_grace"`
	// Report asks for a report. It orders nothing: all other fields are absent.
	Report bool `json:"report,omitempty"`
	// HandOff makes the election wait for a successor while its director lives: a new version of the program replaces both.
	HandOff bool `json:"hand_off,omitempty"`
	// Leave orders the election to hand over its routers, remove their addresses and end. It overrides the other fields and
	// is final.
	Leave bool `json:"leave,omitempty"`
}

// SignOfLife is the empty line that an election sends each BeatInterval of its order, while the goroutine that carries out orders
// and the threads of the virtual routers work.
const SignOfLife = "\n"

// The bounds of the pause between two signs of life of an election.
const (
	MinBeatInterval = 100 * time.Millisecond
	MaxBeatInterval = time.Second
)

// resumeTime is the maximum time that a new election needs to replace a dead one, also if it must be started several times.
const resumeTime = time.Second

// BeatInterval is the pause between two signs of life of an election that carries out the order.
//
// A dead election can be resumed until two of its shortest advertisement intervals have passed since its last sign of life.
// The pause leaves resumeTime of that, and at short intervals five thirds of an interval. The pause is as long as this
// allows, because each sign of life wakes two processes.
func (o Order) BeatInterval() time.Duration {
	shortest := MaxBeatInterval
	for _, r := range o.Routers {
		shortest = min(shortest, r.AdvertInterval)
	}
	return max(MinBeatInterval, shortest/3, 2*shortest-resumeTime)
}

// HandOverTime is the maximum time that a hand-over of these routers takes: until the last of them knows that nobody takes over.
func (o Order) HandOverTime() time.Duration {
	longest := (&vrrp.Config{}).OfferTime()
	for _, r := range o.Routers {
		longest = max(longest, r.OfferTime())
	}
	return longest
}

// A Router is a virtual router and the way its addresses are announced.
type Router struct {
	vrrp.Config
	Announce garp.Config `json:"announce"`
	// Tracking is the result of the director's tracking for this router. The election adds the interfaces that it tracks
	// itself.
	Tracking vrrp.Tracking `json:"tracking,omitzero"`
	// Secrets are those of the keys of HMAC, in their order: the JSON of a Config has none.
	Secrets [][]byte `json:"secrets,omitempty"`
	// Standby makes the router hand over if it is master, and stay backup until Standby is false again.
	Standby bool `json:"standby,omitempty"`
}

// TakeSecrets moves the Secrets to the keys.
func (r *Router) TakeSecrets() {
	if len(r.Secrets) > 0 {
		r.HMAC, r.Secrets = r.HMAC.WithSecrets(r.Secrets), nil
	}
}

// A Resume lets a router start as master, because its peer has not noticed its absence.
type Resume struct {
	Interface string `json:"interface"`
	Name      string `json:"name"`
	// Before is the moment from which the peer may take over.
	Before Monotonic `json:"before"`
}

// ResumeEnds reports whether a router that was to start as master before a moment (0: no limit) does not need the addresses of
// the former election any more. A backup that has not been master is too late to resume: it keeps them until its peer has them.
// A backup that has been master has given way to its peer.
func ResumeEnds(before Monotonic, s vrrp.Status) bool {
	return s.State != vrrp.Initialize && (s.State != vrrp.Backup || before == 0 || s.Counters.BecameMaster > 0)
}

// A Report is the state of the election. The election sends one after every change, except of counters, and when it is asked.
type Report struct {
	// Sequence is the sequence of the latest order that was carried out. It is 0 before the first.
	Sequence uint64 `json:"sequence"`
	// Problem says why no virtual router runs; empty: they run.
	Problem    string        `json:"problem,omitempty"`
	Routers    []vrrp.Status `json:"routers"`
	Interfaces []Interface   `json:"interfaces"`
	// Asked are the latest questions whether somebody still answers for the addresses of a silent master, one of each router.
	Asked []Asked `json:"asked,omitempty"`
	// HandOff says that the election waits for a successor, as ordered.
	HandOff bool `json:"hand_off,omitempty"`
	// Succeeding says that this election does not stand alone yet: its predecessor still runs, and would go on without it.
	Succeeding bool `json:"succeeding,omitempty"`
	// Links has the fault of each watched interface by name, tracked ones included. An empty fault means that the interface works.
	Links map[string]string `json:"links,omitempty"`
}

// An Asked is a question on the wire: who still answers for the addresses of a router whose master is silent?
type Asked struct {
	Interface string `json:"interface"`
	Name      string `json:"name"`
	// At is when it was asked.
	At time.Time `json:"at"`
	// Master is the silent master.
	Master netip.Addr `json:"master"`
	// Answers are the machines that answered; none: nobody has the addresses.
	Answers []Answer `json:"answers,omitempty"`
	// Problem says why nobody could be asked; empty: it was asked.
	Problem string `json:"problem,omitempty"`
	// Count is how often this router has asked, and Answered how often somebody answered.
	Count    uint64 `json:"count"`
	Answered uint64 `json:"answered"`
}

// An Answer is a machine that has an address of a silent master.
type Answer struct {
	Address  netip.Addr `json:"address"`
	Hardware string     `json:"hardware"`
	// Peer says that the silent master answers for its own address from the same hardware address, or that it is the virtual one.
	Peer bool `json:"peer,omitempty"`
}

// String says who answers, in words.
func (a Answer) String() string {
	who := "another machine"
	if a.Peer {
		who = "the silent master itself"
	}
	return fmt.Sprintf("%s is still at %s, %s", a.Address, a.Hardware, who)
}

// An Interface is the election's report about one link.
type Interface struct {
	Name     string     `json:"name"`
	Announce garp.Stats `json:"announce"`
	// Stray counts the discarded VRRP packets that belong to no virtual router here.
	Stray vrrp.Drops `json:"stray,omitzero"`
	// AddressWrites counts the netlink messages that added or removed an address, a route or a rule.
	AddressWrites uint64 `json:"address_writes"`
	// Repairs counts the addresses, routes and rules that somebody removed or changed and that were put back. Repaired is the
	// last of them.
	Repairs  uint64 `json:"repairs,omitempty"`
	Repaired string `json:"repaired,omitempty"`
	// Trouble says what is wrong with the addresses of the interface; empty: nothing is.
	Trouble string `json:"trouble,omitempty"`
	// Rivals are other machines that claim our addresses on this interface. Claims counts their claims.
	Rivals []garp.Rival `json:"rivals,omitempty"`
	Claims uint64       `json:"claims,omitempty"`
}

// A RouterID identifies a router. A router that moves to another interface is a new one: the old one may still be handing
// over.
type RouterID struct{ Interface, Name string }

// Compare orders by name, then by interface.
func (id RouterID) Compare(other RouterID) int {
	return cmp.Or(cmp.Compare(id.Name, other.Name), cmp.Compare(id.Interface, other.Interface))
}

// IDOf returns the ID of a configured router.
func IDOf(c vrrp.Config) RouterID { return RouterID{c.Interface, c.Name} }

// IDOfStatus returns the ID of a router that reported a status.
func IDOfStatus(s vrrp.Status) RouterID { return RouterID{s.Interface, s.Name} }

// A Monotonic is a moment in nanoseconds of CLOCK_BOOTTIME, which all processes of a machine share. A time.Time cannot be
// sent: its text is wall-clock time, and the clock may be set meanwhile.
type Monotonic int64

// Add returns the moment d later.
func (m Monotonic) Add(d time.Duration) Monotonic { return m + Monotonic(d) }
