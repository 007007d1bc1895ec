// SPDX-License-Identifier: Apache-2.0

// Package traffic finds real servers that do not answer clients, from the kernel's connection table.
//
// With the methods dr and tunnel a director sees only the clients' packets. So a connection whose client has never sent an ACK
// stays in SYN_RECV: the server's answer did not reach the client. With nat a refused connection is in CLOSE at once.
//
// Over UDP the table shows no difference. With nat the kernel counts the packets of servers, and Replies compares these counters.
// With dr and tunnel nobody but the client sees an answer to UDP, so that nobody is ever named.
//
// The other director sees less. Connection sync tells it of TCP connections once they are established, never of those that wait.
// So it cannot tell a server without answers from one without clients.
//
// A Sampler compares two looks at the table, and says of each new connection whether it was answered. A Judge collects this for
// the real servers of one service, and compares them. The package is pure: it does no I/O and reads no clock.
//
// A look is bounded, so a look at a large table shows a part of it: of 100,000 connections 8,000 at most. There, a server is named
// after as many new connections as elsewhere, but only one in twelve of them is seen.
//
// A connection without an answer proves little. In a SYN flood nobody's ACK comes, a client may be half open or behind a
// broken path. So a server is suspect only if all of this holds, from the first unanswered connection on:
//
//   - It has answered no new connection, and at least MinUnanswered credible ones are unanswered.
//   - Meanwhile the other servers of the service have answered so many that the server's own share would be at least
//     MinExpected. Or the other servers have left so few credible ones unanswered that those of this server are as improbable.
//
// A connection is credible if its client has got an answer from another server of the service meanwhile. The source addresses of a
// flood never get one. With persistence or the scheduler sh a client stays with one server, so that
// no connection is credible. Then at least minClients different clients must be unanswered, and the other servers must answer
// nearly all connections. During a flood they do not.
package traffic
