// SPDX-License-Identifier: Apache-2.0

// Package healthcheck decides whether real servers work: what a check is, when its next probe is due, and what the
// results of its probes establish. It is pure: it does no I/O and reads no clock.
//
// The work is done in sub-packages:
//
//   - runner probes many targets, each at its own interval, and reports every change through Options.Notify.
//   - probe talks to a server once: TCP, HTTP and HTTPS (1.0, 1.1 and 2), gRPC, DNS, SMTP, UDP, ICMP echo, and an agent
//     by which the server reports its own state and weight.
//   - probe/epoll carries plain probes on one thread.
//   - probe/script runs programs: in their own process group, as another user, without the director's capabilities. A
//     program is killed with its children when its time is over, however they have detached themselves.
//   - probe/via probes through the VIP: to the address that clients use, but at one server.
package healthcheck
