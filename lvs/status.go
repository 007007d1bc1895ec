// SPDX-License-Identifier: Apache-2.0

package lvs

// A ServiceStatus is a service as it is in the kernel, and what was counted of it.
type ServiceStatus struct {
	Service
	Stats   Stats
	Servers []ServerStatus
}

// A ServerStatus is a real server as it is in the kernel, and what was counted of it.
type ServerStatus struct {
	Server
	Active     int // connections that are established
	Inactive   int // all others
	Persistent int // clients that will come back to it
	Stats      Stats
}

// A Row is a service as /proc/net/ip_vs shows it: without the flags that belong to the scheduler, for an IPv6 service
// without OnePacket, without timeout, prefix and engine, its servers without tunnel and thresholds, and for a
// firewall-mark service with the family of its first server, or none if it has no servers.
type Row struct {
	Service
	Servers []ServerRow
}

// A ServerRow is a real server with its numbers of connections.
type ServerRow struct {
	Server
	Active   int // connections that are established
	Inactive int // all others
}

// A SyncDaemon is a sync daemon of the kernel, which has one role. Its Sync leaves nothing open.
type SyncDaemon struct {
	Sync
	// Foreign tells that the id is above 255, which the kernel accepts and cuts to 8 bits in the messages.
	Foreign bool
}
