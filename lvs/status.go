// SPDX-License-Identifier: Apache-2.0

package lvs

// A ServiceStatus is a service in the kernel's table, with its counters.
type ServiceStatus struct {
	Service
	Stats   Stats
	Servers []ServerStatus
}

// A ServerStatus is a real server in the kernel's table, with its counters.
type ServerStatus struct {
	Server
	Active     int // connections that are established, and those of TCP whose handshake is under way
	Inactive   int // all others
	Persistent int // clients that persistence binds to it
	Stats      Stats
}

// A Row is a service as /proc/net/ip_vs shows it. The text lacks the scheduler's flags, timeout, prefix, engine, tunnels,
// thresholds, and OnePacket of IPv6 services. The family of a firewall-mark service is that of its first server, or 0
// if it has no servers.
type Row struct {
	Service
	Servers []ServerRow
}

// A ServerRow is a real server with its numbers of connections.
type ServerRow struct {
	Server
	Active   int // as in ServerStatus
	Inactive int // all others
}
