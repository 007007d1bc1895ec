// SPDX-License-Identifier: Apache-2.0

// Package vrrp elects the master of a virtual router (RFC 9568).
//
// It is the protocol as values: packets, the state machine, sync groups, and a diagnosis of other routers' configurations by
// their packets. It does no I/O, reads no clock and starts no goroutine. Package speaker has the sockets and timers, package
// address puts the VIPs on interfaces, and package link watches interfaces.
package vrrp
