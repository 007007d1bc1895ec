// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netns"
)

// A T is what the lab needs of whom it works for: a *testing.T, or the demo.
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

// A Lab is a network of hosts for one test. It goes, with all that runs in it, when the test ends; what a host's
// programs wrote is then logged if the test failed.
type Lab struct {
	t     T
	start time.Time
	dir   string

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
	// The directory is asked for first, so that it outlives what runs in it.
	l := &Lab{t: t, start: time.Now(), dir: t.TempDir(), switches: map[string]netns.NsHandle{}}
	t.Cleanup(l.close)
	return l
}

// Elapsed is the time since the lab was made: the clock of its logs.
func (l *Lab) Elapsed() time.Duration { return time.Since(l.start) }

// At is a moment on the lab's clock.
func (l *Lab) At(when time.Time) time.Duration { return when.Sub(l.start) }

// Logf notes what the test does, among what the programs write.
func (l *Lab) Logf(format string, args ...any) {
	l.t.Helper()
	text := fmt.Sprintf(format, args...)
	l.mu.Lock()
	l.events = append(l.events, line{time.Now(), "lab", text})
	l.mu.Unlock()
	l.t.Logf("%8.3f %s", l.Elapsed().Seconds(), text)
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
		time.Sleep(10 * time.Millisecond)
	}
}

// Throughout checks that something stays true for a time.
func (l *Lab) Throughout(span time.Duration, what string, check func() error) {
	l.t.Helper()
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err := check(); err != nil {
			l.t.Fatalf("not throughout %s: %s: %v", span, what, err)
		}
	}
}

// close ends what runs, logs it if the test failed, and sees to it that nothing is left.
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

// A line is something that a program wrote, or the lab did.
type line struct {
	when time.Time
	who  string
	text string
}

// transcript merges all that was written, in the order of time.
func (l *Lab) transcript() string {
	l.mu.Lock()
	lines := slices.Clone(l.events)
	l.mu.Unlock()
	for _, p := range l.procs {
		lines = append(lines, p.lines()...)
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.when.Compare(b.when) })
	var b strings.Builder
	for _, e := range lines {
		fmt.Fprintf(&b, "%8.3f %-20s %s\n", l.At(e.when).Seconds(), e.who, e.text)
	}
	return b.String()
}

// newNamespace makes a network namespace with its loopback interface up.
func newNamespace() (netns.NsHandle, error) {
	var ns netns.NsHandle
	done := make(chan error, 1)
	go func() {
		// The goroutine ends locked, and its thread with it, which belongs to the new namespace.
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
			// The thread is as it was, and can be used again; otherwise it ends with this goroutine.
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
