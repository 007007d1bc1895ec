// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrAbsent is wrapped by the error of every operation on a kernel without IPVS.
var ErrAbsent = errors.New(`the kernel has no IPVS: load it with "modprobe ip_vs", ` +
	`or install the package with the running kernel's modules`)

// Probe reports whether the table of the calling thread's network namespace can be read and written. The error wraps
// ErrAbsent if the kernel has no IPVS, or unix.EPERM if the process lacks the capability CAP_NET_ADMIN. The kernel loads the
// module if it can.
func Probe() error {
	_, err := family()
	return err
}

// family asks the kernel for the number of IPVS's generic netlink family. Then it sends a harmless command, which needs the
// same capability as a change.
func family() (uint16, error) {
	f, err := netlink.GenlFamilyGet("IPVS")
	switch {
	case errors.Is(err, unix.ENOENT):
		return 0, ErrAbsent
	case err != nil:
		return 0, fmt.Errorf("failed to look up netlink family IPVS: %w", err)
	}
	req := nl.NewNetlinkRequest(int(f.ID), unix.NLM_F_ACK)
	req.AddData(&nl.Genlmsg{Command: cmdGetInfo, Version: 1})
	_, err = req.Execute(unix.NETLINK_GENERIC, 0)
	switch {
	case errors.Is(err, unix.EPERM):
		return 0, fmt.Errorf("failed to use IPVS: run as root or with the capability CAP_NET_ADMIN: %w", err)
	case err != nil:
		return 0, fmt.Errorf("failed to ask IPVS for its version: %w", err)
	}
	return f.ID, nil
}
