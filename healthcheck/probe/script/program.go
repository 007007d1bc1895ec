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

// A Command is a program and how it is run.
type Command struct {
	Args []string // the absolute path of the program, and its arguments
	User string   // a name or a number
	Env  []string // its variables, beside PATH
	// Service lets the program start services and send mail: it may gain privileges, by sudo, set-user-ID programs and file
	// capabilities, and the kernel does not prefer to kill it when memory runs out, because its children inherit that.
	Service bool
}

// A program is one run of a command.
type program struct {
	Command
	tag   tag         // its descendants inherit it
	since uint64      // before its start, in ticks
	ended chan ending // receives one
	gone  bool        // guarded by Programs.mu

	mu     sync.Mutex
	pid    int // and its process group; 0 before the start, and after the wait for its end
	killed bool
}

// An ending is how a program ended, or why it could not be started.
type ending struct {
	state *os.ProcessState
	group int // its process group, killed, but perhaps not dead yet; 0 if nobody else was in it
	err   error
}

func newProgram(c Command) *program {
	return &program{Command: c, tag: newTag(), since: ticksNow(), ended: make(chan ending, 1)}
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
	end := ending{state: state, err: err}
	if unix.Kill(-proc.Pid, 0) == nil {
		end.group = proc.Pid
	}
	gone()
	p.ended <- end
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
	who, err := credential(p.User)
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
	if !p.Service {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("failed to forbid new privileges: %w", err)
		}
	}
	proc, err := withTag(p.tag, func() (*os.Process, error) {
		return os.StartProcess(p.Args[0], p.Args, &os.ProcAttr{
			Dir:   "/",
			Env:   append([]string{programPath}, p.Env...),
			Files: []*os.File{in, out, out},
			Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: who},
		})
	})
	if err == nil && !p.Service {
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

// commandOf returns the command of a check.
func commandOf(t *healthcheck.Target) Command {
	c := Command{Args: t.Config.Command, User: t.Config.User, Env: []string{"TANDEM_TARGET=" + t.ID}}
	if t.Addr.IsValid() {
		to := t.Endpoint()
		c.Env = append(c.Env, "TANDEM_ADDRESS="+to.Addr().String(), "TANDEM_PORT="+strconv.Itoa(int(to.Port())))
	}
	return c
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
	var path *os.PathError
	if !errors.As(err, &path) {
		return err.Error()
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		if _, err := os.Stat(p.Args[0]); err == nil {
			return "it exists, but the interpreter that its first line names does not"
		}
		return "no such file"
	case errors.Is(err, unix.EACCES):
		return p.refusedWords()
	case errors.Is(err, unix.ENOEXEC):
		return "it is neither a program for this machine nor does it begin with #!"
	case errors.Is(err, unix.EPERM):
		return "the director is not permitted to run programs as user " + p.User + ": copy /usr/share/tandem/other-users.conf to " +
			"/etc/systemd/system/tandem.service.d, run systemctl daemon-reload and tandem upgrade, or name the director's own user"
	}
	return path.Err.Error()
}

// refusedWords says why the kernel does not let a user run a program.
func (c Command) refusedWords() string {
	info, err := os.Stat(c.Args[0])
	switch {
	case err == nil && info.IsDir():
		return "it is a directory"
	case err == nil && info.Mode().Perm()&0o111 == 0:
		return "it is not executable (chmod +x)"
	}
	return "user " + c.User + " is not permitted to"
}
