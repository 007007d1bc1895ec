// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

func TestPlanSync(t *testing.T) {
	const eth0 = 3 // the interface's index now
	want := Sync{Interface: "eth0", ID: 51, Roles: SyncBoth}
	master, backup := SyncDaemon{Sync: want.complete()}, SyncDaemon{Sync: want.complete()}
	master.Roles, backup.Roles = SyncMaster, SyncBackup
	master.MaxLen, backup.MaxLen = 1472, 1472
	other, foreign := master, master
	other.Port = 1
	foreign.Foreign = true
	backupOnly := want
	backupOnly.Roles = SyncBackup
	for _, c := range []struct {
		name        string
		have        []SyncDaemon
		want        Sync
		index       int
		bound       map[Roles]int
		ours        Roles
		stop, start Roles
	}{
		{"from nothing", nil, want, eth0, nil, 0, 0, SyncBoth},
		{"as it should be", []SyncDaemon{master, backup}, want, eth0, nil, 0, 0, 0},
		{"one is missing", []SyncDaemon{backup}, want, eth0, nil, SyncBoth, 0, SyncMaster},
		{"another port", []SyncDaemon{other, backup}, want, eth0, nil, 0, SyncMaster, SyncMaster},
		{"an id above 255", []SyncDaemon{foreign, backup}, want, eth0, nil, 0, SyncMaster, SyncMaster},
		{"a role too many", []SyncDaemon{master, backup}, backupOnly, eth0, nil, 0, SyncMaster, 0},
		{"a stranger's, and none wanted", []SyncDaemon{master, backup}, Sync{}, 0, nil, 0, 0, 0},
		{"ours, and none wanted", []SyncDaemon{master, backup}, Sync{}, 0, nil, SyncMaster, SyncMaster, 0},
		{"the interface is gone", []SyncDaemon{master}, want, 0, map[Roles]int{SyncMaster: eth0}, SyncMaster, 0, 0},
		{"the interface is back", []SyncDaemon{master, backup}, want, eth0, map[Roles]int{SyncMaster: 2, SyncBackup: eth0},
			SyncBoth, SyncMaster, SyncMaster},
	} {
		bound := map[Roles]int{}
		maps.Copy(bound, c.bound)
		stop, start := planSync(c.have, c.want, c.index, bound, c.ours)
		if stop != c.stop || start != c.start {
			t.Errorf("%s: stop %s, start %s, want %s and %s", c.name, stop, start, c.stop, c.start)
		}
	}
}

func TestSyncDaemons(t *testing.T) {
	k, f := newFake(t)
	d := NewSyncDaemons(k, hclog.NewNullLogger())
	index := 3
	d.index = func(string) int { return index }
	want := Sync{Interface: "eth0", ID: 51, Roles: SyncBoth}
	pass := func(name string, want Sync, commands string, errno error) {
		t.Helper()
		f.commands()
		if _, err := d.Reconcile(t.Context(), want); !errors.Is(err, errno) {
			t.Errorf("%s: %v, want %v", name, err, errno)
		}
		if got := strings.Join(f.commands(), ", "); got != commands {
			t.Errorf("%s: %s, want %s", name, got, commands)
		}
	}
	pass("none", Sync{}, "", nil)
	pass("invalid", Sync{Interface: "eth0"}, "", ErrInvalid)
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
	pass("stopped", Sync{}, "list daemons, del-daemon master, del-daemon backup", nil)
	pass("stopped still", Sync{}, "", nil)
	f.fail["list"] = unix.EPERM
	pass("no permission", want, "list daemons", unix.EPERM)
}

func TestExplainSync(t *testing.T) {
	want := Sync{Interface: "eth0", ID: 51, Roles: SyncBoth}
	for errno, text := range map[error]string{
		unix.ENODEV:      "there is no such interface",
		unix.ENETUNREACH: "is down or has no address",
		unix.EEXIST:      "somebody else",
		unix.EINVAL:      "another address family",
		unix.ENOMEM:      "run connection sync as master on eth0: cannot allocate",
	} {
		if err := explainSync(want, SyncMaster, errno); !errors.Is(err, errno) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

// TestDaemonReadsWhatWasStarted: all attributes go there and come back.
func TestDaemonReadsWhatWasStarted(t *testing.T) {
	for _, s := range []Sync{
		{Interface: "eth0", ID: 255, Roles: SyncMaster},
		{"eth0", 1, netip.MustParseAddr("224.0.0.99"), 9000, 7, 1400, SyncBackup},
		{"eth0", 1, netip.MustParseAddr("ff02::81"), 1, 255, 65487, SyncMaster},
	} {
		if d, err := parseDaemon(appendDaemon(nil, s, s.Roles)); err != nil || d.Sync != s || d.Foreign {
			t.Errorf("%+v reads as %+v, %v", s, d, err)
		}
	}
	got := fmt.Sprint(Roles(0), SyncMaster, SyncBackup, SyncBoth, Roles(8))
	if got != "none master backup master and backup roles 0x8" {
		t.Error(got)
	}
}
