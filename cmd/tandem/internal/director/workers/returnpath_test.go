// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// A machine is a directory that stands for /proc/sys, and a state directory.
type machine struct {
	t           *testing.T
	root, state string
}

func newMachine(t *testing.T, settings map[string]string) machine {
	m := machine{t, t.TempDir(), filepath.Join(t.TempDir(), "ingress.json")}
	for path, value := range settings {
		m.set(path, value)
	}
	return m
}

func (m machine) set(path, value string) {
	m.t.Helper()
	file := filepath.Join(m.root, "net/ipv4/conf", path)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(value+"\n"), 0o644)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// show writes the settings as "eth0/accept_local=1 eth0/rp_filter=2".
func (m machine) show(paths ...string) string {
	m.t.Helper()
	var all []string
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(m.root, "net/ipv4/conf", path))
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, path+"="+strings.TrimSpace(string(text)))
	}
	return strings.Join(all, " ")
}

// start returns the settings of a director that starts there.
func (m machine) start() *kernel.Settings {
	m.t.Helper()
	settings, err := kernel.OpenSettingsBelow(m.root, state.New[map[string]lvs.ChangedSetting](m.state, state.Options{}), hclog.NewNullLogger())
	if err != nil {
		m.t.Fatal(err)
	}
	return settings
}

// bring makes the settings that interfaces need.
func (m machine) bring(settings *kernel.Settings, interfaces ...returnInterface) {
	m.t.Helper()
	want, err := wantedSettings(interfaces, settings.Former)
	if err == nil {
		_, err = settings.Keep(want)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// usual returns the settings of an unchanged machine, with the given rp_filter for all interfaces.
func usual(all string) map[string]string {
	return map[string]string{
		"all/rp_filter": all, "eth0/rp_filter": "0", "eth0/accept_local": "0", "eth1/rp_filter": "1", "eth1/accept_local": "1",
	}
}

func TestReturnPathSettings(t *testing.T) {
	near, far := returnInterface{"eth0", false}, returnInterface{"eth0", true}
	for _, c := range []struct {
		why, all   string
		interfaces []returnInterface
		want       string
	}{
		{"nothing to check", "1", nil, "eth0/accept_local=0 eth0/rp_filter=0"},
		{"the VIP is on the interface", "1", []returnInterface{near}, "eth0/accept_local=1 eth0/rp_filter=0"},
		{"on another, strict for all", "1", []returnInterface{far}, "eth0/accept_local=1 eth0/rp_filter=2"},
		{"on another, loose for all", "2", []returnInterface{far}, "eth0/accept_local=1 eth0/rp_filter=0"},
		{"on another, unfiltered", "0", []returnInterface{far}, "eth0/accept_local=1 eth0/rp_filter=0"},
		{"two VIPs", "1", []returnInterface{near, far}, "eth0/accept_local=1 eth0/rp_filter=2"},
	} {
		m := newMachine(t, usual(c.all))
		before := m.show(slices.Sorted(maps.Keys(usual(c.all)))...)
		g := m.start()
		for range 2 { // the second time the settings are there already
			m.bring(g, c.interfaces...)
			if got := m.show("eth0/accept_local", "eth0/rp_filter"); got != c.want {
				t.Errorf("%s: got %s, want %s", c.why, got, c.want)
			}
		}
		if err := g.Restore(); err != nil {
			t.Error(err)
		}
		if got := m.show(slices.Sorted(maps.Keys(usual(c.all)))...); got != before {
			t.Errorf("%s: afterwards %s, was %s", c.why, got, before)
		}
	}
}

// A director was killed, and its settings stayed in the kernel. The next director restores them, even if it needs the same
// settings itself.
func TestReturnPathSurvivesACrash(t *testing.T) {
	m := newMachine(t, usual("1"))
	m.bring(m.start(), returnInterface{"eth0", true})
	second := m.start()
	m.bring(second, returnInterface{"eth0", true})
	if err := second.Restore(); err != nil {
		t.Error(err)
	}
	if got := m.show("eth0/accept_local", "eth0/rp_filter"); got != "eth0/accept_local=0 eth0/rp_filter=0" {
		t.Errorf("after a crash and a stop: %s", got)
	}
	m.bring(m.start(), returnInterface{"eth0", false})
	m.bring(m.start())
	if got := m.show("eth0/accept_local"); got != "eth0/accept_local=0" {
		t.Errorf("after a crash and a start with another configuration: %s", got)
	}
}

// A setting that was right before stays, and so does a setting that another program has changed meanwhile.
func TestReturnPathLeavesOthersAlone(t *testing.T) {
	m := newMachine(t, usual("0"))
	g := m.start()
	m.bring(g, returnInterface{"eth1", true}) // has accept_local already
	m.set("eth1/rp_filter", "0")
	if err := g.Restore(); err != nil {
		t.Error(err)
	}
	if got := m.show("eth1/accept_local", "eth1/rp_filter"); got != "eth1/accept_local=1 eth1/rp_filter=0" {
		t.Errorf("got %s", got)
	}
	// A removed interface is forgotten.
	m.bring(g, returnInterface{"eth0", false})
	if err := os.RemoveAll(filepath.Join(m.root, "net/ipv4/conf/eth0")); err != nil {
		t.Fatal(err)
	}
	if err := g.Restore(); err != nil || len(g.Changed()) != 0 {
		t.Errorf("%v: %v", err, g.Changed())
	}
	if _, err := wantedSettings([]returnInterface{{"eth0", true}}, g.Former); err == nil {
		t.Error("an interface that has gone has a filter")
	}
	if got := fmt.Sprint(m.start().Changed()); got != "map[]" {
		t.Errorf("the file says %s", got)
	}
}
