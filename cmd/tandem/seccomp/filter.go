// SPDX-License-Identifier: Apache-2.0

// Package seccomp refuses system calls that this process does not need. Who takes over the process then cannot use them either.
//
// A filter names what it refuses, not what it allows: the kernel and the Go runtime get new system calls, and a call that is refused by
// mistake must not end an election. For the same reason a refused call fails with EPERM, and kills nothing. See seccomp(2).
package seccomp

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A Filter is what a process must not do.
type Filter struct {
	Calls    []uint32 // numbers of system calls
	Families []uint32 // the address families of sockets that it may have; nil: all
	Threads  bool     // it may start threads, but no processes
}

// Where the kernel puts what a filter looks at (struct seccomp_data): the number of the call, the architecture, and the low half of the
// first argument, for machines that begin with it.
const (
	offsetCall     = 0
	offsetArch     = 4
	offsetArgument = 16
)

// x32 is the bit of calls by 32-bit pointers on amd64. They have other numbers, so a filter could be avoided by them.
const x32 = 0x40000000

func refuse(errno unix.Errno) bpf.Instruction {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)}
}

var allow = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}

// program returns the filter for the kernel. A call in Calls ends with refused.
func (f Filter) program(refused bpf.Instruction) ([]unix.SockFilter, error) {
	p := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: architecture, SkipTrue: 1},
		refuse(unix.ENOSYS),
		bpf.LoadAbsolute{Off: offsetCall, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1},
		refuse(unix.ENOSYS),
	}
	if f.Threads {
		// The flags of clone3 are in memory, which a filter cannot read. After ENOSYS, the C library uses clone; Go always does.
		p = append(p, only(unix.SYS_CLONE3, refuse(unix.ENOSYS))...)
		p = append(p, only(unix.SYS_CLONE,
			bpf.LoadAbsolute{Off: offsetArgument, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: unix.CLONE_THREAD, SkipTrue: 1},
			refuse(unix.EPERM), // not told: the Go runtime holds locks while it starts a program
			allow)...)
	}
	if f.Families != nil {
		family := []bpf.Instruction{bpf.LoadAbsolute{Off: offsetArgument, Size: 4}}
		for _, n := range f.Families {
			family = append(family, only(n, allow)...)
		}
		family = append(family, refuse(unix.EAFNOSUPPORT))
		p = append(p, only(unix.SYS_SOCKET, family...)...)
	}
	for i, call := range f.Calls {
		left := len(f.Calls) - i
		if left > 255 {
			return nil, fmt.Errorf("a filter of %d system calls is too long", len(f.Calls))
		}
		p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: call, SkipTrue: uint8(left)})
	}
	p = append(p, allow, refused)
	raw, err := bpf.Assemble(p)
	if err != nil {
		return nil, fmt.Errorf("failed to assemble the filter of system calls: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return filter, nil
}

// only returns instructions that are skipped unless the loaded value is n.
func only(n uint32, then ...bpf.Instruction) []bpf.Instruction {
	return append([]bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpEqual, Val: n, SkipFalse: uint8(len(then))}}, then...)
}
