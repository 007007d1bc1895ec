// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
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

func mustOpen(t *testing.T, path string) *Ownership {
	t.Helper()
	own, err := OpenOwnership(path)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func TestOwnershipIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ownership.json")
	own := mustOpen(t, path)
	if len(own.Set()) != 0 {
		t.Errorf("a new one holds %v", own.Set())
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening wrote a file: %v", err)
	}
	odd := id(www)
	odd.Family = lvs.IPv4 // another spelling of the same
	if err := own.Add(odd, id(six), id("fwmark 1 (ipv6)")); err != nil {
		t.Fatal(err)
	}
	if err := own.Remove(id(six), id(dns)); err != nil {
		t.Fatal(err)
	}
	for _, o := range []*Ownership{own, mustOpen(t, path)} {
		if got, want := o.Set(), ids(www, "fwmark 1 (ipv6)"); !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	delete(own.Set(), id(www))
	if !own.Set()[id(www)] {
		t.Error("the set is not a copy")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}

func TestOwnershipWithoutDifferenceWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ownership.json")
	own := mustOpen(t, path)
	if err := own.Add(id(www)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(own.Add(id(www)), own.Remove(id(dns)), own.Add()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was written: %v", err)
	}
}

func TestOwnershipTriesToWriteAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "ownership.json")
	own := mustOpen(t, path)
	if err := own.Add(id(www)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the directory: %v", err)
	}
	if !own.Set()[id(www)] {
		t.Error("not ours because the file could not be written")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := own.Add(id(www)); err != nil {
		t.Fatal(err)
	}
	if got := mustOpen(t, path).Set(); !maps.Equal(got, ids(www)) {
		t.Errorf("written %v", got)
	}
}

func TestDamagedOwnershipIsSetAside(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"empty", "", "unexpected end"},
		{"cut off", `{"version":1,"services":["tcp 192.0.2.`, "unexpected end"},
		{"another version", `{"version":2,"services":[]}`, "version 2, want 1"},
		{"not a service", `{"version":1,"services":["192.0.2.100:80"]}`, "192.0.2.100:80"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "ownership.json")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		own, err := OpenOwnership(path)
		if own == nil || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrDamaged with %q", c.name, err, c.want)
			continue
		}
		if err := own.Add(id(www)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		aside, err := filepath.Glob(path + ".damaged-*")
		if err != nil || len(aside) != 1 {
			t.Errorf("%s: set aside as %v, %v", c.name, aside, err)
			continue
		}
		if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != c.content {
			t.Errorf("%s: kept %q, %v", c.name, kept, err)
		}
	}
}

func TestUnreadableOwnershipIsAnError(t *testing.T) {
	own, err := OpenOwnership(t.TempDir())
	if err == nil || own != nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a directory as file: %v, %v", own, err)
	}
}

func FuzzParseOwnership(f *testing.F) {
	f.Add([]byte(`{"version":1,"services":["tcp 192.0.2.100:80","fwmark 1 (ipv4)"]}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := parseOwnership(data)
		for id := range set {
			if id != id.Canonical() || (id.FWMark == 0 && !id.Addr.IsValid()) {
				t.Errorf("%q gives %#v, %v", data, id, err)
			}
		}
	})
}
