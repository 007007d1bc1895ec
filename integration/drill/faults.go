// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A step is a fault, or a part of one.
type step = func(*site)

// inTurn makes one step of several.
func inTurn(steps ...step) step {
	return func(s *site) {
		for _, do := range steps {
			do(s)
		}
	}
}

func wait(d time.Duration) step { return func(s *site) { s.pause(d) } }

// A side chooses a director.
type side = func(*site) *lab.Director

func master(s *site) *lab.Director { return s.a }
func backup(s *site) *lab.Director { return s.b }

func on(d side, do func(*lab.Host)) step { return func(s *site) { do(d(s).Host) } }

func run(d side, name string, args ...string) step {
	return func(s *site) { d(s).Run(name, args...) }
}

// The processes of a director.
func first(d side) func(*site) []int {
	return func(s *site) []int { return []int{s.running[d(s)].Pid()} }
}
func election(d side) func(*site) []int {
	return func(s *site) []int { return []int{s.election(d(s))} }
}
func checker(d side) func(*site) []int { return func(s *site) []int { return []int{s.checker(d(s))} } }
func all(d side) func(*site) []int     { return func(s *site) []int { return d(s).Pids() } }

func signal(sig syscall.Signal, pids func(*site) []int) step {
	return func(s *site) {
		for _, pid := range pids(s) {
			s.kill(pid, sig)
		}
	}
}

// stopped stops processes for a time.
func stopped(span time.Duration, pids func(*site) []int) step {
	return func(s *site) {
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			for _, pid := range pids(s) {
				_ = syscall.Kill(pid, sig) // a process may have been replaced meanwhile
			}
			if sig == syscall.SIGSTOP {
				s.pause(span)
			}
		}
	}
}

// start starts the subject again, as a supervisor does: when nothing of it is left.
func start(d side) step {
	return func(s *site) {
		awaitEnd(s, d(s))
		s.launch(d(s))
	}
}

// restart ends what is left of the subject, and starts it again.
func restart(d side) step {
	return inTurn(func(s *site) { s.signalAll(d(s), syscall.SIGKILL) }, start(d))
}

// awaitEnd waits until no process of the subject is left.
func awaitEnd(s *site, d *lab.Director) {
	s.await(20*time.Second, "nothing of "+s.subject.name+" is left on "+d.Name, func() error {
		if pids := d.Pids(); len(pids) > 0 {
			return fmt.Errorf("processes %v", pids)
		}
		return nil
	})
}

// mended restarts keepalived, which does not repair by itself what the row breaks: its operator does that.
func mended(d side) step {
	return func(s *site) {
		if s.subject.name == keepalived.name {
			restart(d)(s)
		}
	}
}

// takenOver waits until b has the VIP.
func takenOver(s *site) {
	s.await(10*time.Second, "director-b has the VIP", func() error {
		if !s.b.Has(lab.VIP) {
			return errors.New("it does not")
		}
		return nil
	})
	s.pause(settled())
}

// forgotten makes the client ask anew who has the VIP.
func forgotten(s *site) { s.client.Run("ip", "neigh", "flush", "dev", "eth0") }

// returned waits until a is master again and all is well, or patience is over: what clients see then is the figure.
func returned(s *site) {
	for end := time.Now().Add(patience()); time.Now().Before(end) && s.ready() != nil; {
		s.pause(100 * time.Millisecond)
	}
	s.pause(settled())
}

// tandemRuns runs a command of tandem's.
func tandemRuns(d side, args ...string) step {
	return func(s *site) { d(s).Run(d(s).Program(), append(args, "--socket", d(s).Socket)...) }
}

// reloads has a director read a changed configuration.
func reloads(d side, change func(*settings)) step {
	return func(s *site) {
		c := s.settings(d(s))
		change(&c)
		s.reload(d(s), c)
	}
}

func unchanged(*settings) {}

// bothAtOnce starts both directors at the same time.
func bothAtOnce(s *site) {
	var done sync.WaitGroup
	s.each(func(d *lab.Director) { done.Go(func() { s.launch(d) }) })
	done.Wait()
}

// powerOff ends a director without a last word, and takes its addresses and table.
func powerOff(d side) step {
	return func(s *site) {
		d(s).Cut()
		s.signalAll(d(s), syscall.SIGKILL)
		awaitEnd(s, d(s))
		d(s).Run("ip", "address", "flush", "dev", "eth0", "to", lab.VIP)
		if s.network.ipvs() {
			d(s).Run("ipvsadm", "-C")
		}
	}
}

// noDirector ends both, and waits until nothing is left.
func noDirector(s *site) {
	s.each(func(d *lab.Director) { s.signalAll(d, syscall.SIGKILL) })
	s.each(func(d *lab.Director) {
		awaitEnd(s, d)
		_, _ = d.TryRun("ip", "address", "del", lab.VIP+"/24", "dev", "eth0") // most have none
		if s.network.ipvs() {
			d.Run("ipvsadm", "-C")
		}
	})
}

// once runs a step that hits the whole machine for the first of the sites that come here. The others wait for its end.
func once(do func() error) step {
	var mu sync.Mutex
	var last time.Time
	return func(s *site) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) < 5*time.Second {
			return // another site has done it
		}
		last = time.Now()
		if err := do(); err != nil {
			s.attempt.Fatalf("%v", err)
		}
	}
}

// noDescriptors leaves processes no descriptor for a new file or socket.
func noDescriptors(pids func(*site) []int) step {
	return func(s *site) {
		var back []func()
		s.undo = func() {
			for _, do := range back {
				do()
			}
		}
		for _, pid := range pids(s) {
			var was unix.Rlimit
			err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was)
			if err == nil {
				err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: nextDescriptor(pid), Max: was.Max}, nil)
			}
			if err != nil {
				s.attempt.Fatalf("failed to limit the descriptors of process %d: %v", pid, err)
			}
			back = append(back, func() { _ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil) })
		}
	}
}

// nextDescriptor is the number of the descriptor that a process would get next.
func nextDescriptor(pid int) (n uint64) {
	for ; ; n++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, n)); err != nil {
			return n
		}
	}
}

// undone runs what a fault has left to be undone.
func undone(s *site) {
	if s.undo != nil {
		s.undo()
		s.undo = nil
	}
}

// badState writes nonsense into all files of a's state.
func badState(s *site) {
	err := filepath.WalkDir(s.disk.Dir(), func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // lost+found
		}
		return os.WriteFile(path, []byte("\x00\xff{\"nonsense\": [17"), 0o600)
	})
	if err != nil {
		s.attempt.Fatalf("failed to spoil the state: %v", err)
	}
}

// fullDisk fills the disk of a's state.
func fullDisk(s *site) {
	if err := s.fillDisk(); err != nil {
		s.attempt.Fatalf("failed to fill the disk: %v", err)
	}
}

func emptiedDisk(s *site) { _ = os.Remove(s.disk.Dir() + "/filler") }

// littleMemory lets a's processes take no more than a limit, does something, and waits until the kernel has killed one of them.
func littleMemory(bytes int, then step) step {
	return func(s *site) {
		s.a.LimitMemory(bytes)
		s.undo = func() { s.a.LimitMemory(0) }
		before := s.a.KilledForMemory()
		then(s)
		s.await(20*time.Second, "the kernel has killed a process for its memory", func() error {
			if s.a.KilledForMemory() == before {
				return errors.New("it has not")
			}
			return nil
		})
	}
}

// killedForMemory has a program on a's machine take all the memory that there is. Of all processes, the kernel prefers these.
func killedForMemory(pids func(*site) []int) step {
	return func(s *site) {
		for _, pid := range pids(s) {
			if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0); err != nil {
				s.attempt.Fatalf("%v", err)
			}
		}
		eater := s.a.Start("busybox", "sh", "-c", "until test -e limited; do sleep 0.1; done; exec "+strings.Join(hungryCommand, " "))
		littleMemory(hungryBytes/4, func(s *site) { s.a.WriteFile("limited", "") })(s)
		eater.Stop()
		_ = os.Remove(filepath.Join(s.a.Dir(), "limited"))
	}
}

// checkProgram is where the subject finds the program of checkedByProgram. It is not in the director's own directory, which only
// root may enter.
func (s *site) checkProgram() string { return "/tmp/check-" + s.subject.name }

// checkedByProgram has a check the web servers by a program, which finds them healthy.
func checkedByProgram(s *site) {
	if err := os.WriteFile(s.checkProgram(), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		s.attempt.Fatalf("%v", err)
	}
	reloads(master, func(c *settings) { c.program = s.checkProgram() })(s)
	s.pause(noticed)
	s.await(putBackLimit, "the program finds the servers healthy", s.ready)
}

func programGone(s *site) {
	if err := os.Remove(s.checkProgram()); err != nil {
		s.attempt.Fatalf("%v", err)
	}
}

// unreachable gives a wrong hardware addresses for the web servers.
func unreachable(s *site) {
	for i := range s.webs {
		s.a.Run("ip", "neigh", "replace", webAddress(i), "lladdr", "02:00:00:00:00:07", "dev", "eth0", "nud", "permanent")
	}
}

func reachable(s *site) {
	for i := range s.webs {
		s.a.Run("ip", "neigh", "del", webAddress(i), "dev", "eth0")
	}
}
