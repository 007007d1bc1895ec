// SPDX-License-Identifier: Apache-2.0

// Package healthcheck finds out whether real servers work.
//
// A [Runner] probes many targets, each at its own interval, and tells of every change through Options.Notify. Three
// parts make it up: probes, which talk to a server once and say in words what came of it; rise, fall and flapping, which
// turn the results into a health; and the schedule, which spreads the probes over time.
//
// There is a check for each of TCP, HTTP and HTTPS (1.0, 1.1 and 2), gRPC, DNS, SMTP, UDP and ICMP echo, one that lets
// the server say itself how it is and what part of its weight it wants, and one that runs a program: with its own process
// group, as another user, without the director's capabilities, and gone with its children when its time is over.
//
// A check can go through the VIP: to the address that clients use, but at that one server. It fails where the server
// does not have the VIP, listens on its own address only, or answers from that. TCP checks that only connect send a SYN
// to the server's hardware address, and read the answer from the wire; the others connect with a firewall mark, and
// somebody has to see to it that IPVS leads the mark to the server: see Config.Via and [Ingress].
//
// Plain probes, TCP connections and HTTP without TLS of which only the status counts, are carried by one goroutine on
// non-blocking sockets; every other probe under way has a goroutine of its own. The result of both is the same in
// everything.
//
// What a server sends can only make its own check fail: the whole probe ends within its timeout, a response is read
// into constant memory, and a panic is that check's failure. What the director lacks (time, file descriptors, local
// ports, certificates) is counted as the director's own problem and never held against a server.
package healthcheck
