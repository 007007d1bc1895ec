// SPDX-License-Identifier: Apache-2.0

// Package speaker runs the virtual routers of one interface. Its loop has the sockets and timers, and nothing delays it.
//
// The advertisements of a router with a heartbeat also go over other interfaces. The loop of the router's own interface has the
// sockets there, too (paths.go). The routers of a loop share them.
//
// Run's thread only receives, decides and sends. The owner's calls (Configure, SetLink, SetTracking, …) take no lock that the
// thread takes. Log lines go through a queue, and Options.Notify must not block.
package speaker
