// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"fmt"
	"net/netip"
)

// Roles are the roles of the kernel's connection sync in this network namespace. They can be combined.
type Roles uint8

// The roles, numbered as linux/ip_vs.h does (IP_VS_STATE_…).
const (
	SyncMaster Roles = 1 << iota // send our connections to the peer
	SyncBackup                   // receive the peer's connections

	SyncBoth = SyncMaster | SyncBackup
)

// A Sync is the connection sync that should run. It is comparable. The zero value stands for none. Both directors of a
// pair have the same settings, except the roles.
type Sync struct {
	Interface string     // sends and receives the messages
	ID        uint8      // of the pair; messages with another one are ignored
	Group     netip.Addr // multicast address; the zero value stands for 224.0.0.81
	Port      uint16     // UDP; 0 stands for 8848
	TTL       uint8      // or hop limit; 0 stands for 1
	MaxLen    int        // of a message's payload, 1024 to 65507 bytes (IPv6: 65487); 0: what fits the MTU
	Roles     Roles
}

// String returns "master", "backup" or "master and backup".
func (r Roles) String() string {
	switch r {
	case 0:
		return "none"
	case SyncMaster:
		return "master"
	case SyncBackup:
		return "backup"
	case SyncBoth:
		return "master and backup"
	}
	return fmt.Sprintf("roles %#x", uint8(r))
}

// A SyncDaemon is a sync daemon of the kernel. It has one role, and no setting of its Sync is left to a default.
type SyncDaemon struct {
	Sync
	// Foreign: its id is above 255. The kernel accepts that and sends the lower 8 bits.
	Foreign bool
}

// The limits of a sync message's payload. A backup's buffer is never smaller than the lower one. Headers take the rest of
// 65535 bytes.
const (
	minSyncLen  = 1024
	maxSyncLen  = 65535 - 20 - 8
	maxSyncLen6 = 65535 - 40 - 8
)

// Validate reports what is wrong with the settings of connection sync. The error is ErrInvalid.
func (s Sync) Validate() error {
	longest := maxSyncLen
	if s.Group.Is6() {
		longest = maxSyncLen6
	}
	switch {
	case s == Sync{}:
		return nil
	case s.Interface == "" || len(s.Interface) > maxInterfaceName:
		return invalid("connection sync: interface %q: want a name of 1 to %d characters", s.Interface, maxInterfaceName)
	case s.Roles == 0 || s.Roles&^SyncBoth != 0:
		return invalid("connection sync: want to be master, backup or both")
	case s.Group.IsValid() && (!s.Group.IsMulticast() || s.Group.Is4In6() || s.Group.Zone() != ""):
		return invalid("connection sync: group %s: want a multicast address", s.Group)
	case s.MaxLen != 0 && (s.MaxLen < minSyncLen || s.MaxLen > longest):
		return invalid("connection sync: length %d: want %d to %d", s.MaxLen, minSyncLen, longest)
	}
	return nil
}
