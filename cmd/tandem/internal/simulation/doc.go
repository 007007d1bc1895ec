// SPDX-License-Identifier: Apache-2.0

// Package simulation runs a pair of directors in one process, on simulated time, and looks for faults.
//
// The parts that decide are the product's own: the core of the director (core.State), the election (vrrp.Router and
// vrrp.Groups, with real advertisements), the announcements (garp.Schedule, garp.RivalTracker), and the health of servers
// (healthcheck.State). Around them are models, as simple as possible: the two processes of each director, the kernels' tables
// and addresses, a switch, neighbour tables of clients, real servers, disks, witnesses, power switches, and operators.
//
// A seed decides everything: the topology, the faults and their times, each delay and each lost packet. The same seed gives
// the same run. The invariants (invariants.go) are checked after each event. If a run breaks an invariant, it is repeated
// with fewer and fewer faults while it still breaks it, and then printed.
//
// The package is not in integration, because Go lets only code below cmd/tandem import the core of the director.
package simulation
