// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// The kernel's defaults for a Sync.
const (
	defaultSyncPort = 8848
	defaultSyncTTL  = 1
)

var defaultSyncGroup = netip.AddrFrom4([4]byte{224, 0, 0, 81})

// Attributes of linux/ip_vs.h (IPVS_DAEMON_ATTR_…).
const (
	daemonState     = 1
	daemonInterface = 2
	daemonID        = 3
	daemonMaxLen    = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7
	daemonTTL       = 8
)

// Daemons returns the running sync daemons, the master first. Its errors are those of Read.
func (k *IPVS) Daemons(ctx context.Context) ([]lvs.SyncDaemon, error) {
	return ask(ctx, k, "failed to read connection sync", func(s *session, begin func() error) ([]lvs.SyncDaemon, error) {
		var daemons []lvs.SyncDaemon
		if err := begin(); err != nil {
			return nil, err
		}
		err := s.dump(cmdGetDaemon, nil, func(b []byte) error {
			d, err := parseDaemon(b)
			daemons = append(daemons, d)
			return err
		})
		return daemons, err
	})
}

// StartDaemon starts the sync daemon of one role. Its errors wrap the kernel's errno, or are those of Read.
func (k *IPVS) StartDaemon(ctx context.Context, want lvs.Sync, role lvs.Roles) error {
	if startsNone {
		return nil
	}
	return k.writeDaemon(ctx, cmdNewDaemon, want, role)
}

// StopDaemon stops the sync daemon of one role. If it does not run, this is a success.
func (k *IPVS) StopDaemon(ctx context.Context, role lvs.Roles) error {
	err := k.writeDaemon(ctx, cmdDelDaemon, lvs.Sync{}, role)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

func (k *IPVS) writeDaemon(ctx context.Context, command uint8, s lvs.Sync, role lvs.Roles) error {
	release, err := k.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	failed, err := work(ctx, k, func(session *session, begin func() error) (error, error) {
		if err := begin(); err != nil {
			return nil, err
		}
		k.writes.Add(1)
		failed, err := session.exec(1, func(b []byte, _ int) (uint8, []byte) { return command, appendDaemon(b, s, role) })
		return failed[0], err
	})
	if err != nil {
		k.drop()
		return err
	}
	return failed
}

// appendDaemon appends the attributes of the sync daemon of a role.
func appendDaemon(b []byte, s lvs.Sync, role lvs.Roles) []byte {
	b, start := nest(b, attrDaemon)
	b = appendAttr32(b, daemonState, uint32(role))
	b = appendText(b, daemonInterface, s.Interface)
	b = appendAttr32(b, daemonID, uint32(s.ID))
	if s.MaxLen != 0 {
		b = appendAttr16(b, daemonMaxLen, uint16(s.MaxLen))
	}
	switch {
	case s.Group.Is4():
		b = appendAttr(b, daemonGroup, s.Group.AsSlice())
	case s.Group.Is6():
		b = appendAttr(b, daemonGroup6, s.Group.AsSlice())
	}
	if s.Port != 0 {
		b = appendAttr16(b, daemonPort, s.Port) // in the host's order
	}
	if s.TTL != 0 {
		b = appendAttr8(b, daemonTTL, s.TTL)
	}
	unnest(b, start)
	return b
}

// parseDaemon parses the attributes of a message about a sync daemon.
func parseDaemon(b []byte) (d lvs.SyncDaemon, err error) {
	top, _, _ := nextAttr(b)
	if top.kind != attrDaemon {
		return d, fmt.Errorf("sync daemon: %w", errMalformed)
	}
	for a, rest, more := nextAttr(top.value); more; a, rest, more = nextAttr(rest) {
		switch a.kind {
		case daemonState:
			d.Roles = lvs.Roles(a.uint32())
		case daemonInterface:
			d.Interface = a.text()
		case daemonID:
			d.ID, d.Foreign = uint8(a.uint32()), a.uint32() > 255
		case daemonMaxLen:
			d.MaxLen = int(a.uint16())
		case daemonGroup:
			d.Group, _ = addrOf(a.value, lvs.IPv4)
		case daemonGroup6:
			d.Group, _ = addrOf(a.value, lvs.IPv6)
		case daemonPort:
			d.Port = a.uint16()
		case daemonTTL:
			d.TTL = a.uint8()
		}
	}
	return d, nil
}

// complete returns s with the kernel's defaults filled in, except that of MaxLen.
func complete(s lvs.Sync) lvs.Sync {
	if !s.Group.IsValid() {
		s.Group = defaultSyncGroup
	}
	s.Port, s.TTL = cmp.Or(s.Port, defaultSyncPort), cmp.Or(s.TTL, defaultSyncTTL)
	return s
}
