// SPDX-License-Identifier: Apache-2.0

package nstest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// SetSysctl returns a function that sets a sysctl below net/.
func SetSysctl(key, value string) func() error {
	return func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644) }
}

// patience is how long Eventually waits. It is longer than anything here takes, and shorter than the half minute after which
// checks without a cause find what an event has missed.
const patience = 15 * time.Second

// Eventually polls until ok, for at most 15 s. The time in which the machine stalls does not count.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	var waited time.Duration
	for last := time.Now(); !ok(); time.Sleep(200 * time.Microsecond) {
		now := time.Now()
		if waited += min(now.Sub(last), 50*time.Millisecond); waited > patience {
			t.Fatalf("not within %s: %s", patience, what)
		}
		last = now
	}
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
