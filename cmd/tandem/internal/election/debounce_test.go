// SPDX-License-Identifier: Apache-2.0

package election

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestDebouncedTrack: a fault of a tracked interface counts when it has lasted, and the serving goroutine is woken for that.
func TestDebouncedTrack(t *testing.T) {
	p := &Process{wake: make(chan struct{}, 1), debounces: make(map[debounceKey]*debounce)}
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

// TestDebounceOfATrackThatWasRemoved: an interface that was at fault when nobody tracked it any more, and works when it is tracked
// again, is no fault.
func TestDebounceOfATrackThatWasRemoved(t *testing.T) {
	p := &Process{debounces: make(map[debounceKey]*debounce), wake: make(chan struct{}, 1)}
	track := vrrp.TrackInterface{Interface: "eth1", Debounce: vrrp.Debounce{UpDelay: time.Hour}}
	works, fails := vrrp.Link{Name: "eth1", Index: 2, Up: true, Carrier: true}, vrrp.Link{Name: "eth1", Index: 2, Up: true}
	p.order.Routers = []message.Router{{Config: vrrp.Config{Name: "web", TrackInterfaces: []vrrp.TrackInterface{track}}}}
	p.forgetDebounces()
	if p.debounced(track, fails, true).Kind == 0 || p.debounced(track, works, true).Kind == 0 {
		t.Error("the fault does not last")
	}
	p.forgetDebounces()
	if p.debounced(track, works, true).Kind == 0 {
		t.Error("an order with the same track ends the fault")
	}
	p.order.Routers = nil
	p.forgetDebounces()
	if is := p.debounced(track, works, true); is.Kind != 0 {
		t.Errorf("tracked again: %s", is)
	}
}
