// SPDX-License-Identifier: Apache-2.0

package seccomp

import "golang.org/x/sys/unix"

// architecture is how a filter knows the calls of 64-bit programs.
const architecture = unix.AUDIT_ARCH_X86_64

// privilegedHere and the others are the calls that only this architecture has.
var (
	privilegedHere = []uint32{
		unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_SYSFS, unix.SYS__SYSCTL,
		unix.SYS_CREATE_MODULE, unix.SYS_QUERY_MODULE, unix.SYS_GET_KERNEL_SYMS, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_MKNOD,
	}
	startingHere  = []uint32{unix.SYS_FORK, unix.SYS_VFORK}
	ownershipHere = []uint32{unix.SYS_CHOWN, unix.SYS_LCHOWN}
)
