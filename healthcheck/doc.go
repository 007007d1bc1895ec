// SPDX-License-Identifier: Apache-2.0

// Package healthcheck decides whether real servers work. It defines a check, the time of its next probe, and the health that
// follows from the results. It is pure: it does no I/O and reads no clock.
//
// The work is done in sub-packages:
//
//   - runner probes many targets, each at its own interval, and reports every change through Options.Notify.
//   - probe checks a server once: TCP, HTTP and HTTPS (1.0, 1.1 and 2), gRPC, DNS, SMTP, UDP, RADIUS, ICMP echo, and an agent or
//     a file that gives the server's state and weight.
//   - probe/epoll runs plain probes on one thread.
//   - probe/script runs programs: in their own process group, as another user, without the director's capabilities. When the
//     time of a program is over, it is killed with all its children.
//   - probe/via probes through the VIP: to the address that clients use, but at one server.
package healthcheck
