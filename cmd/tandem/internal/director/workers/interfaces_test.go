// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

// plainARP are the settings of two interfaces as the kernel makes them.
func plainARP() map[string]string {
	return map[string]string{
		"eth0/arp_ignore": "0", "eth0/arp_announce": "0", "eth1/arp_ignore": "0", "eth1/arp_announce": "0", "all/rp_filter": "0",
	}
}

// virtualMACs returns a configuration with a virtual MAC on each of the interfaces.
func virtualMACs(t *testing.T, links ...string) *configs.Config {
	t.Helper()
	text := "name = \"lb1\"\n"
	for n, link := range links {
		text += fmt.Sprintf("[[vrrp]]\nname = \"r%d\"\ninterface = %q\nvrid = %d\nvips = [\"192.0.2.%d/24\"]\nvirtual_mac = true\n", n, link, n+1, n+100)
	}
	cfg, err := configs.Parse("t.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// apply makes the settings of a configuration, after it has planned them. It checks that the plan is what is done.
func (m machine) apply(i *Interfaces, cfg *configs.Config, complete bool) {
	m.t.Helper()
	plan, err := i.Plan(cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	is, err := i.Apply(cfg)
	if err != nil || is != complete {
		m.t.Errorf("complete: %t, want %t: %v", is, complete, err)
	}
	for _, c := range append(plan.Set, plan.Restore...) {
		if now, err := i.Settings.Read(c.Path); err != nil || now != c.New {
			m.t.Errorf("planned %s, and it is %s: %v", c, now, err)
		}
	}
}

func (m machine) wantARP(when, eth0, eth1 string) {
	m.t.Helper()
	got := m.show("eth0/arp_ignore", "eth0/arp_announce", "eth1/arp_ignore", "eth1/arp_announce")
	want := fmt.Sprintf("eth0/arp_ignore=%c eth0/arp_announce=%c eth1/arp_ignore=%c eth1/arp_announce=%c", eth0[0], eth0[1], eth1[0], eth1[1])
	if got != want {
		m.t.Errorf("%s: %s, want %s", when, got, want)
	}
}

// TestLowerInterfacesAreRestored: the lower interface of virtual MACs gets its ARP settings once, and gets its former ones back when
// the director ends: not before, as a virtual MAC that a reload removes is there until another master has taken over.
func TestLowerInterfacesAreRestored(t *testing.T) {
	m := newMachine(t, plainARP())
	i := &Interfaces{Settings: m.start()}
	m.apply(i, virtualMACs(t), true)
	m.wantARP("without a virtual MAC", "00", "00")
	m.apply(i, virtualMACs(t, "eth0", "eth0"), true)
	m.wantARP("with two on one interface", "12", "00")
	m.apply(i, virtualMACs(t, "eth0"), true)
	m.wantARP("with one of them", "12", "00")
	m.apply(i, virtualMACs(t, "eth1"), true)
	m.wantARP("with one on another interface", "12", "12")
	m.set("eth1/arp_ignore", "0")
	m.apply(i, virtualMACs(t), true)
	m.wantARP("after the last was removed, and one was made anew", "12", "12")
	if err := i.Settings.Restore(); err != nil {
		t.Error(err)
	}
	m.wantARP("at the end", "00", "00")
}

// TestLowerInterfacesSurviveACrash: directors were killed, so that the settings stayed. The next director restores them, also if it
// needs the same ones itself, or needs none.
func TestLowerInterfacesSurviveACrash(t *testing.T) {
	m := newMachine(t, plainARP())
	for range 2 {
		m.apply(&Interfaces{Settings: m.start()}, virtualMACs(t, "eth0", "eth1"), true)
		m.wantARP("with virtual MACs", "12", "12")
	}
	if err := m.start().Restore(); err != nil { // tandem cleanup
		t.Error(err)
	}
	m.wantARP("after a cleanup", "00", "00")
	m.apply(&Interfaces{Settings: m.start()}, virtualMACs(t, "eth0"), true)
	m.apply(&Interfaces{Settings: m.start()}, virtualMACs(t), true)
	m.wantARP("after a start with another configuration", "00", "00")
}

// TestLowerInterfacesOfOthers: a stricter setting stays, also if it comes later. An interface that is missing is prepared when it is there.
func TestLowerInterfacesOfOthers(t *testing.T) {
	m := newMachine(t, plainARP())
	m.set("eth0/arp_ignore", "2")
	i := &Interfaces{Settings: m.start()}
	m.apply(i, virtualMACs(t, "eth0", "eth1"), true)
	m.wantARP("with a stricter setting", "22", "12")
	m.set("eth1/arp_ignore", "8")
	m.apply(i, virtualMACs(t, "eth0", "eth1"), true)
	m.wantARP("with another that comes later", "22", "82")
	if err := i.Settings.Restore(); err != nil {
		t.Error(err)
	}
	m.wantARP("at the end", "20", "80")

	i = &Interfaces{Settings: m.start()}
	m.apply(i, virtualMACs(t, "eth2"), false)
	m.set("eth2/arp_ignore", "0")
	m.set("eth2/arp_announce", "0")
	m.apply(i, virtualMACs(t, "eth2"), true)
	if got := m.show("eth2/arp_ignore", "eth2/arp_announce"); got != "eth2/arp_ignore=1 eth2/arp_announce=2" {
		t.Errorf("an interface that was missing has %s", got)
	}
	if err := os.RemoveAll(filepath.Join(m.root, "net/ipv4/conf/eth2")); err != nil {
		t.Fatal(err)
	}
	m.apply(i, virtualMACs(t, "eth2"), false)
	m.apply(i, virtualMACs(t), true)
	if err := i.Settings.Restore(); err != nil || len(i.Settings.Changed()) != 0 {
		t.Errorf("an interface that has gone: %v, %v", err, i.Settings.Changed())
	}
}
