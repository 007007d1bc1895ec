// SPDX-License-Identifier: Apache-2.0

// Package simulation runs a pair of directors in one process, on simulated time, and looks for what goes wrong.
//
// The parts that decide are the product's own: the core of the director (core.State), the election (vrrp.Router and
// vrrp.Groups, with real advertisements), the announcements (garp.Schedule, garp.RivalTracker), and what checks establish
// (healthcheck.State). Around them are models, as thin as they can be: the two processes of each director, the kernels'
// tables and addresses, a switch, neighbour tables of clients, real servers, disks, and operators.
//
// A seed decides everything: the topology, the faults and their times, each delay and each lost packet. The same seed gives the
// same run. The invariants (invariants.go) are looked at after each event. A run that breaks one is repeated with fewer
// faults, as long as it still breaks it, and printed.
//
// The package is here, and not in integration, because Go lets only code below cmd/tandem import the core of the director.
package simulation
