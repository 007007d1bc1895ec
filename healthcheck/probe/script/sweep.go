// SPDX-License-Identifier: Apache-2.0

package script

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// maxSweeps bounds the race with processes that start others as fast as they are killed.
	maxSweeps = 10
	// maxEnviron is how much of an environment is searched, in bytes.
	maxEnviron = 256 << 10
)

// sweep kills every process that has the mark in its environment, until none is left.
func sweep(mark string) {
	for range maxSweeps {
		if !sweepOnce([]byte(mark)) {
			return
		}
	}
}

// sweepOnce says whether it killed any process.
func sweepOnce(mark []byte) bool {
	dir, err := os.Open("/proc")
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1) // after an error, the names so far
	killed := false
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err == nil && marked(pid, mark) && killMarked(pid, mark) {
			killed = true
		}
	}
	return killed
}

// marked says whether a process has the mark in its environment, as far as the director may know. A zombie has no
// environment.
func marked(pid int, mark []byte) bool {
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	env, _ := io.ReadAll(io.LimitReader(f, maxEnviron)) // after an error, the part so far
	for variable := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(variable, mark) {
			return true
		}
	}
	return false
}

// killMarked kills a process that was marked a moment ago, and never another process that has got its number since.
func killMarked(pid int, mark []byte) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.3
		return unix.Kill(pid, unix.SIGKILL) == nil
	}
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	return marked(pid, mark) && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}
