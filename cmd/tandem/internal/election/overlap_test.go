// SPDX-License-Identifier: Apache-2.0

package election

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
	"github.com/tandem-lvs/tandem/vrrp"
)

// willing starts an election that is master and waits for a successor.
func willing(t *testing.T, dir string, vips ...string) (*rig, message.Order) {
	t.Helper()
	r := newRigIn(t, dir)
	o := message.Order{Sequence: 1, Routers: routers(vips...), OrphanGrace: time.Minute, HandOff: true}
	r.order(o)
	r.holds(vips...)
	if !eventually(func() bool { return r.latest().HandOff }) {
		t.Fatal("it does not wait for a successor")
	}
	return r, o
}

// over waits for the end of an election that leaves its addresses behind.
func (r *rig) over(want string) {
	r.t.Helper()
	select {
	case err := <-r.done:
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			r.t.Errorf("it ended with %v, want %q", err, want)
		}
	case <-time.After(time.Minute):
		r.t.Fatal("it does not end")
	}
}

// TestOverlap: an election takes over from one that serves. The addresses stay, also from the second to the third.
func TestOverlap(t *testing.T) {
	cable(t)
	dir := t.TempDir()
	vips := []string{"192.0.2.100/24", "192.0.2.101/24"}
	first, o := willing(t, dir, vips...)
	lost := watchLoss(t)
	o.HandOff = false
	for range 2 {
		second := idleRigIn(t, dir)
		if !eventually(func() bool { return second.latest().Succeeding }) {
			t.Fatal("it does not say that its predecessor goes on")
		}
		if s := first.asked(vrrp.Master).Routers[0]; !s.Holding {
			t.Errorf("before the successor has an order: %+v", s)
		}
		second.order(o)
		for _, s := range second.reported(vrrp.Master).Routers {
			if s.Counters.BecameMaster != 1 || s.Counters.AdvertsReceived > 0 || s.Counters.Drops != (vrrp.Drops{}) {
				t.Errorf("%s is master by %q: %+v", s.Name, s.Reason, s.Counters)
			}
		}
		first.over("")
		if !eventually(func() bool { return !second.latest().Succeeding }) {
			t.Error("it does not stand alone")
		}
		first = second
		next := o
		next.Sequence, next.HandOff = 2, true
		first.order(next)
		if !eventually(func() bool { return first.latest().HandOff }) {
			t.Fatal("it does not wait for a successor")
		}
	}
	if gone := lost(); len(gone) > 0 {
		t.Errorf("%v went away meanwhile", gone)
	}
	first.holds(vips...)
	first.order(message.Order{Leave: true})
	first.ended()
}

// TestOverlapBroken: a successor that goes away before it has taken over changes nothing, and another one can come.
func TestOverlapBroken(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"its director died":         func(r *rig) { _ = r.conn.Close() },
		"its director is stopped":   func(r *rig) { r.order(message.Order{Leave: true}) },
		"it is told to end":         func(r *rig) { r.cancel() },
		"its director says nothing": nil, // and the first director orders that nobody shall take over
	} {
		t.Run(name, func(t *testing.T) {
			cable(t)
			dir := t.TempDir()
			first, o := willing(t, dir, "192.0.2.100/24")
			lost := watchLoss(t)
			second := idleRigIn(t, dir)
			if !eventually(func() bool { return second.latest().Succeeding }) {
				t.Fatal("it does not say that its predecessor goes on")
			}
			if end != nil {
				end(second)
				second.over("")
			} else {
				o.Sequence, o.HandOff = 2, false
				first.order(o)
				second.over(errPredecessorDied.Error())
				o.Sequence, o.HandOff = 3, true
				first.order(o)
			}
			third := idleRigIn(t, dir)
			third.order(o)
			third.reported(vrrp.Master)
			first.over("")
			if gone := lost(); len(gone) > 0 {
				t.Errorf("%v went away meanwhile", gone)
			}
			third.order(message.Order{Leave: true})
			third.ended()
		})
	}
}

// TestOverlapRolesChanged: a predecessor that has become master of another router does not agree.
func TestOverlapRolesChanged(t *testing.T) {
	cable(t)
	dir := t.TempDir()
	first, o := willing(t, dir, "192.0.2.100/24")
	conn, err := net.Dial("unix", socketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var state handoffState
	if err := json.NewDecoder(conn).Decode(&state); err != nil || len(state.Masters) != 1 || !state.Serving || state.Format != handoff.Format {
		t.Fatalf("%+v, %v", state, err)
	}
	o.Sequence, o.Routers = 2, routers("192.0.2.100/24", "192.0.2.101/24")
	first.order(o)
	first.holds("192.0.2.100/24", "192.0.2.101/24")
	first.asked(vrrp.Master)
	if _, err := io.WriteString(conn, tookOver); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(conn); err != nil || string(said) != refused {
		t.Errorf("%q, %v", said, err)
	}
	first.asked(vrrp.Master)
	first.order(message.Order{Leave: true})
	first.ended()
}

// TestOverlapUnreadable: what another version hands off in another format is not taken.
func TestOverlapUnreadable(t *testing.T) {
	dir := t.TempDir()
	lock, _, err := acquire(t.Context(), dir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer lock.release()
	requests := lock.listen(t.Context(), func() {})
	go func() {
		r := <-requests
		_ = json.NewEncoder(r.conn).Encode(handoffState{Format: handoff.Format + 1, Serving: true})
	}()
	if _, _, err := acquire(t.Context(), dir, func() {}); err == nil || !strings.Contains(err.Error(), "this version reads format") {
		t.Errorf("%v", err)
	}
}
