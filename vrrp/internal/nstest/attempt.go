// SPDX-License-Identifier: Apache-2.0

package nstest

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	disturbance = 50 * time.Millisecond // a stall that may change who is master, at advertisement intervals of 100 ms
	attempts    = 4
)

// Undisturbed runs a test whose outcome depends on whether the machine runs its threads in time: a master that stands still for
// three advertisement intervals loses its place, as it must. If the test fails and the machine stalled meanwhile, the attempt
// shows nothing, and the test runs again. It fails if it fails without a stall, or each time.
func Undisturbed(t *testing.T, test func(t testing.TB)) {
	t.Helper()
	for n := 1; ; n++ {
		stop := watchStalls()
		a := &attempt{TB: t}
		a.run(test)
		total, longest := stop()
		if !a.Failed() {
			return
		}
		if longest < disturbance && !a.void || n == attempts {
			for _, text := range a.failures {
				t.Error(text)
			}
			t.Fatalf("failed in attempt %d; the machine stalled for %s in all, for %s at most", n, total, longest)
		}
		t.Logf("attempt %d shows nothing; the machine stalled for %s at most; %s", n, longest, strings.Join(a.failures, "; "))
	}
}

// Again ends an attempt of Undisturbed that shows nothing, whatever the machine did.
func Again(t testing.TB, why string) {
	t.Helper()
	if a, ok := t.(*attempt); ok {
		a.mu.Lock()
		a.void = true
		a.mu.Unlock()
	}
	t.Fatal(why)
}

// An attempt is a testing.TB whose failures can be forgotten.
type attempt struct {
	testing.TB

	mu       sync.Mutex
	failed   bool
	void     bool // it shows nothing
	failures []string
	cleanups []func()
}

// run runs the test and then its clean-ups, the latest first.
func (a *attempt) run(test func(testing.TB)) {
	alone := func(f func()) { // FailNow ends the goroutine
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f()
		}()
		<-ended
	}
	alone(func() { test(a) })
	for {
		a.mu.Lock()
		if len(a.cleanups) == 0 {
			a.mu.Unlock()
			return
		}
		last := a.cleanups[len(a.cleanups)-1]
		a.cleanups = a.cleanups[:len(a.cleanups)-1]
		a.mu.Unlock()
		alone(last)
	}
}

func (a *attempt) fail(text string) {
	var places []string
	callers := make([]uintptr, 20)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for frame, more := frames.Next(); more; frame, more = frames.Next() {
		if strings.HasSuffix(frame.File, "_test.go") {
			places = append(places, fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line))
		}
	}
	slices.Reverse(places)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = true
	a.failures = append(a.failures, strings.Join(places, ", ")+": "+text)
}

// Cleanup implements testing.TB, and so do the methods below.
func (a *attempt) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanups = append(a.cleanups, f)
}

func (a *attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (a *attempt) Fail() { a.fail("failed") }

func (a *attempt) FailNow() {
	a.fail("failed")
	runtime.Goexit()
}

func (a *attempt) Error(args ...any) { a.fail(strings.TrimSuffix(fmt.Sprintln(args...), "\n")) }

func (a *attempt) Errorf(format string, args ...any) { a.fail(fmt.Sprintf(format, args...)) }

func (a *attempt) Fatal(args ...any) {
	a.fail(strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
	runtime.Goexit()
}

func (a *attempt) Fatalf(format string, args ...any) {
	a.fail(fmt.Sprintf(format, args...))
	runtime.Goexit()
}
