// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestLockWatch: the watch tells the longest wait of its writes, also of the one that is not over when it is stopped.
func TestLockWatch(t *testing.T) {
	const held, pause = 30 * time.Millisecond, 50 * lockEvery
	for _, tt := range []struct {
		name string
		slow map[int]time.Duration // writes that wait
		want time.Duration
	}{
		{"the lock is free", nil, 0},
		{"held once", map[int]time.Duration{3: held}, held},
		{"held twice", map[int]time.Duration{2: lockEvery, 5: held, 6: lockEvery}, held},
		{"held when the watch begins", map[int]time.Duration{1: held}, held},
		{"held when the watch ends", map[int]time.Duration{48: pause}, pause},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				writes := 0
				w := (&Lab{t: t}).watchLock("host", func() error {
					writes++
					time.Sleep(tt.slow[writes])
					return nil
				})
				time.Sleep(pause)
				if got := w.Stop(); got != tt.want {
					t.Errorf("waited for %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// A noter is a test that notes the errors that it is told.
type noter struct {
	*testing.T
	errors int
}

func (n *noter) Errorf(string, ...any) { n.errors++ }

// TestLockWatchFails: a write that fails fails the test, and says so once.
func TestLockWatchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &noter{T: t}
		w := (&Lab{t: n}).watchLock("host", func() error { return errors.New("not permitted") })
		time.Sleep(10 * lockEvery)
		w.Stop()
		if n.errors != 1 {
			t.Errorf("said %d times", n.errors)
		}
	})
}

// TestStallWatch: where nothing stalls, the watch tells of no stall, however late Stop is called.
func TestStallWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := (&Lab{t: t}).WatchStalls()
		time.Sleep(time.Second + StallError/2)
		if got := w.Stop(); got != 0 {
			t.Errorf("stalled for %s", got)
		}
		time.Sleep(time.Second)
		if got := w.Stop(); got != 0 {
			t.Errorf("stopped again, stalled for %s", got)
		}
	})
}

// TestUndisturbed: a check that fails is not repeated where nothing stalls.
func TestUndisturbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrong := errors.New("it is wrong")
		for _, want := range []error{nil, wrong} {
			checks := 0
			if err := (&Lab{t: t}).Undisturbed(func() error {
				checks++
				time.Sleep(time.Second)
				return want
			}); !errors.Is(err, want) || checks != 1 {
				t.Errorf("%v after %d checks, want %v after one", err, checks, want)
			}
		}
	})
}
