// SPDX-License-Identifier: Apache-2.0

// Package speaker runs the virtual routers of one interface: it has the sockets and timers, in a loop that nothing delays.
//
// Run's thread does nothing but receive, decide and send. Its owner sets what it wants (Configure, SetLink, SetTracking,
// …) without a lock that the thread takes, log lines go through a queue, and Options.Notify must not block.
package speaker
