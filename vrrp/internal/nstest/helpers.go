// SPDX-License-Identifier: Apache-2.0

package nstest

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// SetSysctl returns a function that sets a sysctl below net/.
func SetSysctl(key, value string) func() error {
	return func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644) }
}

// Eventually polls until ok, for at most 5 s.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

// WatchStalls measures until the returned function is called, which tells for how long in all this machine kept a goroutine
// waiting that could have run.
func WatchStalls(t testing.TB) (stop func() time.Duration) {
	t.Helper()
	const every, ordinary = 2 * time.Millisecond, 5 * time.Millisecond // what a machine that does not stall keeps to
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan time.Duration, 1)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		var stalled time.Duration
		for last := time.Now(); ; {
			running := true
			select {
			case <-ctx.Done():
				running = false
			case <-tick.C:
			}
			now := time.Now()
			if late := now.Sub(last) - every; late > ordinary {
				stalled += late
			}
			if last = now; !running {
				ended <- stalled
				return
			}
		}
	}()
	stop = sync.OnceValue(func() time.Duration { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	return stop
}

// RunIn runs run inside the namespace until the test ends or stop is called; stop waits and returns run's error.
func RunIn(t testing.TB, ns *NS, run func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		ns.Do(func() { err = run(ctx) })
	}()
	stop = func() error {
		cancel()
		<-ended
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return stop
}

// Command runs f inside the namespace and fails the test on its error.
func Command(t testing.TB, ns *NS, f func() error) {
	t.Helper()
	var err error
	ns.Do(func() { err = f() })
	if err != nil {
		t.Fatal(err)
	}
}

// Device returns a function that calls f for the named interface.
func Device(name string, f func(netlink.Link) error) func() error {
	return func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return f(l)
	}
}

// AddTo returns a function that adds an address to the named interface.
func AddTo(name, prefix string) func() error {
	return Device(name, func(l netlink.Link) error {
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		return netlink.AddrAdd(l, a)
	})
}

// DeleteFrom returns a function that deletes an address from the named interface.
func DeleteFrom(name, prefix string) func() error {
	return Device(name, func(l netlink.Link) error {
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		return netlink.AddrDel(l, a)
	})
}
