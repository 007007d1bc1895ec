// SPDX-License-Identifier: Apache-2.0

package election

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// TestDebouncedTrack: a fault of a tracked interface counts when it has lasted, and the serving goroutine is woken for that.
func TestDebouncedTrack(t *testing.T) {
	p := &Process{wake: make(chan struct{}, 1), debounces: make(map[debounceKey]*vrrp.Debounced)}
	good := vrrp.Link{Name: "eth1", Index: 3, Up: true, Carrier: true}
	bad := vrrp.Link{Name: "eth1", Index: 3, Up: true}
	plain := vrrp.TrackInterface{Interface: "eth1"}
	slow := vrrp.TrackInterface{Interface: "eth1", Debounce: vrrp.Debounce{DownDelay: 10 * time.Millisecond}}
	counts := func(track vrrp.TrackInterface, l vrrp.Link) bool { return p.debounced(track, l, true).Kind != 0 }
	if counts(plain, good) || counts(slow, good) || !counts(plain, bad) || counts(slow, bad) {
		t.Error("a short fault counts, or one without delays does not")
	}
	select {
	case <-p.wake:
	case <-time.After(10 * time.Second):
		t.Fatal("not woken")
	}
	if !counts(slow, bad) {
		t.Error("a long fault does not count")
	}
}
