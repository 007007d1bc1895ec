// SPDX-License-Identifier: Apache-2.0

package election

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketFD is the descriptor at which an election finds its end of the socket pair.
const socketFD = 3

// highFD is a descriptor above most others of an election. When a process is killed, the kernel releases what it had open
// from the highest descriptor down, and takes tens of milliseconds for the packet sockets. What others wait for goes
// before those: measured here, the director learned of the death after 0.3 ms instead of 13 to 40 ms.
const highFD = 1000

// dupHigh duplicates a descriptor to highFD or above. Where the limit on descriptors is lower it fails, and there is only
// the advantage that is lost.
func dupHigh(fd uintptr) (uintptr, error) {
	high, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, highFD)
	return uintptr(high), err
}

// A process is an election that runs as a child process.
type process struct {
	net.Conn
	cmd *exec.Cmd
}

var _ Child = (*process)(nil)

// Spawn starts this very binary with args as an election process, which finds its director by Inherited. It logs to
// the director's standard error. It is in a process group of its own, so that an interrupt typed at a terminal
// reaches the director alone, which then tells it to leave.
func Spawn(args ...string) (Child, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "election"), os.NewFile(uintptr(fds[1]), "director")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	_ = ours.Close() // FileConn has its own copy
	if err != nil {
		return nil, fmt.Errorf("use the socket pair: %w", err)
	}
	// Not os.Executable: after an upgrade that path holds another version, which may not speak as this one does.
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &process{Conn: conn, cmd: cmd}, nil
}

func (p *process) Wait() error { return p.cmd.Wait() }
func (p *process) Kill() error { return p.cmd.Process.Kill() }

// Inherited returns the socket to the director that started this process by Spawn.
func Inherited() (net.Conn, error) {
	f := os.NewFile(socketFD, "director")
	if f == nil {
		return nil, fmt.Errorf("descriptor %d is not open", socketFD)
	}
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is no socket: %w", socketFD, err)
	}
	_, _ = dupHigh(f.Fd()) // open for as long as this process lives, and never used
	return conn, nil
}
