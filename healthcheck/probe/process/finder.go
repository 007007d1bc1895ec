// SPDX-License-Identifier: Apache-2.0

// Package process tells whether a process of a name runs on this machine.
//
// Going through /proc costs milliseconds on a machine with thousands of processes. So a Finder keeps a file descriptor of a
// process that it has found (pidfd_open(2)), and only asks the kernel whether this process still runs. When it has ended, the
// Finder looks for another one.
package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// maxComm is how many bytes of a program's file name the kernel keeps as the name of a process (TASK_COMM_LEN without its NUL).
const maxComm = 15

// The results of probes.
const (
	runs    = "runs"
	missing = "no such process runs"
)

// A Finder looks for processes. Its methods may be called at the same time.
type Finder struct {
	proc string // the directory of the processes

	mu    sync.Mutex
	found map[string]*sighting // by the name of the program
}

// A sighting is a process that was found.
type sighting struct {
	mu  sync.Mutex
	pid int
	fd  int // a pidfd; -1: none
}

// NewFinder returns a Finder that has found nothing yet.
func NewFinder() *Finder { return &Finder{proc: "/proc", found: make(map[string]*sighting)} }

// Close closes the open descriptors. A later probe opens them again.
func (f *Finder) Close() {
	f.mu.Lock()
	all := f.found
	f.found = make(map[string]*sighting)
	f.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		s.forget()
		s.mu.Unlock()
	}
}

// Probe checks a valid target of type Process once. It passes if a process of the name runs. Zombies, and threads of the
// kernel, do not count.
func (f *Finder) Probe(t *healthcheck.Target) healthcheck.Result {
	name := t.Config.Process
	f.mu.Lock()
	s := f.found[name]
	if s == nil {
		s = &sighting{fd: -1}
		f.found[name] = s
	}
	f.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lives() && f.isNamed(s.pid, name) {
		return healthcheck.Pass(runs)
	}
	s.forget()
	// A process may end and start its successor while the directory is read, and both be missed.
	for range 2 {
		ok, err := f.find(name, s)
		if err != nil {
			return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: fmt.Sprintf("the processes cannot be listed: %s", err)}
		}
		if ok {
			return healthcheck.Pass(runs)
		}
	}
	return healthcheck.Fail(healthcheck.NotRunning, missing)
}

// find looks for a process of a name, and keeps it in s.
func (f *Finder) find(name string, s *sighting) (ok bool, err error) {
	dir, err := os.Open(f.proc)
	if err != nil {
		return false, err
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.Readdirnames(-1)
	for _, entry := range entries {
		pid, notNumber := strconv.Atoi(entry)
		if notNumber != nil || !f.isNamed(pid, name) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		switch {
		case errors.Is(err, unix.ESRCH):
			continue
		case err != nil:
			fd = -1 // before Linux 5.3, or no file descriptor is left: the next probe looks again
		}
		s.pid, s.fd = pid, fd
		if (fd < 0 || s.lives()) && f.isNamed(pid, name) { // the number may have passed to another process
			return true, nil
		}
		s.forget()
	}
	return false, err
}

// lives reports whether the process that was found has not ended.
func (s *sighting) lives() bool {
	if s.fd < 0 {
		return false
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, 0) // readable when it has ended
	return err == nil && n == 0
}

func (s *sighting) forget() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
	s.pid, s.fd = 0, -1
}

// isNamed reports whether a process runs the program of a name.
func (f *Finder) isNamed(pid int, name string) bool {
	dir := filepath.Join(f.proc, strconv.Itoa(pid))
	short := name[:min(len(name), maxComm)]
	if comm, err := os.ReadFile(filepath.Join(dir, "comm")); err != nil || string(comm) != short+"\n" {
		return false // for nearly all: the stat of a process costs the kernel more
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return false
	}
	if comm, ok := program(string(stat)); !ok || comm != short {
		return false
	}
	if len(name) < maxComm {
		return true
	}
	// The name of the file is in the first argument, or of a script in the second, behind its interpreter.
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	for i, arg := range strings.Split(string(line), "\x00") {
		if i < 2 && err == nil && filepath.Base(arg) == name {
			return true
		}
	}
	return false
}

// kernelThread is the flag of a thread of the kernel (PF_KTHREAD in linux/sched.h).
const kernelThread = 0x00200000

// program returns the name of the program that a process runs, from its line in /proc/PID/stat (proc_pid_stat(5)). It is not ok
// for zombies and threads of the kernel.
func program(stat string) (name string, ok bool) {
	begin, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')') // the name may hold anything
	if begin < 0 || end < begin {
		return "", false
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 7 {
		return "", false
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	zombie := fields[0] == "Z" || fields[0] == "X"
	return stat[begin+1 : end], err == nil && !zombie && flags&kernelThread == 0
}
