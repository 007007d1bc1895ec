// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netns"
)

// A T is what the lab needs from its caller: a *testing.T, the demo or the benchmark.
type T interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
	TempDir() string
}

// A Lab is a network of hosts for one test. It ends with the test, and so does everything that runs in it. If the test has
// failed, the output of the hosts' programs is logged then.
type Lab struct {
	t     T
	start time.Time
	dir   string

	requests atomic.Uint32

	mu       sync.Mutex
	switches map[string]netns.NsHandle
	hosts    []*Host
	procs    []*Process
	events   []line
}

// New makes an empty lab. It works only inside, after [Main] or [Enter].
func New(t T) *Lab {
	t.Helper()
	if os.Getenv(roleVar) != rolePayload {
		t.Fatalf("the lab works only inside: the program must begin with lab.Main or lab.Enter")
	}
	// Cleanups run in reverse order: the directory must outlive what runs in it, so it is made first.
	l := &Lab{t: t, start: time.Now(), dir: t.TempDir(), switches: map[string]netns.NsHandle{}}
	t.Cleanup(l.close)
	return l
}

// Elapsed returns the time since the lab was made: the clock of its logs.
func (l *Lab) Elapsed() time.Duration { return time.Since(l.start) }

// At returns a moment on the lab's clock.
func (l *Lab) At(when time.Time) time.Duration { return when.Sub(l.start) }

// Logf records a step of the test, in one sequence with the output of the programs.
func (l *Lab) Logf(format string, args ...any) {
	l.t.Helper()
	text := fmt.Sprintf(format, args...)
	l.mu.Lock()
	l.events = append(l.events, line{time.Now(), "lab", text})
	l.mu.Unlock()
	l.t.Logf("%8.3f %s", l.Elapsed().Seconds(), text)
}

// pollPause returns the pause between two looks. On an emulated machine a look takes the processor from what it looks at.
func pollPause() time.Duration {
	if Place() == placeVM.String() {
		return 40 * time.Millisecond
	}
	return 10 * time.Millisecond
}

// Eventually polls until check returns nil, and ends the test when it has not within limit.
func (l *Lab) Eventually(limit time.Duration, what string, check func() error) {
	l.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("not within %s: %s: %v", limit, what, err)
		}
		time.Sleep(pollPause())
	}
}

// Throughout checks that something stays true for a time.
func (l *Lab) Throughout(span time.Duration, what string, check func() error) {
	l.t.Helper()
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(2 * pollPause()) {
		if err := check(); err != nil {
			l.t.Fatalf("not throughout %s: %s: %v", span, what, err)
		}
	}
}

// close ends all programs, logs their output if the test failed, and checks that nothing is left.
func (l *Lab) close() {
	l.t.Helper()
	for _, p := range slices.Backward(l.procs) {
		p.Stop()
	}
	for _, h := range l.hosts {
		h.killAll()
	}
	if l.t.Failed() {
		l.t.Logf("what was written in the lab:\n%s", l.transcript())
	}
	for _, h := range l.hosts {
		if err := h.forgetServices(); err != nil {
			l.t.Errorf("host %s: %v", h.Name, err)
		}
		_ = h.ns.Close()
	}
	for _, ns := range l.switches {
		_ = ns.Close()
	}
}

// A line is a line of a program's output, or a step of the test.
type line struct {
	when time.Time
	who  string
	text string
}

// Written returns what was logged and written since a moment, in the order of time.
func (l *Lab) Written(since time.Time) string { return l.linesSince(since) }

// transcript returns all lines in the order of time.
func (l *Lab) transcript() string { return l.linesSince(time.Time{}) }

func (l *Lab) linesSince(since time.Time) string {
	l.mu.Lock()
	lines := slices.Clone(l.events)
	l.mu.Unlock()
	for _, p := range l.procs {
		lines = append(lines, p.lines()...)
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.when.Compare(b.when) })
	var b strings.Builder
	for _, e := range lines {
		if e.when.Before(since) {
			continue
		}
		fmt.Fprintf(&b, "%8.3f %-20s %s\n", l.At(e.when).Seconds(), e.who, e.text)
	}
	return b.String()
}

// newNamespace makes a network namespace with its loopback interface up.
func newNamespace() (netns.NsHandle, error) {
	var ns netns.NsHandle
	done := make(chan error, 1)
	go func() {
		// The goroutine ends while it is locked, so that its thread, which is in the new namespace, ends too.
		runtime.LockOSThread()
		var err error
		if ns, err = netns.New(); err != nil {
			done <- fmt.Errorf("new network namespace: %w", err)
			return
		}
		done <- setUp("lo")
	}()
	return ns, <-done
}

// inNamespace runs f on a thread in ns.
func inNamespace(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("find own network namespace: %w", err)
			return
		}
		defer home.Close()
		if err := netns.Set(ns); err != nil {
			done <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		err = f()
		if netns.Set(home) == nil {
			// The thread is back where it was and can be used again. Otherwise it ends with this goroutine.
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
