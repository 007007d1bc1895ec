// SPDX-License-Identifier: Apache-2.0

package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxLines is how many lines of a command's output are kept, and maxKept how many bytes.
	maxLines = 20
	maxKept  = 8 << 10
	// commandDyingTime is how long the kernel may take to end a killed command and its descendants. On a busy machine, a
	// command may even have to start first.
	commandDyingTime = 10 * time.Second
)

// Run runs the command until ctx ends. It returns the first lines of the output. The error says why it failed: it could not be
// started, its exit code was not 0, or ctx has ended. When Run returns, the process group of the program is dead. So are its
// other descendants, if they hold the output open or ctx has ended.
func (c Command) Run(ctx context.Context) (lines []string, err error) {
	killStale()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.Env = append(c.Env[:len(c.Env):len(c.Env)], c.account()...)
	p := newProgram(c)
	go p.run(w, func() {})
	out := newOutput(r, maxKept)
	go out.read()
	select {
	case end := <-p.ended:
		err = p.failure(end, out)
	case <-ctx.Done():
		err = p.cutShort(context.Cause(ctx), out)
	}
	out.stop()
	return out.lines(maxLines), err
}

// failure says how a program that has ended failed.
func (p *program) failure(end ending, out *output) error {
	if end.err != nil {
		return fmt.Errorf("failed to run %s: %s", p.Args[0], p.why(end.err))
	}
	if end.group != 0 {
		sweepGroup(p.tag, p.since, end.group, commandDyingTime)
	}
	select {
	case <-out.closed:
	case <-time.After(holdingTime):
		sweepDead(p.tag, p.since, commandDyingTime)
	}
	status := end.state.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled():
		return fmt.Errorf("ended by a signal: %s", status.Signal())
	case status.ExitStatus() != 0:
		return fmt.Errorf("exit code %d", status.ExitStatus())
	}
	return nil
}

// cutShort kills a program whose time is over.
func (p *program) cutShort(why error, out *output) error {
	if errors.Is(why, context.DeadlineExceeded) {
		why = errors.New("it took too long, and was killed")
	}
	if out.flooded.Load() {
		why = fmt.Errorf("%w; it printed more than 1 MiB", why)
	}
	p.kill()
	sweep(p.tag, p.since)
	select {
	case <-p.ended:
		sweepDead(p.tag, p.since, commandDyingTime) // it may have started after the first sweep
		return why
	case <-time.After(commandDyingTime):
		return fmt.Errorf("%w; it cannot be killed and still runs", why)
	}
}

// account returns the variables that programs expect about their user.
func (c Command) account() []string {
	find := user.Lookup
	if _, err := strconv.Atoi(c.User); err == nil {
		find = user.LookupId
	}
	found, err := find(c.User)
	if err != nil {
		return []string{"HOME=/"}
	}
	return []string{"HOME=" + found.HomeDir, "USER=" + found.Username, "LOGNAME=" + found.Username}
}

// Unsafe says which user other than root could change what a command of root does: the program or one of the directories above
// it is writable by others, or belongs to somebody else.
func (c Command) Unsafe() error {
	who, err := credential(c.User)
	if err != nil || who != nil && who.Uid != 0 || who == nil && os.Geteuid() != 0 {
		return nil
	}
	for _, path := range parents(c.Args[0]) {
		var is unix.Stat_t
		if err := unix.Stat(path, &is); err != nil {
			return nil // Examine says it
		}
		if err := unsafePath(path, is.Uid, is.Mode); err != nil {
			return err
		}
	}
	return nil
}

// unsafePath is Unsafe for one file or directory.
func unsafePath(path string, owner, mode uint32) error {
	sticky := mode&unix.S_IFMT == unix.S_IFDIR && mode&unix.S_ISVTX != 0
	switch {
	case owner != 0:
		return fmt.Errorf("%s belongs to user %d, who could replace a program that runs as root (chown root %s)", path, owner, path)
	case mode&0o022 != 0 && !sticky:
		return fmt.Errorf("%s is writable by others than root, who could replace a program that runs as root (chmod go-w %s)", path, path)
	}
	return nil
}

// parents returns a path and the directories above it, from the root on.
func parents(path string) (all []string) {
	for i := range path {
		if path[i] == '/' {
			all = append(all, path[:max(i, 1)])
		}
	}
	return append(all, path)
}
