// SPDX-License-Identifier: Apache-2.0

package address

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

// arpOf returns the ARP settings of an interface.
func arpOf(t *testing.T, ns *nstest.NS, iface string) (text string) {
	t.Helper()
	nstest.Command(t, ns, func() error {
		for _, s := range ParentSysctls() {
			b, err := os.ReadFile(filepath.Join(procSys, s.Path(iface)))
			if err != nil {
				return err
			}
			text += strings.TrimSpace(string(b))
		}
		return nil
	})
	return text
}

// TestParentIsPreparedByAnotherProcess: a virtual MAC interface comes up when another process has made the settings of its parent, which
// remembers the former ones. Later they are made at once, as on a parent that was made anew.
func TestParentIsPreparedByAnotherProcess(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	set := func(ignore, announce string) {
		nstest.Command(t, ns, nstest.SetSysctl("ipv4/conf/eth0/arp_ignore", ignore))
		nstest.Command(t, ns, nstest.SetSysctl("ipv4/conf/eth0/arp_announce", announce))
	}
	set("0", "0")
	rc := New("vrrp.51", Options{
		Log: hclog.NewNullLogger(), MAC: vrrp.VirtualMAC{Parent: "eth0", VRID: 51}, Prepare: time.Minute,
	})
	own := vips("192.0.2.100/24")
	rc.Set(own, Resources{})
	if err := checkOnce(ns, rc); err != nil {
		t.Fatal(err)
	}
	if got := arpOf(t, ns, "eth0"); got != "00" || !down(stateOf(t, ns, "vrrp.51")) {
		t.Errorf("as backup: %s", got)
	}
	rc.Set(own, own)
	done := make(chan error, 1)
	go func() { done <- checkOnce(ns, rc) }()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(20 * preparePoll):
	}
	if got := arpOf(t, ns, "eth0"); got != "00" || !down(stateOf(t, ns, "vrrp.51")) {
		t.Errorf("before it was prepared: %s", got)
	}
	set("2", "2") // stricter than it needs
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := arpOf(t, ns, "eth0"); got != "22" || !up(stateOf(t, ns, "vrrp.51")) {
		t.Errorf("after it was prepared: %s", got)
	}
	nstest.Command(t, ns, nstest.Device("vrrp.51", netlink.LinkDel))
	set("0", "0")
	if err := checkOnce(ns, rc); err != nil {
		t.Fatal(err)
	}
	if got := arpOf(t, ns, "eth0"); got != "12" || !up(stateOf(t, ns, "vrrp.51")) {
		t.Errorf("after it was made anew: %s", got)
	}
}

// TestParentIsPreparedByNobody: after the time for another process, the VIP comes all the same.
func TestParentIsPreparedByNobody(t *testing.T) {
	ns, peer := nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "eth0", peer, "peer0")
	nstest.Command(t, ns, nstest.SetSysctl("ipv4/conf/eth0/arp_ignore", "0"))
	var lines strings.Builder
	rc := New("vrrp.51", Options{
		Log: hclog.New(&hclog.LoggerOptions{Output: &lines}), MAC: vrrp.VirtualMAC{Parent: "eth0", VRID: 51}, Prepare: 3 * preparePoll,
	})
	own := vips("192.0.2.100/24")
	rc.Set(own, own)
	if err := checkOnce(ns, rc); err != nil {
		t.Fatal(err)
	}
	if got := arpOf(t, ns, "eth0"); got != "12" || !up(stateOf(t, ns, "vrrp.51")) || !strings.Contains(lines.String(), "is not prepared by the director") {
		t.Errorf("%s, and the log says %s", got, lines.String())
	}
}
