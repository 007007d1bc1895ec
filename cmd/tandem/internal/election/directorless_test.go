// SPDX-License-Identifier: Apache-2.0

package election

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/vrrp"
)

// Without a peer, the addresses stay on the interface from one director to the next.
func TestElectionWithoutADirectorIsTakenOverByTheNext(t *testing.T) {
	cable(t)
	dir := t.TempDir()
	first := newRigIn(t, dir)
	order := message.Order{Sequence: 1, Routers: routers("192.0.2.100/24", "192.0.2.101/24"), OrphanGrace: time.Minute}
	first.order(order)
	first.holds("192.0.2.100/24", "192.0.2.101/24")
	lost := watchLoss(t)
	_ = first.conn.Close()

	second := newRigIn(t, dir)
	second.order(order)
	report := second.reported(vrrp.Master)
	for _, s := range report.Routers {
		if s.Counters.AdvertsReceived > 0 || s.Counters.BecameMaster != 1 {
			t.Errorf("%s is master by %q: %+v", s.Name, s.Reason, s.Counters)
		}
	}
	select {
	case err := <-first.done:
		if err != nil {
			t.Errorf("the first election: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the first election does not end")
	}
	if gone := lost(); len(gone) > 0 {
		t.Errorf("%v went away meanwhile", gone)
	}
	second.holds("192.0.2.100/24", "192.0.2.101/24")
	second.order(message.Order{Leave: true})
	second.ended()
}

// Without a peer and without a director, the addresses are removed after the grace period.
func TestElectionWithoutADirectorEndsAfterItsGrace(t *testing.T) {
	cable(t)
	r := newRig(t)
	r.order(message.Order{Sequence: 1, Routers: routers("192.0.2.100/24"), OrphanGrace: time.Second})
	r.holds("192.0.2.100/24")
	died := time.Now()
	_ = r.conn.Close()
	r.ended()
	if lasted := time.Since(died); lasted < time.Second {
		t.Errorf("it ended after %v", lasted)
	}
}

// watchLoss returns a function. It lists the addresses that the kernel has removed from eth0 since.
func watchLoss(t *testing.T) func() []string {
	t.Helper()
	updates, done := make(chan netlink.AddrUpdate, 1000), make(chan struct{})
	if err := netlink.AddrSubscribe(updates, done); err != nil {
		t.Fatal(err)
	}
	return func() []string {
		close(done)
		var gone []string
		for u := range updates {
			if !u.NewAddr {
				gone = append(gone, u.LinkAddress.String())
			}
		}
		return gone
	}
}

// An election removes the addresses that its configuration no longer has, if everything was killed at once and the
// configuration was changed before the next start.
func TestElectionRemovesWhatItsOrderNoLongerHas(t *testing.T) {
	cable(t)
	dir := t.TempDir()
	record, err := state.Open[[]vrrp.Config](filepath.Join(dir, "election.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := record.Store([]vrrp.Config{routers("192.0.2.111/24")[0].Config, routers("192.0.2.100/24")[0].Config}); err != nil {
		t.Fatal(err)
	}
	put(t, "192.0.2.111/24", "192.0.2.9/24")
	r := newRigIn(t, dir, "192.0.2.100/24")
	r.holds("192.0.2.100/24", "192.0.2.9/24")
	r.order(message.Order{Leave: true})
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	// An election that ends waits for the disk for a second at most.
	if !eventually(func() bool {
		record, err = state.Open[[]vrrp.Config](filepath.Join(dir, "election.json"))
		return err == nil && len(record.Value) == 0
	}) {
		t.Errorf("after a clean end the record holds %v, %v", record, err)
	}
	// Nobody took over. So the neighbours may have this machine's address until the next election hears a master.
	eventually(func() bool {
		record, err = state.Open[[]vrrp.Config](filepath.Join(dir, "given-up.json"))
		return err == nil && len(record.Value) > 0
	})
	if err != nil || len(record.Value) != 1 || !sameResources(record.Value[0], routers("192.0.2.100/24")[0].Config) {
		t.Errorf("given up to nobody: %v, %v", record, err)
	}
}

// A restarted director is stopped while its election still waits for the hand-off. Both elections end, and no address stays.
func TestElectionThatLeavesWhileItWaitsForItsPredecessor(t *testing.T) {
	cable(t)
	dir := t.TempDir()
	order := message.Order{Sequence: 1, Routers: routers("192.0.2.100/24"), OrphanGrace: 2 * time.Second}
	first := newRigIn(t, dir)
	first.order(order)
	first.holds("192.0.2.100/24")
	_ = first.conn.Close()
	second := newRigIn(t, dir)
	second.order(order)
	second.order(message.Order{Leave: true})
	for _, r := range []*rig{second, first} {
		select {
		case err := <-r.done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("an election does not end")
		}
	}
	if left := addresses(t); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}
