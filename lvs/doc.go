// SPDX-License-Identifier: Apache-2.0

// Package lvs describes the IPVS table: services, real servers, their weights, and the changes between two tables.
//
// A table is a list of Entry values. Pool, or Weight alone, decides each real server's weight. Diff returns the least
// that must change. The package is pure: it does no I/O and reads no clock. Package lvs/kernel reads and writes the
// kernel's table, and package lvs/realserver prepares the machines that serve.
package lvs
