// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeStore is a Store in memory.
type fakeStore[T any] struct {
	mu     sync.Mutex
	value  T
	err    error         // of the next writes
	hang   chan struct{} // if set, writes wait for it
	writes int
}

func (s *fakeStore[T]) Load() (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value, s.err
}

func (s *fakeStore[T]) Store(v T) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hang := s.hang; hang != nil {
		s.mu.Unlock()
		<-hang
		s.mu.Lock()
	}
	if s.err != nil {
		return s.err
	}
	s.value = v
	s.writes++
	return nil
}

var errFull = errors.New("disk full")

func TestMemoryTriesAgain(t *testing.T) {
	store := &fakeStore[int]{err: errFull}
	m := newMemory[int](store)
	m.keep(1)
	if err := m.flush(); !errors.Is(err, errFull) || !errors.Is(err, ErrNotRemembered) {
		t.Errorf("disk full: %v", err)
	}
	store.err = nil
	for range 2 { // the second time there is nothing to do
		if err := m.flush(); err != nil || store.value != 1 || store.writes != 1 {
			t.Errorf("%d after %d writes: %v", store.value, store.writes, err)
		}
	}
}

// TestMemoryOfADiskThatHangs: the first caller waits for a second, the others do not wait. The latest value is stored when
// the disk works again.
func TestMemoryOfADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore[int]{hang: make(chan struct{})}
		m := newMemory[int](store)
		for i, want := range []time.Duration{rememberTime, 0, 0} {
			m.keep(i)
			began := time.Now()
			if err := m.flush(); !errors.Is(err, ErrNotRemembered) || time.Since(began) != want {
				t.Errorf("value %d: %v after %s, want %s", i, err, time.Since(began), want)
			}
		}
		close(store.hang)
		synctest.Wait()
		if err := m.flush(); err != nil || store.value != 2 || store.writes != 2 {
			t.Errorf("%d after %d writes: %v", store.value, store.writes, err)
		}
	})
}
