// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"slices"
	"sync"
)

// An Attempt is the [T] of a lab outside a test. A failure ends the attempt, not the program.
type Attempt struct {
	name string

	mu       sync.Mutex
	cleanups []func()
	logs     []string
	reason   string // the first, if it failed
}

var _ T = (*Attempt)(nil)

// NewAttempt makes an attempt. Everything that the lab makes for it lives until Close.
func NewAttempt(name string) *Attempt { return &Attempt{name: name} }

// A stopped is the panic that ends an attempt.
type stopped struct{}

// Do runs f, and then the cleanups that were added meanwhile. It returns the reason if f has failed, and "" if not.
func (a *Attempt) Do(f func()) (reason string) {
	a.mu.Lock()
	mark := len(a.cleanups)
	a.reason, a.logs = "", nil
	a.mu.Unlock()
	guarded(f)
	a.cleanUp(mark)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reason
}

// Keep does what Do does, without the cleanups: everything that f makes stays until Close.
func (a *Attempt) Keep(f func()) (reason string) {
	guarded(f)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reason
}

// Close runs all cleanups that are left.
func (a *Attempt) Close() { a.cleanUp(0) }

// guarded runs f, which may end early because of Fatalf.
func guarded(f func()) {
	defer func() {
		switch r := recover().(type) {
		case nil, stopped:
		default:
			panic(r)
		}
	}()
	f()
}

// cleanUp runs the cleanups down to a number of them, the latest first.
func (a *Attempt) cleanUp(mark int) {
	for {
		a.mu.Lock()
		n := len(a.cleanups)
		if n <= mark {
			a.mu.Unlock()
			return
		}
		last := a.cleanups[n-1]
		a.cleanups = a.cleanups[:n-1]
		a.mu.Unlock()
		guarded(last)
	}
}

// Logs returns what was logged since the last Do began.
func (a *Attempt) Logs() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.logs)
}

// Helper does nothing: no line of a test is named.
func (a *Attempt) Helper() {}

// Name returns the name that the attempt was given.
func (a *Attempt) Name() string { return a.name }

// Failed reports whether there was an error since the last Do began.
func (a *Attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reason != ""
}

// Cleanup adds a function that Do or Close will run.
func (a *Attempt) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanups = append(a.cleanups, f)
}

// Logf stores a line.
func (a *Attempt) Logf(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logs = append(a.logs, fmt.Sprintf(format, args...))
}

// Errorf stores a line. The first one is the reason of the failure.
func (a *Attempt) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logs = append(a.logs, text)
	if a.reason == "" {
		a.reason = text
	}
}

// Fatalf records a failure as Errorf does, and ends the function of Do.
func (a *Attempt) Fatalf(format string, args ...any) {
	a.Errorf(format, args...)
	panic(stopped{})
}

// TempDir makes a directory that is removed with the attempt.
func (a *Attempt) TempDir() string {
	dir, err := os.MkdirTemp("", "attempt-")
	if err != nil {
		a.Fatalf("failed to make a directory: %v", err)
	}
	a.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
