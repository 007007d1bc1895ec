// SPDX-License-Identifier: Apache-2.0

// Package supervise runs the election process of a director: it starts the process, watches its signs of life, and removes
// its addresses when it dies.
//
// Four goroutines share the work, so that a slow one does not delay the others:
//
//   - The reader reads the election's messages and records a sign of life at each read. It waits for nothing but the socket.
//   - The writer sends orders. If an election does not read, only the writer waits.
//   - The judge (Run) checks the signs of life, kills an election that hangs, and removes the addresses of a dead one.
//   - The courier passes the latest report to the consumer. If the consumer blocks, only the courier waits.
package supervise
