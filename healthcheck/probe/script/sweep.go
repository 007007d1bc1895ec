// SPDX-License-Identifier: Apache-2.0

package script

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxSweeps is the maximum number of rounds of a sweep, because processes may start others as fast as they are killed.
	maxSweeps = 10
	// sweepPause is the time that killed processes get to die.
	sweepPause = 2 * time.Millisecond
)

// sweep kills every process that has the tag of a program that started at since, until none is left.
func sweep(t tag, since uint64) {
	for range maxSweeps {
		if !sweepOnce(tagged(t, since)) {
			return
		}
	}
}

// sweepDead is sweep, and waits until all of them are dead, but not longer than patience.
func sweepDead(t tag, since uint64, patience time.Duration) {
	untilDead(tagged(t, since), patience)
}

// sweepGroup is sweepDead for the members of one process group only. Zombies that nobody waits for do not count.
func sweepGroup(t tag, since uint64, group int, patience time.Duration) {
	ours := tagged(t, since)
	untilDead(func(pid int) bool {
		is, err := statOf(pid)
		return err == nil && is.group == group && ours(pid)
	}, patience)
}

// untilDead kills the doomed processes, and waits until all of them are dead, but not longer than patience.
func untilDead(doomed func(pid int) bool, patience time.Duration) {
	for limit := time.Now().Add(patience); sweepOnce(doomed) && time.Now().Before(limit); {
		time.Sleep(sweepPause)
	}
}

// tagged returns whether a process has the tag of a program that started at since.
func tagged(t tag, since uint64) func(pid int) bool {
	own, err := statOf(os.Getpid())
	if err != nil || t == 0 {
		return func(int) bool { return false }
	}
	return func(pid int) bool {
		if tagOf(pid) != t {
			return false
		}
		is, err := statOf(pid)
		// After 16,384 programs a tag comes again.
		return err == nil && !is.zombie && is.session != own.session && is.start >= since
	}
}

// sweepStale kills the processes that the programs of killed directors have left behind. These are the processes with the tag
// of a director that is gone, if they still hold the output of their program. Other processes have been detached on purpose.
func sweepStale() {
	space, err := pidSpace()
	if err != nil {
		return
	}
	sweepOnce(func(pid int) bool {
		t := tagOf(pid)
		if t == 0 || t.director() != directorTag(space, t.pid(), uint64(t)>>numberBits) {
			return false // none, or of another PID namespace
		}
		director, err := statOf(t.pid())
		gone := errors.Is(err, os.ErrNotExist) || err == nil && directorTag(space, t.pid(), director.start) != t.director()
		return gone && (isPipe(pid, 1) || isPipe(pid, 2))
	})
}

// isPipe reports whether a file of a process is a pipe.
func isPipe(pid, fd int) bool {
	to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	return err == nil && strings.HasPrefix(to, "pipe:")
}

// sweepOnce kills the doomed processes, and reports whether there were any.
func sweepOnce(doomed func(pid int) bool) bool {
	dir, err := os.Open("/proc")
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1) // after an error, the names so far
	killed := false
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err == nil && doomed(pid) && kill(pid, doomed) {
			killed = true
		}
	}
	return killed
}

// kill kills a process that was doomed a moment ago, and never another process that has got its number since.
func kill(pid int, doomed func(pid int) bool) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.3
		return unix.Kill(pid, unix.SIGKILL) == nil
	}
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	return doomed(pid) && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}
