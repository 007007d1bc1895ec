// SPDX-License-Identifier: Apache-2.0

//go:build ipvs

package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// addVeth makes an interface that is up and has addresses.
func addVeth(t *testing.T, name string, up bool) {
	t.Helper()
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-peer"}
	err := netlink.LinkAdd(link)
	for _, a := range []string{"198.51.100.1/24", "2001:db8:1::1/64"} {
		addr, e := netlink.ParseAddr(a)
		if err = errors.Join(err, e); err == nil {
			addr.Flags = unix.IFA_F_NODAD
			err = netlink.AddrAdd(link, addr)
		}
	}
	if up {
		for _, n := range []string{name, name + "-peer"} {
			l, e := netlink.LinkByName(n)
			if err = errors.Join(err, e); err == nil {
				err = netlink.LinkSetUp(l)
			}
		}
	}
	if err != nil {
		t.Errorf("make %s: %v", name, err)
	}
}

// TestRealKernelSync: each new setting causes the necessary commands once.
func TestRealKernelSync(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		addVeth(t, "sync0", true)
		d := openSync(t, k, new(fakeStore[OwnedSync]))
		both := lvs.Sync{Interface: "sync0", ID: 51, Roles: lvs.SyncBoth}
		with := func(f func(*lvs.Sync)) lvs.Sync { s := both; f(&s); return s }
		group := netip.MustParseAddr("224.0.0.99")
		for _, c := range []struct {
			name           string
			want           lvs.Sync
			stopped, begun lvs.Roles
			shows          string
		}{
			{"none", lvs.Sync{}, 0, 0, ""},
			{"both", both, 0, lvs.SyncBoth,
				"master sync daemon (mcast=sync0, syncid=51, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)"},
			{"master alone", with(func(s *lvs.Sync) { s.Roles = lvs.SyncMaster }), lvs.SyncBackup, 0, "master sync daemon"},
			{"both again", both, 0, lvs.SyncBackup, "backup sync daemon"},
			{"defaults spelled out", lvs.Sync{Interface: "sync0", ID: 51, Group: defaultSyncGroup, Port: 8848, TTL: 1, Roles: lvs.SyncBoth}, 0, 0, ""},
			{"another id", with(func(s *lvs.Sync) { s.ID = 255 }), lvs.SyncBoth, lvs.SyncBoth, "syncid=255"},
			{"everything", lvs.Sync{Interface: "sync0", Group: group, Port: 9000, TTL: 7, MaxLen: 1400, Roles: lvs.SyncBoth}, lvs.SyncBoth, lvs.SyncBoth,
				"(mcast=sync0, syncid=0, maxlen=1400, group=224.0.0.99, port=9000, ttl=7)"},
			{"IPv6", lvs.Sync{Interface: "sync0", ID: 7, Group: netip.MustParseAddr("ff02::81"), MaxLen: 1024, Roles: lvs.SyncBoth}, lvs.SyncBoth, lvs.SyncBoth,
				"group=ff02::81, port=8848"},
			{"none again", lvs.Sync{}, lvs.SyncBoth, 0, ""},
		} {
			for round, expected := range []SyncReport{{Started: c.begun, Stopped: c.stopped}, {}} {
				report, err := d.Reconcile(t.Context(), c.want)
				if err != nil || report.Started != expected.Started || report.Stopped != expected.Stopped {
					t.Errorf("%s, round %d: started %s, stopped %s, want %s and %s: %v", c.name, round+1,
						report.Started, report.Stopped, expected.Started, expected.Stopped, err)
				}
			}
			if out := ipvsadm(t, "-Ln --daemon"); !strings.Contains(out, c.shows) {
				t.Errorf("%s: want %s in\n%s", c.name, c.shows, out)
			}
		}
	})
}

// TestRealKernelSyncOfAnEarlierProcess: a daemon that an earlier process started is stopped when it is no longer wanted.
func TestRealKernelSyncOfAnEarlierProcess(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		addVeth(t, "sync0", true)
		store := new(fakeStore[OwnedSync])
		if _, err := openSync(t, k, store).Reconcile(t.Context(), lvs.Sync{Interface: "sync0", ID: 51, Roles: lvs.SyncBoth}); err != nil {
			t.Error(err)
		}
		if report, err := openSync(t, k, store).Reconcile(t.Context(), lvs.Sync{}); err != nil || report.Stopped != lvs.SyncBoth {
			t.Errorf("stopped %s, %v, want both", report.Stopped, err)
		}
		if daemons, err := k.Daemons(t.Context()); err != nil || len(daemons) != 0 {
			t.Errorf("left %v, %v", daemons, err)
		}
	})
}

func TestRealKernelSyncErrors(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		addVeth(t, "sync0", false)
		d := openSync(t, k, new(fakeStore[OwnedSync]))
		expect := func(name string, want lvs.Sync, errno error, text string) {
			t.Helper()
			_, err := d.Reconcile(t.Context(), want)
			if !errors.Is(err, errno) || err != nil && !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, want %v with %q", name, err, errno, text)
			}
		}
		want := lvs.Sync{Interface: "sync0", ID: 1, Roles: lvs.SyncBoth}
		expect("no such interface", lvs.Sync{Interface: "sync9", ID: 1, Roles: lvs.SyncBoth}, unix.ENODEV, "no such interface")
		expect("interface down", want, unix.ENETUNREACH, "is down")
		link, err := netlink.LinkByName("sync0")
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			t.Error(err)
		}
		if err := d.Stop(t.Context()); err != nil { // the backup needs no address
			t.Error(err)
		}
		mixed := []lvs.Entry{entry(www, "rr", server("[2001:db8::11]:80", lvs.Tunnel, 1))}
		mustApply(t, k, mixed, nil)
		expect("mixed families", want, unix.EINVAL, "another address family")
		mustApply(t, k, nil, map[lvs.ServiceID]bool{id(www): true})
		expect("all well", want, nil, "")
		if _, err := k.Apply(t.Context(), lvs.Diff(nil, mixed, nil)); !errors.Is(err, unix.EINVAL) ||
			!strings.Contains(err.Error(), "while connection sync runs") {
			t.Errorf("mixed families beside sync: %v", err)
		}
		if err := k.StartDaemon(t.Context(), want, lvs.SyncMaster); !errors.Is(err, unix.EEXIST) {
			t.Errorf("start twice: %v", err)
		}
		if err := errors.Join(d.Stop(t.Context()), k.StopDaemon(t.Context(), lvs.SyncMaster)); err != nil {
			t.Errorf("stop, twice: %v", err)
		}
	})
}

// TestRealKernelSyncStoppedAtOnce: if a daemon has not run yet, the kernel does not answer the command that stops it.
func TestRealKernelSyncStoppedAtOnce(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		addVeth(t, "sync0", true)
		for range 20 {
			for _, role := range []lvs.Roles{lvs.SyncMaster, lvs.SyncBackup} {
				err := k.StartDaemon(t.Context(), lvs.Sync{Interface: "sync0", ID: 1, Roles: role}, role)
				if err = errors.Join(err, k.StopDaemon(t.Context(), role)); err != nil {
					t.Error(err)
					return
				}
			}
		}
		if daemons, err := k.Daemons(t.Context()); err != nil || len(daemons) != 0 {
			t.Errorf("left %v, %v", daemons, err)
		}
	})
}

// TestRealKernelSyncInterfaceReplaced: sync on an interface that was deleted starts again when it is back.
func TestRealKernelSyncInterfaceReplaced(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		addVeth(t, "sync0", true)
		want := lvs.Sync{Interface: "sync0", ID: 1, Roles: lvs.SyncBoth}
		ipvsadm(t, "--start-daemon master --mcast-interface sync0 --syncid 1") // of an earlier process
		d := openSync(t, k, new(fakeStore[OwnedSync]))
		steps := []struct {
			name string
			do   func()
			want string
		}{
			{"found", func() {}, "stopped none, started backup"},
			{"gone", func() {
				link, err := netlink.LinkByName("sync0")
				if err == nil {
					err = netlink.LinkDel(link)
				}
				if err != nil {
					t.Error(err)
				}
			}, "stopped none, started none, no such device"},
			{"back", func() { addVeth(t, "sync0", true) }, "stopped master and backup, started master and backup"},
			{"settled", func() {}, "stopped none, started none"},
		}
		for _, s := range steps {
			s.do()
			report, err := d.Reconcile(t.Context(), want)
			got := fmt.Sprintf("stopped %s, started %s", report.Stopped, report.Started)
			if errors.Is(err, unix.ENODEV) {
				got += ", no such device"
			} else if err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
			if got != s.want {
				t.Errorf("%s: %s, want %s", s.name, got, s.want)
			}
		}
		ipvsadm(t, "--stop-daemon master")
		if err := startWithID(257); err != nil {
			t.Error(err)
		}
		if report, err := d.Reconcile(t.Context(), want); err != nil || report.Started != lvs.SyncMaster {
			t.Errorf("an id above 255: %+v, %v", report, err)
		}
	})
}

// TestRealKernelBackupOnly shows why 0 is recommended for backup_only: with both roles, 1 stops the balancing of a master too.
func TestRealKernelBackupOnly(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		addVeth(t, "sync0", true)
		mustApply(t, k, []lvs.Entry{entry(www, "rr", server("192.0.2.11:8080", lvs.NAT, 1))}, nil)
		l, err := net.Listen("tcp4", "192.0.2.11:8080")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		settings, err := OpenSysctls(new(fakeStore[FormerSysctls]), hclog.NewNullLogger())
		if err != nil {
			t.Error(err)
			return
		}
		d := openSync(t, k, new(fakeStore[OwnedSync]))
		for _, c := range []struct {
			roles   lvs.Roles
			only    string
			balance bool
		}{{lvs.SyncBoth, "0", true}, {lvs.SyncBoth, "1", false}, {lvs.SyncMaster, "1", true}, {lvs.SyncBackup, "1", false}} {
			_, err := d.Reconcile(t.Context(), lvs.Sync{Interface: "sync0", ID: 1, Roles: c.roles})
			_, failed := settings.Apply(map[string]string{"backup_only": c.only})
			if err := errors.Join(err, failed); err != nil {
				t.Error(err)
			}
			client, err := net.DialTimeout("tcp4", "192.0.2.100:80", 5*time.Second)
			if err == nil {
				err = client.Close()
			}
			if (err == nil) != c.balance {
				t.Errorf("%s, backup_only %s: %v, want balancing %v", c.roles, c.only, err, c.balance)
			}
		}
	})
}

// startWithID starts the master with an id that may be too long, as another program could.
func startWithID(id uint32) error {
	number, err := family()
	if err != nil {
		return err
	}
	w, err := dialWire(number)
	if err != nil {
		return err
	}
	failed, err := w.exec(1, func(b []byte, _ int) (uint8, []byte) {
		b, start := nest(b, attrDaemon)
		b = appendAttr32(b, daemonState, uint32(lvs.SyncMaster))
		b = appendText(b, daemonInterface, "sync0")
		b = appendAttr32(b, daemonID, id)
		unnest(b, start)
		return cmdNewDaemon, b
	})
	return errors.Join(err, failed[0], w.close())
}
