// SPDX-License-Identifier: Apache-2.0

// Package election runs the VRRP side of a director as a process of its own, and supervises that process.
//
// The director starts the election as a child of the same binary (Supervisor) and the child serves it (Process).
// Between them lies one stream socket that carries newline-delimited JSON: Orders go down, Reports come up. Both are
// levels, not edges: an order says what should be, a report says what is, and the latest of each is all that counts.
package election

import (
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
	// Leave asks the election to hand over what it holds, let go of it and end. It overrides the rest and is final.
	Leave bool `json:"leave,omitempty"`
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

// A Report is what the election is doing: sent after every change, and each second for the counters.
type Report struct {
	Sequence   uint64        `json:"sequence"`
	Routers    []vrrp.Status `json:"routers"`
	Interfaces []Interface   `json:"interfaces"`
}

// An Interface is what the election did on one link.
type Interface struct {
	Name     string     `json:"name"`
	Announce garp.Stats `json:"announce"`
	// AddressWrites counts the netlink messages that added or removed an address.
	AddressWrites uint64 `json:"address_writes"`
}
