// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"sync"
	"time"
)

// A StallWatch measures how long the machine makes a runnable goroutine wait. A program that is late by no more than that
// is not to blame.
type StallWatch struct {
	once sync.Once
	stop chan struct{}
	done chan struct{}
	most time.Duration // after done
}

// WatchStalls measures until Stop, or the test's end.
func (l *Lab) WatchStalls() *StallWatch {
	w := &StallWatch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		const every = 10 * time.Millisecond
		tick := time.NewTicker(every)
		defer tick.Stop()
		for last, running := time.Now(), true; running; {
			select {
			case <-w.stop:
				running = false
			case <-tick.C:
			}
			now := time.Now()
			w.most = max(w.most, now.Sub(last)-every)
			last = now
		}
	}()
	l.t.Cleanup(func() { w.Stop() })
	return w
}

// Stop ends the watch and returns the longest stall.
func (w *StallWatch) Stop() time.Duration {
	w.once.Do(func() { close(w.stop) })
	<-w.done
	return w.most
}
