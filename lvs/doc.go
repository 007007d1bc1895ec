// SPDX-License-Identifier: Apache-2.0

// Package lvs describes the IPVS table: services, real servers, their weights, and the changes between two tables.
//
// A table is a list of Entry values. Pool, or Weight alone, decides each real server's weight. Diff returns the least
// that must change. The package is pure: it does no I/O and reads no clock. Package lvs/kernel reads and writes the
// kernel's table, and package lvs/realserver prepares the machines that serve.
//
// # What clients get
//
// One rule holds for every scheduler, with and without persistence, and for every protocol. From the moment when a server is
// known to have failed, or is drained, disabled or taken out of the configuration:
//
//   - no new client is refused or gets silence while any server, or the sorry server, can serve;
//   - what is established to a drained server goes on;
//   - what is established to a failed or disabled server ends at once: the director answers the client's next TCP packet with
//     a reset, and sends its next datagram to another server.
//
// A server that has left the configuration is like a drained one during the drain_timeout of its service, and then like a
// disabled one. The rule needs four things. A failed server leaves the table (Remove): at weight 0 it would keep silent
// connections, and with the schedulers sh, mh and dh also its share of new clients. A service with sh or mh has the flag
// Fallback (NeededFlags), so that clients of a server of weight 0 get another one. The setting expire_nodest_conn = 1 ends
// connections to a server that has left the table, and expire_quiescent_template = 1 lets persistent clients leave a server
// of weight 0 (NeededSysctls). Where a weight is more than a share, weights are not scaled (Pool).
//
// The kernel offers no way for one case: the scheduler dh refuses clients whose server has weight 0. While a server of such a
// service is drained, its new clients are refused.
package lvs
