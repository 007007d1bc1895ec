// SPDX-License-Identifier: Apache-2.0

// Package election runs the VRRP side of a director as a process of its own, and supervises that process.
//
// The director starts the election as a child of the same binary (Supervisor) and the child serves it (Process).
// Between them lies one stream socket that carries newline-delimited JSON: Orders go down, Reports come up. Both are
// levels, not edges: an order says what should be, a report says what is, and the latest of each is all that counts.
//
// Each survives the death of the other. An election whose director is gone offers its addresses to the peer, lets go
// of what the peer took, and stays master of the rest for a while, an orphan, until the election of a restarted
// director takes it over as its heir (heir.go). An election that died is started again at once, and resumes as master
// where the peer cannot have noticed yet.
package election

import (
	"cmp"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// An Order is what the director wants of its election.
type Order struct {
	// Sequence is that of the order, ascending. Reports tell the latest that was carried out.
	Sequence uint64 `json:"sequence"`
	// LogLevel is the least level that the election logs at.
	LogLevel string `json:"log_level,omitempty"`
	// Routers are all the virtual routers that should run. Unchanged ones are not disturbed.
	Routers []Router `json:"routers"`
	// Resume are routers that a former election died as master of. Only the first order of an election has them.
	Resume []Resume `json:"resume,omitempty"`
	// OrphanGrace is how long the election stays master of what nobody takes over once the director is gone.
	OrphanGrace time.Duration `json:"orphan_grace"`
	// Report asks for a report and orders nothing: all else is absent then.
	Report bool `json:"report,omitempty"`
	// Leave asks the election to hand over what it holds, let go of it and end. It overrides the rest and is final.
	Leave bool `json:"leave,omitempty"`
}

// The pause between two signs of life of an election is a third of the shortest advertisement interval within these
// bounds. A director learns from them what an election that died had still said, and what its peer is waiting for.
const (
	minBeatInterval = 100 * time.Millisecond
	maxBeatInterval = 300 * time.Millisecond
)

// beatInterval is that of an election which carries out the order.
func (o Order) beatInterval() time.Duration {
	shortest := 3 * maxBeatInterval
	for _, r := range o.Routers {
		shortest = min(shortest, r.AdvertInterval)
	}
	return max(minBeatInterval, shortest/3)
}

// A Router is a virtual router with the way its addresses are announced.
type Router struct {
	vrrp.Config
	Announce garp.Config `json:"announce"`
	// Tracking is what the director tracks for this router; the election adds what it tracks itself.
	Tracking vrrp.Tracking `json:"tracking,omitzero"`
	// Standby makes the router hand over if it is master, and stand back until it is taken away.
	Standby bool `json:"standby,omitempty"`
}

// A Resume lets a router begin as master, because its peer has not missed it.
type Resume struct {
	Interface string `json:"interface"`
	Name      string `json:"name"`
	// Before is when that ends to be true, on this machine's monotonic clock.
	Before monotonic `json:"before"`
}

// A Report is what the election is doing: sent after every change that is not one of counters, and when it is asked for.
type Report struct {
	// Beat says that this is a sign of life and nothing else. There is one each beatInterval of the order.
	Beat     bool   `json:"beat,omitempty"`
	Sequence uint64 `json:"sequence"`
	// Problem says in words why no virtual router runs; empty when they do.
	Problem    string        `json:"problem,omitempty"`
	Routers    []vrrp.Status `json:"routers"`
	Interfaces []Interface   `json:"interfaces"`
	// Links are the faults of the interfaces that are watched, tracked ones among them, by name; empty: it can be used.
	Links map[string]string `json:"links,omitempty"`
}

// An Interface is what the election did on one link.
type Interface struct {
	Name     string     `json:"name"`
	Announce garp.Stats `json:"announce"`
	// Stray counts the discarded VRRP packets that are of no virtual router here.
	Stray vrrp.Drops `json:"stray,omitzero"`
	// AddressWrites counts the netlink messages that added or removed an address, a route or a rule.
	AddressWrites uint64 `json:"address_writes"`
	// Trouble says in words what keeps the interface from being as it should; empty when nothing does.
	Trouble string `json:"trouble,omitempty"`
	// Rivals are other machines that claim what is ours on this interface, and Claims how often any has.
	Rivals []garp.Rival `json:"rivals,omitempty"`
	Claims uint64       `json:"claims,omitempty"`
}

// A routerID tells routers apart, also for the time in which one goes from an interface and another of its name comes
// on the next.
type routerID struct{ iface, name string }

func (id routerID) compare(other routerID) int {
	return cmp.Or(cmp.Compare(id.name, other.name), cmp.Compare(id.iface, other.iface))
}

func idOf(c vrrp.Config) routerID      { return routerID{c.Interface, c.Name} }
func idOfState(s vrrp.Status) routerID { return routerID{s.Interface, s.Name} }

// A monotonic is a moment in nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share. A time.Time does
// not travel: its text is wall-clock time, which may be set meanwhile.
type monotonic int64

func monotonicNow() monotonic {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // it cannot fail on Linux; nothing is before 0, so nobody resumes
	}
	return monotonic(ts.Nano())
}

func (m monotonic) add(d time.Duration) monotonic { return m + monotonic(d) }
