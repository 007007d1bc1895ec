// SPDX-License-Identifier: Apache-2.0

package seccomp

import "golang.org/x/sys/unix"

// architecture is how a filter knows the calls of 64-bit programs.
const architecture = unix.AUDIT_ARCH_AARCH64

// privilegedHere and the others are the calls that not every architecture has.
var (
	privilegedHere = []uint32{unix.SYS_KEXEC_FILE_LOAD}
	startingHere   []uint32
	ownershipHere  []uint32
)
