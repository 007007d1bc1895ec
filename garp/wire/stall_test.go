// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// watchStalls measures until the returned function is called, which tells for how long in all this machine has kept a goroutine
// waiting that could have run, or a request about an interface: in the kernel, all of those take turns.
func watchStalls(t *testing.T) (stop func() time.Duration) {
	t.Helper()
	const pause, ordinary = 2 * time.Millisecond, 5 * time.Millisecond
	ended := make(chan struct{})
	var mu sync.Mutex
	var stalled time.Duration
	var watching sync.WaitGroup
	watch := func(pause time.Duration, expected time.Duration, look func()) {
		watching.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for running := true; running; {
				last := time.Now()
				select {
				case <-ended:
					running = false
				case <-tick.C:
				}
				look()
				if late := time.Since(last) - expected; late > ordinary {
					mu.Lock()
					stalled += late
					mu.Unlock()
				}
			}
		})
	}
	watch(pause, pause, func() {})
	watch(5*pause, 5*pause, func() { _, _ = netlink.LinkByName("lo") })
	stop = sync.OnceValue(func() time.Duration {
		close(ended)
		watching.Wait()
		return stalled
	})
	t.Cleanup(func() { stop() })
	return stop
}
