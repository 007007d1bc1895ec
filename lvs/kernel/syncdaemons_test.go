// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

func TestPlanSync(t *testing.T) {
	const eth0 = 3 // the interface's index now
	want := lvs.Sync{Interface: "eth0", ID: 51, Roles: lvs.SyncBoth}
	master, backup := lvs.SyncDaemon{Sync: complete(want)}, lvs.SyncDaemon{Sync: complete(want)}
	master.Roles, backup.Roles = lvs.SyncMaster, lvs.SyncBackup
	master.MaxLen, backup.MaxLen = 1472, 1472
	other, foreign := master, master
	other.Port = 1
	foreign.Foreign = true
	backupOnly := want
	backupOnly.Roles = lvs.SyncBackup
	for _, c := range []struct {
		name        string
		have        []lvs.SyncDaemon
		want        lvs.Sync
		index       int
		bound       map[lvs.Roles]int
		ours        lvs.Roles
		stop, start lvs.Roles
	}{
		{"from nothing", nil, want, eth0, nil, 0, 0, lvs.SyncBoth},
		{"as it should be", []lvs.SyncDaemon{master, backup}, want, eth0, nil, 0, 0, 0},
		{"one is missing", []lvs.SyncDaemon{backup}, want, eth0, nil, lvs.SyncBoth, 0, lvs.SyncMaster},
		{"another port", []lvs.SyncDaemon{other, backup}, want, eth0, nil, 0, lvs.SyncMaster, lvs.SyncMaster},
		{"an id above 255", []lvs.SyncDaemon{foreign, backup}, want, eth0, nil, 0, lvs.SyncMaster, lvs.SyncMaster},
		{"a role too many", []lvs.SyncDaemon{master, backup}, backupOnly, eth0, nil, 0, lvs.SyncMaster, 0},
		{"a stranger's, and none wanted", []lvs.SyncDaemon{master, backup}, lvs.Sync{}, 0, nil, 0, 0, 0},
		{"ours, and none wanted", []lvs.SyncDaemon{master, backup}, lvs.Sync{}, 0, nil, lvs.SyncMaster, lvs.SyncMaster, 0},
		{"the interface is gone", []lvs.SyncDaemon{master}, want, 0, map[lvs.Roles]int{lvs.SyncMaster: eth0}, lvs.SyncMaster, 0, 0},
		{"the interface is back", []lvs.SyncDaemon{master, backup}, want, eth0, map[lvs.Roles]int{lvs.SyncMaster: 2, lvs.SyncBackup: eth0},
			lvs.SyncBoth, lvs.SyncMaster, lvs.SyncMaster},
	} {
		bound := map[lvs.Roles]int{}
		maps.Copy(bound, c.bound)
		stop, start := planSync(c.have, c.want, c.index, bound, c.ours)
		if stop != c.stop || start != c.start {
			t.Errorf("%s: stop %s, start %s, want %s and %s", c.name, stop, start, c.stop, c.start)
		}
	}
}

func TestSyncDaemons(t *testing.T) {
	k, f := newFake(t)
	d := openSync(t, k, new(fakeStore[OwnedSync]))
	index := 3
	d.index = func(string) int { return index }
	want := lvs.Sync{Interface: "eth0", ID: 51, Roles: lvs.SyncBoth}
	pass := func(name string, want lvs.Sync, commands string, errno error) {
		t.Helper()
		f.commands()
		if _, err := d.Reconcile(t.Context(), want); !errors.Is(err, errno) {
			t.Errorf("%s: %v, want %v", name, err, errno)
		}
		if got := strings.Join(f.commands(), ", "); got != commands {
			t.Errorf("%s: %s, want %s", name, got, commands)
		}
	}
	pass("none", lvs.Sync{}, "", nil)
	pass("invalid", lvs.Sync{Interface: "eth0"}, "", lvs.ErrInvalid)
	pass("both", want, "list daemons, new-daemon master, new-daemon backup", nil)
	pass("both still", want, "list daemons", nil)
	index = 0
	pass("interface gone", want, "list daemons", unix.ENODEV)
	index = 7
	pass("interface back", want,
		"list daemons, del-daemon master, new-daemon master, del-daemon backup, new-daemon backup", nil)
	f.daemons = nil
	f.fail["new-daemon"] = unix.ENETUNREACH
	pass("interface down", want, "list daemons, new-daemon master, new-daemon backup", unix.ENETUNREACH)
	clear(f.fail)
	pass("interface up", want, "list daemons, new-daemon master, new-daemon backup", nil)
	pass("stopped", lvs.Sync{}, "list daemons, del-daemon master, del-daemon backup", nil)
	pass("stopped still", lvs.Sync{}, "", nil)
	f.fail["list"] = unix.EPERM
	pass("no permission", want, "list daemons", unix.EPERM)
}

// openSync returns the SyncDaemons of a process whose state is in store.
func openSync(t *testing.T, k *IPVS, store Store[OwnedSync]) *SyncDaemons {
	t.Helper()
	d, err := OpenSyncDaemons(k, store, hclog.NewNullLogger())
	if err != nil {
		t.Error(err)
	}
	return d
}

// TestSyncDaemonsOfAnEarlierProcess: after a restart it is known which daemons are ours. Daemons that another program has
// started in their place are not stopped.
func TestSyncDaemonsOfAnEarlierProcess(t *testing.T) {
	want := lvs.Sync{Interface: "eth0", ID: 51, Roles: lvs.SyncBoth}
	strange := complete(want)
	strange.Roles, strange.ID = lvs.SyncMaster, 52
	eth0 := 0 // its index
	for _, c := range []struct {
		name     string
		between  func(*fakeKernel)
		want     lvs.Sync
		commands string
	}{
		{"wanted still", func(*fakeKernel) {}, want, "list daemons"},
		{"their interface was made anew", func(*fakeKernel) { eth0 = 4 }, want,
			"list daemons, del-daemon master, new-daemon master, del-daemon backup, new-daemon backup"},
		{"not wanted any more", func(*fakeKernel) {}, lvs.Sync{}, "list daemons, del-daemon master, del-daemon backup"},
		{"a stranger's in their place", func(f *fakeKernel) { f.daemons = []lvs.SyncDaemon{{Sync: strange}} }, lvs.Sync{}, "list daemons"},
		{"gone by themselves", func(f *fakeKernel) { f.daemons = nil }, lvs.Sync{}, "list daemons"},
		{"gone with IPVS", func(f *fakeKernel) { f.fail["list"] = ErrAbsent }, lvs.Sync{}, "list daemons"},
	} {
		k, f := newFake(t)
		store := new(fakeStore[OwnedSync])
		eth0 = 3
		index := func(string) int { return eth0 }
		d := openSync(t, k, store)
		d.index = index
		if _, err := d.Reconcile(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		c.between(f)
		f.commands()
		d = openSync(t, k, store)
		d.index = index
		if _, err := d.Reconcile(t.Context(), c.want); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := strings.Join(f.commands(), ", "); got != c.commands {
			t.Errorf("%s: %s, want %s", c.name, got, c.commands)
		}
		if _, err := openSync(t, k, store).Reconcile(t.Context(), c.want); err != nil {
			t.Errorf("%s: in a third process: %v", c.name, err)
		}
		if got := strings.Join(f.commands(), ", "); c.want == (lvs.Sync{}) && got != "" {
			t.Errorf("%s: a third process does %s", c.name, got)
		}
	}
}

func TestSyncDaemonsTellWhatTheStoreSays(t *testing.T) {
	k, _ := newFake(t)
	d, err := OpenSyncDaemons(k, &fakeStore[OwnedSync]{err: errFull}, hclog.NewNullLogger())
	if !errors.Is(err, errFull) || d == nil {
		t.Errorf("%v, %v", d, err)
	}
}

func TestExplainSync(t *testing.T) {
	want := lvs.Sync{Interface: "eth0", ID: 51, Roles: lvs.SyncBoth}
	for errno, text := range map[error]string{
		unix.ENODEV:      "there is no such interface",
		unix.ENETUNREACH: "is down or has no address",
		unix.EEXIST:      "somebody else",
		unix.EINVAL:      "another address family",
		unix.ENOMEM:      "run connection sync as master on eth0: cannot allocate",
	} {
		if err := explainSync(want, lvs.SyncMaster, errno); !errors.Is(err, errno) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}
