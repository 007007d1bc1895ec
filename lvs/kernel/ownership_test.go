// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"maps"
	"testing"

	"github.com/tandem-lvs/tandem/lvs"
)

func ids(names ...string) map[lvs.ServiceID]bool {
	set := make(map[lvs.ServiceID]bool)
	for _, n := range names {
		set[id(n)] = true
	}
	return set
}

func mustOpen(t *testing.T, store Store[Owned]) *Ownership {
	t.Helper()
	own, err := OpenOwnership(store)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func TestOwnershipIsRemembered(t *testing.T) {
	store := new(fakeStore[Owned])
	own := mustOpen(t, store)
	if own.Len() != 0 || store.writes != 0 {
		t.Errorf("a new one holds %v after %d writes", own.Set(), store.writes)
	}
	odd := id(www)
	odd.Family = lvs.IPv4 // another spelling of the same
	if err := own.Add(odd, id(six), id("fwmark 1 (ipv6)")); err != nil {
		t.Fatal(err)
	}
	if err := own.Remove(id(six), id(dns)); err != nil {
		t.Fatal(err)
	}
	for _, o := range []*Ownership{own, mustOpen(t, store)} {
		if got, want := o.Set(), ids(www, "fwmark 1 (ipv6)"); !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	delete(own.Set(), id(www))
	if !own.Set()[id(www)] || !own.Has(odd) || own.Has(id(six)) {
		t.Error("the set is not a copy")
	}
}

func TestOwnershipWithoutDifferenceWritesNothing(t *testing.T) {
	store := new(fakeStore[Owned])
	own := mustOpen(t, store)
	if err := errors.Join(own.Add(id(www)), own.Add(id(www)), own.Remove(id(dns)), own.Add()); err != nil {
		t.Fatal(err)
	}
	if store.writes != 1 {
		t.Errorf("%d writes, want 1", store.writes)
	}
}

func TestOwnershipTriesToWriteAgain(t *testing.T) {
	store := new(fakeStore[Owned])
	own := mustOpen(t, store)
	store.err = errFull
	if err := own.Add(id(www)); !errors.Is(err, errFull) {
		t.Errorf("disk full: %v", err)
	}
	if !own.Has(id(www)) {
		t.Error("not ours because it could not be stored")
	}
	store.err = nil
	if err := own.Add(id(www)); err != nil {
		t.Fatal(err)
	}
	if got := mustOpen(t, store).Set(); !maps.Equal(got, ids(www)) {
		t.Errorf("written %v", got)
	}
}

func TestOwnershipTellsWhatTheStoreSays(t *testing.T) {
	if own, err := OpenOwnership(&fakeStore[Owned]{err: errFull}); own == nil || !errors.Is(err, errFull) {
		t.Errorf("%v, %v", own, err)
	}
	if err := (Owned{Services: []string{www, "192.0.2.100:80"}}).Validate(); err == nil {
		t.Error("an address alone passes for a service")
	}
}

// After a reboot no service is ours: the kernel's table was empty, so a service with the name of one of ours belongs to another
// program.
func TestOwnershipEndsWithTheBoot(t *testing.T) {
	store := new(fakeStore[Owned])
	open := func(boot string) *Ownership {
		own, err := openOwnership(store, boot)
		if err != nil {
			t.Fatal(err)
		}
		return own
	}
	if err := open("one").Add(id(www)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		boot string
		want int
	}{{"one", 1}, {"", 1}, {"two", 0}} {
		if got := open(c.boot).Len(); got != c.want {
			t.Errorf("boot %q: %d are ours, want %d", c.boot, got, c.want)
		}
	}
}
