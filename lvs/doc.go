// SPDX-License-Identifier: Apache-2.0

// Package lvs describes the IPVS table: services, real servers, their weights, and the changes between two tables.
//
// A table is a list of Entry values. Pool, or Weight alone, decides each real server's weight. Diff returns the smallest set
// of changes. The package is pure: it does no I/O and reads no clock. Package lvs/kernel reads and writes the kernel's table.
// Package lvs/realserver prepares the real servers.
//
// # What clients get
//
// One rule holds for every scheduler, with and without persistence, and for every protocol. It holds from the moment when a
// server is known to have failed, or is drained, disabled or removed from the configuration:
//
//   - No new client is refused or left without an answer while any server, or the sorry server, can serve.
//   - Connections of a drained server continue.
//   - Connections of a failed or disabled server end at once: the director answers the client's next TCP packet with a reset,
//     and sends its next datagram to another server.
//
// A server that was removed from the configuration is like a drained one during the drain_timeout of its service. After that
// it is like a disabled one.
//
// The rule needs four things:
//
//   - A failed server is removed from the table (Remove). With weight 0 its connections would stay without an answer, and
//     with the schedulers sh, mh and dh it would also keep its share of new clients.
//   - A service with sh or mh has the flag Fallback (NeededFlags), so that clients of a server of weight 0 get another one.
//   - expire_nodest_conn = 1 ends the connections to a removed server, and expire_quiescent_template = 1 sends persistent
//     clients of a server of weight 0 to another one (NeededSysctls).
//   - With schedulers that do not only compare weights, weights are not scaled (Pool).
//
// The kernel has no way to keep the rule in one case: the scheduler dh refuses clients whose server has weight 0. While a
// server of such a service is drained, its new clients are refused.
package lvs
