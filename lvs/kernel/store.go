// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Store keeps one value across restarts. In production it is a file of the state directory. It has one user at a
// time.
type Store[T any] interface {
	// Load returns the value, or the zero value if nothing is stored yet. If the error is only a warning, Load also returns
	// the value to start from.
	Load() (T, error)
	Store(T) error
}

// ErrNotRemembered is wrapped by the error about a change that the kernel has but the Store does not have yet. A later call
// stores it.
var ErrNotRemembered = errors.New("in force, not yet remembered")

// errSlow is the error of a write that has not ended yet.
var errSlow = errors.New("the disk has not answered yet")

// rememberTime is the maximum time for which a caller waits for a Store.
const rememberTime = time.Second

// A memory passes the latest value to a Store. If the Store hangs, the first caller waits for wait, and later callers do not
// wait until the Store has answered.
type memory[T any] struct {
	store Store[T]
	wait  time.Duration

	mu      sync.Mutex
	value   T
	dirty   bool          // the store has not got the value yet
	writing chan struct{} // closed at the end of the write under way; nil: there is none
	late    bool          // the write under way has taken longer than wait
	err     error         // of the last write
}

func newMemory[T any](store Store[T]) memory[T] { return memory[T]{store: store, wait: rememberTime} }

// keep sets the value for the next flush. The caller must not change it any more.
func (m *memory[T]) keep(v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.value, m.dirty = v, true
}

// flush stores the value if it is not stored yet. If this fails, the error wraps ErrNotRemembered, and the next flush tries
// again.
func (m *memory[T]) flush() error {
	var timer <-chan time.Time
	for {
		done, err := m.write()
		if done == nil {
			return err
		}
		if timer == nil {
			timer = time.After(m.wait)
		}
		select {
		case <-done:
			m.mu.Lock()
			err = m.err
			m.mu.Unlock()
		case <-timer:
			m.mu.Lock()
			m.late = m.writing != nil
			m.mu.Unlock()
			err = errSlow
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotRemembered, err)
		}
	}
}

// write starts a write unless one is under way. The channel is closed when that write ends. It is nil if there is nothing to
// wait for.
func (m *memory[T]) write() (done <-chan struct{}, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.writing != nil && m.late:
		return nil, fmt.Errorf("%w: %w", ErrNotRemembered, errSlow)
	case m.writing != nil:
		return m.writing, nil
	case !m.dirty:
		return nil, nil
	}
	m.dirty = false
	value, ended := m.value, make(chan struct{})
	m.writing = ended
	go func() { // lives as long as the write: if the disk hangs, only this goroutine hangs
		err := m.store.Store(value)
		m.mu.Lock()
		m.writing, m.late, m.err = nil, false, err
		m.dirty = m.dirty || err != nil
		m.mu.Unlock()
		close(ended)
	}()
	return ended, nil
}
