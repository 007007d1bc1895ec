// SPDX-License-Identifier: Apache-2.0

// Command harden starts a program as tandem.service does: as the user tandem, with the unit's capabilities, without new privileges,
// address families or system calls that the unit refuses. It does without systemd, whose namespaces of files it does not make.
//
//	harden [-other-users] PROGRAM [ARGUMENT…]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/seccomp"

	"github.com/tandem-lvs/tandem/configs/account"
)

func main() {
	others := flag.Bool("other-users", false, "with the drop-in other-users.conf")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	runtime.LockOSThread() // what follows is about one thread, which then becomes the program
	err := harden(*others)
	if err == nil {
		err = unix.Exec(flag.Arg(0), flag.Args(), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "harden:", err)
	os.Exit(1)
}

func harden(others bool) error {
	// As in configs/tandem.service. IPC_LOCK stands for its LimitMEMLOCK: not every machine of a lab may raise limits.
	keep := []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_SYS_NICE, unix.CAP_IPC_LOCK}
	refuse := slices.Concat(seccomp.Privileged(), seccomp.Ownership())
	if others {
		keep = append(keep, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL)
		refuse = slices.DeleteFunc(refuse, func(call uint32) bool { return slices.Contains(seccomp.Identity(), call) })
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if slices.Contains(keep, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) { // an older kernel lacks it
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := become("tandem", keep); err != nil {
		return err
	}
	unix.Umask(0o077)
	filter := seccomp.Filter{Calls: refuse, Families: []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET}}
	return filter.Install(nil)
}

// become makes this thread a user with capabilities that survive the start of a program.
func become(name string, keep []uintptr) error {
	uid, gid, err := account.IDs(name)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep the capabilities: %w", err)
	}
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, 0, 0, 0},
		{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return fmt.Errorf("become the user %s: %w", name, errno)
		}
	}
	var set [2]unix.CapUserData
	for _, c := range keep {
		set[c/32].Effective |= 1 << (c % 32)
	}
	for i := range set {
		set[i].Permitted, set[i].Inheritable = set[i].Effective, set[i].Effective
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&header, &set[0]); err != nil {
		return fmt.Errorf("set the capabilities: %w", err)
	}
	for _, c := range keep {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0); err != nil {
			return fmt.Errorf("raise capability %d: %w", c, err)
		}
	}
	return nil
}
