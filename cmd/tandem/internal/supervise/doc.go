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
//
// What clients get when the election is killed as master: the director and the kernel's table are still there, so the addresses
// go on answering. The peer takes over no sooner than three intervals after the last advertisement, and an election that is back
// before that resumes with an advertisement: nobody notices. If none is back, the addresses stay until the peer may have taken
// over, and vrrp.Linger (50 ms) longer; then they are removed, even if something hangs. The peer takes over one skew time after the
// three intervals, so clients are without service for at most its skew time less 50 ms: at 100 ms adverts and priority 100 for
// 11 ms, at 1 s for 560 ms, and in practice for no time, because an election is back after 100 ms. The two machines share the
// addresses for at most 50 ms, as at any hand-over, and only the peer announces them.
//
// A killed director: see package election.
package supervise
