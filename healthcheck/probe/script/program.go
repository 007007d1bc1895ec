// SPDX-License-Identifier: Apache-2.0

package script

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// programPath is the PATH of programs.
const programPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A program is one run of the program of a check.
type program struct {
	target *healthcheck.Target
	tag    tag         // its descendants inherit it
	since  uint64      // before its start, in ticks
	ended  chan ending // receives one
	gone   bool        // guarded by Programs.mu

	mu     sync.Mutex
	pid    int // and its process group; 0 before the start, and after the wait for its end
	killed bool
}

// An ending is how a program ended, or why it could not be started.
type ending struct {
	state *os.ProcessState
	err   error
}

func newProgram(t *healthcheck.Target) *program {
	return &program{target: t, tag: newTag(), since: ticksNow(), ended: make(chan ending, 1)}
}

// run runs the program to its end, with out, which it closes, as its output. It returns only when the program is dead: a
// program that the kernel cannot end, such as one that waits for a dead file server, keeps a goroutine and a thread.
func (p *program) run(out *os.File, gone func()) {
	// The thread drops privileges for good, because the program must not inherit them: the thread stays locked and ends
	// with this goroutine. It lives as long as the program: the kernel takes the thread's death for the director's death
	// (Pdeathsig) and would kill the program.
	runtime.LockOSThread()
	proc, err := p.start(out)
	_ = out.Close()
	if err != nil {
		gone()
		p.ended <- ending{err: err}
		return
	}
	p.setPID(proc.Pid)
	awaitExit(proc.Pid)
	p.mu.Lock()
	_ = unix.Kill(-p.pid, unix.SIGKILL) // nobody has waited for it, so the number still belongs to it
	state, err := proc.Wait()
	p.pid = 0
	p.mu.Unlock()
	gone()
	p.ended <- ending{state: state, err: err}
}

// setPID makes the program killable, and kills it if kill was called before.
func (p *program) setPID(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = pid
	if p.killed {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
}

// kill kills the program and its process group, also a program that has not started yet.
func (p *program) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	if p.pid != 0 {
		_ = unix.Kill(-p.pid, unix.SIGKILL) // after ESRCH or EPERM, run still waits for its end
	}
}

// awaitExit waits for the end of a child, which stays a zombie.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// start starts the program from a thread that does nothing else.
func (p *program) start(out *os.File) (*os.Process, error) {
	c := &p.target.Config
	who, err := credential(c.User)
	if err != nil {
		return nil, err
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	// A program of another user would inherit ambient capabilities (systemd's AmbientCapabilities=) too.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("failed to drop the ambient capabilities: %w", err)
	}
	// Neither set-user-ID programs, such as sudo, nor file capabilities may give the program more than it starts with.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("failed to forbid new privileges: %w", err)
	}
	proc, err := withTag(p.tag, func() (*os.Process, error) {
		return os.StartProcess(c.Command[0], c.Command, &os.ProcAttr{
			Dir:   "/",
			Env:   p.environment(),
			Files: []*os.File{in, out, out},
			Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: who},
		})
	})
	if err == nil {
		dispensable(proc.Pid)
	}
	return proc, err
}

// dispensable has the kernel, when it runs out of memory, kill a program before all others: else a program that takes too much
// may survive the director, which is often larger.
func dispensable(pid int) {
	// The file belongs to the program's user. A director that may not write there runs the program all the same.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0) // proc_pid_oom_score_adj(5): the highest
}

func (p *program) environment() []string {
	env := []string{programPath, "TANDEM_TARGET=" + p.target.ID}
	if p.target.Addr.IsValid() {
		to := p.target.Endpoint()
		env = append(env, "TANDEM_ADDRESS="+to.Addr().String(), "TANDEM_PORT="+strconv.Itoa(int(to.Port())))
	}
	return env
}

// credential says how to become a user, with only the user's own group. It is nil if the director is that user and not
// root: it can then neither change nor drop its groups.
func credential(name string) (*syscall.Credential, error) {
	number, err := strconv.ParseUint(name, 10, 32)
	numeric := err == nil
	find := user.Lookup
	if numeric {
		find = user.LookupId
	}
	found, err := find(name)
	uid, gid := number, number // without an account, the number is the group too
	switch {
	case err == nil:
		uid, err = strconv.ParseUint(found.Uid, 10, 32)
		if err == nil {
			gid, err = strconv.ParseUint(found.Gid, 10, 32)
		}
		if err != nil {
			return nil, fmt.Errorf("failed to look up user %s: %w", name, err)
		}
	case numeric && errors.As(err, new(user.UnknownUserIdError)):
	case errors.As(err, new(user.UnknownUserError)):
		return nil, fmt.Errorf("no such user: %s", name)
	default:
		return nil, fmt.Errorf("failed to look up user %s: %w", name, err)
	}
	if self := os.Geteuid(); self != 0 && uint64(self) == uid {
		return nil, nil
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// why explains an error of start. One error number of the kernel can have two causes.
func (p *program) why(err error) string {
	c := &p.target.Config
	var path *os.PathError
	if !errors.As(err, &path) {
		return err.Error()
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		if _, err := os.Stat(c.Command[0]); err == nil {
			return "it exists, but the interpreter that its first line names does not"
		}
		return "no such file"
	case errors.Is(err, unix.EACCES):
		return refusedWords(c)
	case errors.Is(err, unix.ENOEXEC):
		return "it is neither a program for this machine nor does it begin with #!"
	case errors.Is(err, unix.EPERM):
		return "the director is not permitted to run programs as user " + c.User + ": run it as root, or name its own user"
	}
	return path.Err.Error()
}

// refusedWords says why the kernel does not let a user run a program.
func refusedWords(c *healthcheck.Config) string {
	info, err := os.Stat(c.Command[0])
	switch {
	case err == nil && info.IsDir():
		return "it is a directory"
	case err == nil && info.Mode().Perm()&0o111 == 0:
		return "it is not executable (chmod +x)"
	}
	return "user " + c.User + " is not permitted to"
}
