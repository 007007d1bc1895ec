// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is a program that runs on a host.
type Process struct {
	host *Host
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its output is read
	err  error         // how it ended, after done
	pipe *pipe         // of its output

	mu  sync.Mutex
	out []line
}

// Start starts a program on the host. Its output is kept with the time of each line, and logged if the test fails.
func (h *Host) Start(name string, args ...string) *Process {
	h.lab.t.Helper()
	p := &Process{host: h, name: name, cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Dir = h.dir
	r, w, err := os.Pipe()
	if err != nil {
		h.lab.t.Fatalf("start %s on %s: %v", name, h.Name, err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err = h.Do(p.cmd.Start); err != nil {
		_, _ = r.Close(), w.Close()
		h.lab.t.Fatalf("start %s on %s: %v", name, h.Name, err)
	}
	p.pipe = newPipe(r)
	go p.watch(p.pipe, w)
	h.lab.mu.Lock()
	h.lab.procs = append(h.lab.procs, p)
	h.lab.mu.Unlock()
	return p
}

// outputEnd ends the line that watch writes behind the output of a process that has ended.
const outputEnd = "\x00"

// watch stores the output, and waits for the end of the process. When done is closed, everything that the process wrote is
// stored. Children that outlive the process may still write.
func (p *Process) watch(r *pipe, w *os.File) {
	kept := make(chan struct{})
	go func() {
		defer r.file.Close()
		in := bufio.NewScanner(r)
		in.Buffer(nil, 1<<20)
		base := p.name[strings.LastIndexByte(p.name, '/')+1:]
		tell := sync.OnceFunc(func() { close(kept) })
		for in.Scan() {
			text, ended := strings.CutSuffix(in.Text(), outputEnd)
			if text != "" || !ended {
				p.mu.Lock()
				p.out = append(p.out, line{time.Now(), p.host.Name + "/" + base, text})
				p.mu.Unlock()
			}
			if ended {
				tell()
			}
		}
		tell()
		_, _ = io.Copy(io.Discard, r)
	}()
	p.err = p.cmd.Wait()
	go func() { // waits while the pipe is full and left unread
		_, _ = w.WriteString(outputEnd + "\n")
		_ = w.Close()
	}()
	select {
	case <-kept:
	case <-r.leftUnread():
	}
	close(p.done)
}

// Pid returns the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process alone.
func (p *Process) Signal(sig os.Signal) {
	p.host.lab.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.host.lab.t.Errorf("signal %s on %s: %v", p.name, p.host.Name, err)
	}
}

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end of the process and returns its exit code, -1 after a signal.
func (p *Process) Wait(limit time.Duration) int {
	p.host.lab.t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.host.lab.t.Fatalf("%s on %s still runs after %s", p.name, p.host.Name, limit)
	}
	return p.cmd.ProcessState.ExitCode()
}

// CPU returns the processor time of a process that has ended, with all its threads.
func (p *Process) CPU() time.Duration {
	<-p.done
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// Output returns what the process and its children have written so far.
func (p *Process) Output() string {
	var b strings.Builder
	for _, l := range p.lines() {
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.String()
}

func (p *Process) lines() []line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.out)
}

// Stop ends the process and its group by SIGTERM, later by SIGKILL, and waits for the process.
func (p *Process) Stop() {
	if p.Running() {
		_ = syscall.Kill(-p.Pid(), syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(3 * time.Second):
		}
	}
	_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
	<-p.done
}

// Run runs a program on the host and returns its output. If the program fails, the test ends.
func (h *Host) Run(name string, args ...string) string {
	h.lab.t.Helper()
	out, err := h.TryRun(name, args...)
	if err != nil {
		h.lab.t.Fatalf("on %s: %v", h.Name, err)
	}
	return out
}

// runLimit is the maximum time for which Run waits for a program.
const runLimit = 2 * time.Minute

// TryRun runs a program on the host and returns its output, and an error with it if it fails.
func (h *Host) TryRun(name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, &out, &out
	cmd.WaitDelay = time.Second
	if err := h.Do(cmd.Start); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	timer := time.AfterFunc(runLimit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(append([]string{name}, args...), " "), err, out.String())
	}
	return out.String(), nil
}
