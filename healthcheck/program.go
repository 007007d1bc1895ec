// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// markKey is the environment variable by which the descendants of a program are known.
const markKey = "TANDEM_CHECK="

// programPath is where programs find others.
const programPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A program is one run of the program of a check.
type program struct {
	target Target
	mark   string      // its environment's own
	ended  chan ending // gets one
	gone   bool        // guarded by programs.mu

	mu     sync.Mutex
	pid    int // and its process group; 0 before it is started and after it was waited for
	killed bool
}

// An ending is how a program ended, or why it could not be started.
type ending struct {
	state *os.ProcessState
	err   error
}

func newProgram(t Target) *program {
	mark := fmt.Sprintf("%s%016x%016x", markKey, rand.Uint64(), rand.Uint64())
	return &program{target: t, mark: mark, ended: make(chan ending, 1)}
}

// keep runs the program to its end, with out, which it closes, as its output. It returns only when the program is
// dead: a program that the kernel cannot end, as one that waits for a dead file server, keeps a goroutine and a thread.
func (p *program) keep(out *os.File, gone func()) {
	// The thread gives up for good what the program must not inherit, so it is not unlocked and ends with this goroutine.
	// It lasts as long as the program: by its death the kernel would tell that of the director (Pdeathsig).
	runtime.LockOSThread()
	proc, err := p.start(out)
	_ = out.Close()
	if err != nil {
		gone()
		p.ended <- ending{err: err}
		return
	}
	p.adopt(proc.Pid)
	awaitExit(proc.Pid)
	p.mu.Lock()
	_ = unix.Kill(-p.pid, unix.SIGKILL) // not waited for yet, so the number is still its own
	state, err := proc.Wait()
	p.pid = 0
	p.mu.Unlock()
	gone()
	p.ended <- ending{state: state, err: err}
}

// adopt lets the program be killed from now on, and kills it if that was wanted before.
func (p *program) adopt(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = pid
	if p.killed {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
}

// kill ends the program and all its process group, even if it has yet to start.
func (p *program) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	if p.pid != 0 {
		_ = unix.Kill(-p.pid, unix.SIGKILL) // ESRCH, EPERM: keep finds out whether it dies
	}
}

// awaitExit waits for the end of a child and leaves it to be waited for.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// start starts the program from a thread that is not used for anything else.
func (p *program) start(out *os.File) (*os.Process, error) {
	c := p.target.Config
	who, err := credential(c.User)
	if err != nil {
		return nil, err
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	// Ambient capabilities (systemd's AmbientCapabilities=) would survive even in a program of another user.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("drop the ambient capabilities: %w", err)
	}
	// No set-user-ID program, sudo among them, and no file capability gives the program more than it starts with.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("give up new privileges: %w", err)
	}
	return os.StartProcess(c.Command[0], c.Command, &os.ProcAttr{
		Dir:   "/",
		Env:   p.environment(),
		Files: []*os.File{in, out, out},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: who},
	})
}

func (p *program) environment() []string {
	env := []string{p.mark, programPath, "TANDEM_TARGET=" + p.target.ID}
	if p.target.Addr.IsValid() {
		to := p.target.endpoint()
		env = append(env, "TANDEM_ADDRESS="+to.Addr().String(), "TANDEM_PORT="+strconv.Itoa(int(to.Port())))
	}
	return env
}

// credential is how to become a user, with the user's own group and no other; nil for a director that is that user
// and is not root, and so can neither change nor drop its groups.
func credential(name string) (*syscall.Credential, error) {
	number, err := strconv.ParseUint(name, 10, 32)
	numeric := err == nil
	find := user.Lookup
	if numeric {
		find = user.LookupId
	}
	found, err := find(name)
	uid, gid := number, number // a number that is nobody's is its own group
	switch {
	case err == nil:
		uid, err = strconv.ParseUint(found.Uid, 10, 32)
		if err == nil {
			gid, err = strconv.ParseUint(found.Gid, 10, 32)
		}
		if err != nil {
			return nil, fmt.Errorf("look up user %s: %w", name, err)
		}
	case numeric && errors.As(err, new(user.UnknownUserIdError)):
	case errors.As(err, new(user.UnknownUserError)):
		return nil, fmt.Errorf("no such user: %s", name)
	default:
		return nil, fmt.Errorf("look up user %s: %w", name, err)
	}
	if self := os.Geteuid(); self != 0 && uint64(self) == uid {
		return nil, nil
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// why explains an error of start, which the kernel gives as a number that can mean two things.
func (p *program) why(err error) string {
	c := p.target.Config
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
		return "user " + c.User + " is not permitted to"
	case errors.Is(err, unix.ENOEXEC):
		return "it is neither a program for this machine nor does it begin with #!"
	case errors.Is(err, unix.EPERM):
		return "the director is not permitted to run programs as user " + c.User + ": run it as root, or name its own user"
	}
	return path.Err.Error()
}
