// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Install puts the filter in force for all threads of this process and what they start, for ever. The calls that it refuses fail with
// EPERM, and each of them is told. told may be nil; it runs on one goroutine, and the refused call waits for it. Before Linux 5.7, or if
// another program already listens to the refusals of this process, none is told.
func (f Filter) Install(told func(call int)) error {
	if architecture == 0 {
		return errors.New("there is no filter of system calls for " + runtime.GOARCH)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("failed to forbid new privileges: %w", err)
	}
	// SPEC_ALLOW: without it some kernels slow the whole process down, against code that reads its memory by speculation. There is none.
	const flags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	if told != nil {
		fd, err := f.load(bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF},
			flags|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
		if err == nil {
			unix.CloseOnExec(fd)
			go listen(fd, told)
			return nil
		}
	}
	_, err := f.load(refuse(unix.EPERM), flags)
	return err
}

// load gives the filter to the kernel. The result is a descriptor if the flags ask for one.
func (f Filter) load(refused bpf.Instruction, flags uintptr) (int, error) {
	filter, err := f.program(refused)
	if err != nil {
		return -1, err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	result, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return -1, fmt.Errorf("failed to load the filter of system calls: %w", errno)
	}
	if flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 && result != 0 {
		return -1, fmt.Errorf("failed to load the filter of system calls into thread %d", result)
	}
	return int(result), nil
}

// A notification is the kernel's struct seccomp_notif.
type notification struct {
	id         uint64
	pid, flags uint32
	call       int32
	arch       uint32
	pointer    uint64
	arguments  [6]uint64
}

// An answer is the kernel's struct seccomp_notif_resp.
type answer struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// listen tells refused calls until the process ends.
func listen(fd int, told func(call int)) {
	for {
		var n notification // the kernel wants it empty
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		switch errno {
		case 0:
		case unix.EINTR, unix.ENOENT: // ENOENT: the calling thread is gone
			continue
		default: // the calls fail with ENOSYS from now on
			_ = unix.Close(fd)
			return
		}
		told(int(n.call))
		a := answer{id: n.id, err: -int32(unix.EPERM)}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a)))
	}
}
