// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

func TestOneElectionPerStateDirectory(t *testing.T) {
	dir := t.TempDir()
	first, _, err := acquire(t.Context(), dir, func() { t.Error("nobody is there to wait for") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, _, err := acquire(ctx, dir, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("a second one: %v", err)
	}
	first.release()
	second, _, err := acquire(t.Context(), dir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	second.release()
}

func TestHandOff(t *testing.T) {
	dir := t.TempDir()
	lock, _, err := acquire(t.Context(), dir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	// A killed process left its socket.
	if err := os.WriteFile(socketPath(dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	requests := lock.listen(ctx, func() {})
	var successor errgroup.Group
	successor.Go(func() error {
		own, handed, err := acquire(t.Context(), dir, func() {})
		if err != nil {
			return err
		}
		defer own.release()
		if len(handed.Masters) != 1 || handed.Masters[0].VIPs[0] != netip.MustParsePrefix("192.0.2.100/24") {
			return errors.New("the state is lost")
		}
		return nil
	})
	state := handoffState{Masters: routers("192.0.2.100/24")}
	r := <-requests
	if r.err != nil {
		t.Fatal(r.err)
	}
	if err := sendState(r.conn, state); err != nil {
		t.Error(err)
	}
	lock.release()
	if err := successor.Wait(); err != nil {
		t.Error(err)
	}
	cancel()
	socketGone(t, dir)
}

func TestNoSuccessorAsks(t *testing.T) {
	dir := t.TempDir()
	lock, _, err := acquire(t.Context(), dir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer lock.release()
	ctx, cancel := context.WithCancel(t.Context())
	requests := lock.listen(ctx, func() {})
	cancel()
	if _, ok := <-requests; ok {
		t.Error("somebody came")
	}
	socketGone(t, dir)
}

func socketGone(t *testing.T, dir string) {
	t.Helper()
	if !eventually(func() bool { _, err := os.Lstat(socketPath(dir)); return errors.Is(err, os.ErrNotExist) }) {
		t.Error("the socket is left behind")
	}
}

// If several members of a sync group track the same interface with the same weight, it counts once. A track with weight 0 stays
// with its own member: if one member fails, the group fails.
func TestAGroupCountsEachInterfaceOnce(t *testing.T) {
	router := func(name, group string, tracks ...vrrp.TrackInterface) message.Router {
		return message.Router{Config: vrrp.Config{Name: name, SyncGroup: group, TrackInterfaces: tracks}}
	}
	less, more, fault := vrrp.TrackInterface{Interface: "eth1", Weight: -50}, vrrp.TrackInterface{Interface: "eth1", Weight: -5}, vrrp.TrackInterface{Interface: "eth1"}
	links := map[string]vrrp.Link{"eth1": {Name: "eth1", Index: 2, Up: true}}
	var got []int
	for _, r := range onceInGroups([]message.Router{
		router("front", "web", less), router("back", "web", less, more, fault), router("alone", "", less), router("third", "other", less),
	}) {
		is := r.Tracking.AddInterfaces(r.TrackInterfaces, links)
		got = append(got, is.Delta)
		if (is.Fault != "") != (r.Name == "back") {
			t.Errorf("%s: fault %q", r.Name, is.Fault)
		}
	}
	if want := []int{-50, -5, -50, -50}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
