// SPDX-License-Identifier: Apache-2.0

//go:build ipvs

package kernel

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// TestRealKernelRepairsDrift: the table is repaired after each kind of change by another program.
func TestRealKernelRepairsDrift(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		own, err := OpenOwnership(new(fakeStore[Owned]))
		if err != nil {
			t.Error(err)
			return
		}
		table, want := NewTable(k, own, hclog.NewNullLogger()), fullTable()
		if _, err := table.Reconcile(t.Context(), want); err != nil {
			t.Error(err)
		}
		somebody, err := ipvs.New("")
		if err != nil {
			t.Error(err)
			return
		}
		defer somebody.Close()
		first := toService(want[0].Service)
		persistent := *first
		persistent.Flags, persistent.Timeout = uint32(lvs.Persistent), 300
		mark := toService(service("fwmark 7 (ipv6)", "wlc"))
		for _, c := range []struct {
			name  string
			do    func() error
			drift int
		}{
			{"flush", somebody.Flush, len(lvs.Diff(nil, want, nil))},
			{"delete a service", func() error { return somebody.DelService(first) }, 1 + len(want[0].Servers)},
			{"delete a server", func() error {
				return somebody.DelDestination(first, toDestination(want[0].Servers[0]))
			}, 1},
			{"change a weight", func() error {
				s := want[0].Servers[0]
				s.Weight = 99
				return somebody.UpdateDestination(first, toDestination(s))
			}, 1},
			{"add a server", func() error {
				return somebody.NewDestination(first, toDestination(server("192.0.2.99:80", lvs.DR, 1)))
			}, 1},
			{"make a service persistent", func() error { return somebody.UpdateService(&persistent) }, 1},
			{"empty a firewall mark", func() error {
				return somebody.DelDestination(mark, toDestination(server("[2001:db8::11]:0", lvs.DR, 1)))
			}, 1},
		} {
			if drifted, err := glance(table); drifted || err != nil {
				t.Errorf("before %s: drifted %v, %v", c.name, drifted, err)
			}
			if err := c.do(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if drifted, err := glance(table); !drifted || err != nil {
				t.Errorf("after %s: drifted %v, %v", c.name, drifted, err)
			}
			report, err := table.Reconcile(t.Context(), want)
			if err != nil || report.Drift != c.drift || report.Done != c.drift {
				t.Errorf("after %s: %d changes, %d done, %d drift, want %d: %v", c.name,
					len(report.Changes), report.Done, report.Drift, c.drift, err)
			}
		}
	})
}

// TestRealKernelLeavesStrangersAlone: services of other programs stay as they are, even if tandem cannot express them.
func TestRealKernelLeavesStrangersAlone(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		if _, err := k.Read(t.Context()); err != nil {
			t.Error(err)
			return
		}
		somebody, err := ipvs.New("")
		if err != nil {
			t.Error(err)
			return
		}
		defer somebody.Close()
		address := netip.MustParseAddr("192.0.2.200").AsSlice()
		for _, s := range []*ipvs.Service{
			{Address: address, Protocol: unix.IPPROTO_SCTP, Port: 80, SchedName: "rr", AddressFamily: unix.AF_INET},
			{Address: address, Protocol: unix.IPPROTO_TCP, Port: 0, SchedName: "wlc", AddressFamily: unix.AF_INET,
				Flags: uint32(lvs.Persistent), Timeout: 300, Netmask: 0x00ffffff},
			{Address: address, Protocol: unix.IPPROTO_UDP, Port: 53, SchedName: "sh", AddressFamily: unix.AF_INET,
				Flags: uint32(lvs.OnePacket)},
			{FWMark: 9, SchedName: "rr", AddressFamily: unix.AF_INET6, Netmask: 128},
		} {
			if err := somebody.NewService(s); err != nil {
				t.Errorf("%+v: %v", s, err)
			}
			if s.AddressFamily == unix.AF_INET6 {
				continue
			}
			d := &ipvs.Destination{Address: address, Port: s.Port, Weight: 3, UpperThreshold: 100}
			if err := somebody.NewDestination(s, d); err != nil {
				t.Errorf("%+v: %v", s, err)
			}
		}
		before := kernelState(t, somebody)
		t.Logf("the kernel shows:\n%s", before)
		own, err := OpenOwnership(new(fakeStore[Owned]))
		if err != nil {
			t.Error(err)
			return
		}
		table := NewTable(k, own, hclog.NewNullLogger())
		if _, err := table.Reconcile(t.Context(), fullTable()); err != nil {
			t.Error(err)
		}
		t.Logf("and with ours:\n%s", kernelState(t, somebody))
		// Services of another namespace that is about to end hide rows from the look.
		drifted, err := glance(table)
		for deadline := time.Now().Add(30 * time.Second); drifted && err == nil && time.Now().Before(deadline); {
			drifted, err = glance(table)
		}
		if drifted || err != nil {
			t.Errorf("drifted %v, %v", drifted, err)
		}
		if _, err := table.Remove(t.Context()); err != nil {
			t.Error(err)
		}
		if after := kernelState(t, somebody); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
}

// TestRealKernelOtherNamespaces: the services of another namespace make the kernel leave rows out of a long look. This causes
// one pass, and does not hide other changes.
func TestRealKernelOtherNamespaces(t *testing.T) {
	want := bigTable(200, 2)
	inNamespace(t, func(k *IPVS) {
		mustApply(t, k, want, nil)
		inNamespace(t, func(k *IPVS) {
			own, err := OpenOwnership(new(fakeStore[Owned]))
			if err != nil {
				t.Error(err)
				return
			}
			table := NewTable(k, own, hclog.NewNullLogger())
			if _, err := table.Reconcile(t.Context(), want); err != nil {
				t.Error(err)
			}
			rows, err := k.Look(t.Context())
			t.Logf("the look shows %d of %d services: %v", len(rows), len(want), err)
			for range 3 {
				drifted, err := glance(table)
				if err != nil || !drifted {
					break
				}
				if report, err := table.Reconcile(t.Context(), want); err != nil || len(report.Changes) != 0 {
					t.Errorf("%d changes to an unchanged table: %v", len(report.Changes), err)
				}
			}
			if passes := table.Counters().Reconciles; passes > 2 {
				t.Errorf("%d passes over an unchanged table, want at most 2", passes)
			}
			if len(rows) == 0 {
				t.Error("the look shows nothing")
				return
			}
			shown := rows[0]
			change := lvs.Change{Op: lvs.SetServer, Service: shown.Service, Server: shown.Servers[0].Server}
			change.Server.Weight = 99
			if _, err := k.Apply(t.Context(), []lvs.Change{change}); err != nil {
				t.Error(err)
			}
			if drifted, err := glance(table); !drifted || err != nil {
				t.Errorf("after a change to %s: drifted %v, %v", shown.ServiceID, drifted, err)
			}
		})
	})
}

// TestRealKernelFullReadSeesMore: a full read sees changes that a look cannot see.
func TestRealKernelFullReadSeesMore(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		own, err := OpenOwnership(new(fakeStore[Owned]))
		if err != nil {
			t.Error(err)
			return
		}
		table, want := NewTable(k, own, hclog.NewNullLogger()), specials()
		if _, err := table.Reconcile(t.Context(), want); err != nil {
			t.Error(err)
		}
		for _, c := range []struct {
			args string
			want string
		}{
			{"-E -t 192.0.2.103:0 -s wlc -p 60 -M 255.255.255.0", "set timeout of tcp 192.0.2.103:0: 1m0s → 5m0s"},
			{"-E -t 192.0.2.103:0 -s wlc -p 300 -M 255.255.0.0", "set prefix of tcp 192.0.2.103:0: 16 → 24"},
			{"-E -u 192.0.2.103:5060 -s rr -p 60", "set engine of udp 192.0.2.103:5060: none → sip"},
			{"-E -t 192.0.2.103:82 -s mh -b mh-fallback", "set flags of tcp 192.0.2.103:82: fallback → port"},
			{"-e -t 192.0.2.103:90 -r 192.0.2.11:90 -g -w 1 -x 10 -y 5",
				"set upper threshold, lower threshold of 192.0.2.11:90 in tcp 192.0.2.103:90: 10 → 100, 5 → 50"},
			{"-e -t 192.0.2.103:90 -r 192.0.2.12:90 -i -w 1 --tun-type gre",
				"set tunnel of 192.0.2.12:90 in tcp 192.0.2.103:90: gre → gue port 6080 remcsum"},
		} {
			ipvsadm(t, c.args)
			if drifted, err := glance(table); drifted || err != nil {
				t.Errorf("after %s: the look sees %v, %v", c.args, drifted, err)
			}
			if drifted, err := lookAround(t, table); !drifted || err != nil {
				t.Errorf("after %s: the look at details sees %v, %v", c.args, drifted, err)
			}
			writes := k.Writes()
			report, err := table.Reconcile(t.Context(), want)
			if err != nil || len(report.Changes) != 1 || report.Changes[0].String() != c.want || report.Drift != 1 {
				t.Errorf("after %s: %v, want %q: %v", c.args, report.Changes, c.want, err)
			}
			if got := k.Writes() - writes; got != 1 {
				t.Errorf("after %s: %d writes, want 1", c.args, got)
			}
		}
	})
}

// TestRealKernelManagesAll: with ManageAll a service of another program is deleted.
func TestRealKernelManagesAll(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		own, err := OpenOwnership(new(fakeStore[Owned]))
		if err != nil {
			t.Error(err)
			return
		}
		table, want := NewTable(k, own, hclog.NewNullLogger()), []lvs.Entry{entry(www, "rr")}
		for _, args := range []string{"-A -t 192.0.2.200:80", "-A -f 9 -6", "-A -f 10"} {
			ipvsadm(t, args)
		}
		for _, all := range []bool{false, true} {
			table.ManageAll(all)
			if drifted, err := glance(table); drifted != all || err != nil { // before the first pass nothing is wanted
				t.Errorf("all %v: drifted %v, %v", all, drifted, err)
			}
			if _, err := table.Reconcile(t.Context(), want); err != nil {
				t.Error(err)
			}
			have, err := k.Read(t.Context())
			if left := len(have); err != nil || left != map[bool]int{false: 4, true: 1}[all] {
				t.Errorf("all %v: %d services left: %v", all, left, err)
			}
		}
	})
}

// ipvsadm changes the table as another program.
func ipvsadm(t *testing.T, args string) string {
	t.Helper()
	out, err := exec.Command("ipvsadm", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Errorf("ipvsadm %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// kernelState returns the table as the kernel prints it, its rows in order, and the attributes that it does not print.
func kernelState(t *testing.T, h *ipvs.Handle) string {
	text, err := os.ReadFile("/proc/thread-self/net/ip_vs")
	if err != nil {
		t.Error(err)
	}
	services, err := h.GetServices()
	if err != nil {
		t.Error(err)
	}
	var attributes []string
	for _, s := range services {
		destinations, err := h.GetDestinations(s)
		if err != nil {
			t.Error(err)
		}
		for _, d := range destinations {
			attributes = append(attributes, fmt.Sprintf("%v:%d up to %d", d.Address, d.Port, d.UpperThreshold))
		}
		attributes = append(attributes, fmt.Sprintf("%+v", *s))
	}
	slices.Sort(attributes)
	return string(text) + strings.Join(attributes, "\n")
}
