// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestReloadThatHangs: a reload whose disk does not answer does not keep the process from ending, and one that does is waited for.
func TestReloadThatHangs(t *testing.T) {
	for name, c := range map[string]struct {
		takes, want time.Duration // of the reload, until the end
	}{
		"no time":   {0, 0},
		"some time": {time.Second / 2, time.Second / 2},
		"an hour":   {time.Hour, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			signals := make(chan os.Signal, 1)
			calls := 0
			join := atEach(ctx, signals, func() {
				calls++
				time.Sleep(c.takes)
			})
			signals <- syscall.SIGHUP
			synctest.Wait()
			end()
			began := time.Now()
			if join(time.Second); time.Since(began) != c.want || calls != 1 {
				t.Errorf("%s: it ended after %s, want %s; %d calls", name, time.Since(began), c.want, calls)
			}
			time.Sleep(c.takes) // until the reload has ended
		})
	}
}
