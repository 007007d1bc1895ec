// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/board"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp/speaker"
)

// timerSlack is the time by which the kernel may delay the timers of an election's threads. The threads of the VRRP loops set a
// shorter one. While a loop waits in the kernel, the monitor of the Go runtime polls, at first every 20 us: at 200 routers
// and 100 ms that was 600 wake-ups a second and a third of the processor time of a backup. With this slack it is 80.
const timerSlack = 5 * time.Millisecond

// withSlack runs f on a thread with a timer slack, which a process that f starts inherits and keeps (prctl(2)).
func withSlack(slack time.Duration, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) == nil {
		defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }()
	}
	return f()
}

// withRealtime runs f on a thread under SCHED_RR. A process that f starts inherits the policy for all its threads. When only
// the thread of the VRRP loop had it, the loop waited for threads of the Go runtime that the busy machine did not run: with
// adverts every 10 ms, beside two busy loops on each core, backups took over for no reason.
func withRealtime(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	former, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return f()
	}
	realtime := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: speaker.RealtimePriority}
	if unix.SchedSetAttr(0, &realtime, 0) == nil {
		defer func() { _ = unix.SchedSetAttr(0, former, 0) }() // the former policy is always allowed
	}
	return f()
}

// A process is an election in a child process.
type process struct {
	net.Conn
	cmd    *exec.Cmd
	board  *board.Board
	shared *os.File // the file of the board
}

var _ Child = (*process)(nil)

// Spawn starts this binary with args as an election process, which finds its end of the socket by election.Inherited. It logs
// to the director's standard error. It has its own process group: an interrupt typed at a terminal reaches only the
// director, which then tells the election to leave. With realtime all of its threads run under SCHED_RR from the start, if
// this process may set that. If it may not, the VRRP loops warn about it. It has fewer capabilities than this process.
func Spawn(realtime bool, args ...string) (Child, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("failed to make a socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "election"), os.NewFile(uintptr(fds[1]), "director")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	_ = ours.Close() // FileConn has its own copy
	if err != nil {
		return nil, fmt.Errorf("failed to use the socket pair: %w", err)
	}
	shared, file, err := board.New()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	// Not os.Executable: after an upgrade that path holds another version, whose messages may differ.
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs, file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := func() error { return withSlack(timerSlack, cmd.Start) }
	if realtime {
		start = func() error { return withRealtime(cmd.Start) }
	}
	if err := withCapabilities(capabilitiesOf(realtime, isRoot()), start); err != nil {
		_ = errors.Join(conn.Close(), shared.Close(), file.Close())
		return nil, err
	}
	return &process{Conn: conn, cmd: cmd, board: shared, shared: file}, nil
}

func (p *process) Wait() error { return p.cmd.Wait() }
func (p *process) Kill() error { return p.cmd.Process.Kill() }

func (p *process) Close() error {
	return errors.Join(p.Conn.Close(), p.board.Close(), p.shared.Close())
}

func (p *process) Spoke(id message.RouterID) message.Monotonic {
	return message.Monotonic(p.board.Spoke(id.Interface, id.Name))
}

// monotonicNow returns the present moment. It counts the time in which the machine is suspended, because the peer continues in
// that time.
func monotonicNow() message.Monotonic {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // Linux never fails here
	}
	return message.Monotonic(ts.Nano())
}
