// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	peermessage "github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
	"github.com/tandem-lvs/tandem/vrrp"
)

// lively returns a configuration of a state with something in nearly each of its fields.
func lively() *configs.Config {
	svc := www(true, lvs.WeightZero)
	svc.DrainTimeout, svc.SlowStart = time.Minute, time.Minute
	third := svc.Servers[1]
	third.Addr = netip.MustParseAddr("192.0.2.13")
	third.Checks = slices.Clone(third.Checks)
	third.Checks[0].Via, third.Method, third.Checks[0].Send = netip.MustParseAddr("192.0.2.100"), lvs.Tunnel, "hello"
	svc.Servers = append(svc.Servers, third)
	script := healthcheck.DefaultConfig(healthcheck.Exec)
	script.Command = []string{"/bin/uplink"}
	cfg := with(svc)
	for _, iface := range []string{"eth0", "eth1"} {
		cfg.Routers = append(cfg.Routers, configs.Router{Config: vrrp.Config{
			Name: "on-" + iface, Interface: iface, VRID: 51, Version: 3, Priority: 150, AdvertInterval: time.Second, SyncGroup: "all",
			VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
		}})
	}
	cfg.Tracks = []configs.Track{
		{Router: "on-eth0", Kind: configs.TrackScript, Name: "script /bin/uplink", Check: &script, Weight: -20},
		{Router: "on-eth1", Kind: configs.TrackService, Name: "service www", Service: "www", Weight: -30},
	}
	return cfg
}

// liven brings a state to the configuration, in steps that leave something in nearly each of its fields.
func liven() *State {
	s := started(lively(), lvs.Entry{
		Service: www(true, lvs.WeightZero).Virtuals[0], Servers: []lvs.Server{{ServerID: lvs.ServerID{Addr: netip.MustParseAddr("192.0.2.14"), Port: 80}, Weight: 1}},
	})
	s.Step(seconds(1), both(up, down)...)
	s.Step(seconds(1), Report{message.Report{Links: map[string]string{"eth0": "", "eth1": ""}, Routers: []vrrp.Status{
		{Name: "on-eth0", Interface: "eth0", State: vrrp.Master, Holding: true}, {Name: "on-eth1", Interface: "eth1", State: vrrp.Master, Holding: true},
	}}})
	s.Step(seconds(2), Verdict{ID: "script /bin/uplink", Status: healthcheck.TargetStatus{Health: up}},
		ServerOrder{Request: 1, Server: first, Action: api.SetWeight, Weight: 9},
		Traffic{[]traffic.Outcome{{
			Client: netip.MustParseAddr("198.51.100.1"), Virtual: netip.MustParseAddrPort("192.0.2.100:80"),
			Server: netip.MustParseAddrPort("192.0.2.11:80"), Start: seconds(1), State: traffic.Answered,
		}}},
		TableDone{Generation: s.generation})
	return s
}

// other returns what the state is reloaded with: a server less, another check, another track.
func other() *configs.Config {
	cfg := lively()
	cfg.Services[0].Servers = cfg.Services[0].Servers[1:]
	cfg.Services[0].Servers[0].Checks[0].Fall = 7
	cfg.Tracks = cfg.Tracks[:1]
	return cfg
}

// TestARehearsalIsTheReload: a rehearsal wants what a reload makes the state want, and leaves no trace in the state.
func TestARehearsalIsTheReload(t *testing.T) {
	s, untouched := liven(), liven()
	r, err := s.Rehearse(seconds(3))
	if err != nil {
		t.Fatal(err)
	}
	after, fixed := r.Reload(other(), nil, nil, TableRead{})
	if !reflect.DeepEqual(s, untouched) {
		t.Errorf("the rehearsal has changed the state:\n%+v\nwant\n%+v", s, untouched)
	}
	if before := untouched.prospect(); !reflect.DeepEqual(r.Before(), before) {
		t.Errorf("before: %+v, want %+v", r.Before(), before)
	}
	untouched.Step(seconds(3), Reload{Config: other()})
	if want := untouched.prospect(); !reflect.DeepEqual(after, want) || len(fixed) > 0 {
		t.Errorf("after: %+v, %v, want %+v", after, fixed, want)
	}
	if reflect.DeepEqual(after, r.Before()) || len(after.Draining) == 0 || len(after.Marks) == 0 || len(after.Overrides) != 0 || len(r.Before().Overrides) != 1 {
		t.Errorf("the reload changes too little to prove anything: %+v, %+v", r.Before(), after)
	}
}

// TestARehearsalOfTheSameFileChangesNothing.
func TestARehearsalOfTheSameFileChangesNothing(t *testing.T) {
	r, err := liven().Rehearse(seconds(3))
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := r.Reload(lively(), nil, nil, TableRead{}); !reflect.DeepEqual(after, r.Before()) {
		t.Errorf("got\n%+v, want\n%+v", after, r.Before())
	}
}

// TestARehearsalSharesNothing: the race detector finds what a rehearsal and the state both use.
func TestARehearsalSharesNothing(t *testing.T) {
	s := liven()
	r, err := s.Rehearse(seconds(3))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { r.Reload(other(), nil, nil, TableRead{}) })
	s.Step(seconds(3), append(both(down, up), Verdict{ID: "script /bin/uplink", Status: healthcheck.TargetStatus{Health: down}},
		Report{message.Report{Routers: []vrrp.Status{{Name: "on-eth0", Interface: "eth0", State: vrrp.Backup}}}},
		ServerOrder{Request: 2, Server: second, Action: api.Drain})...)
	s.Step(seconds(4), Reload{Config: other()})
	group.Wait()
}

func TestARehearsalNamesWhatCannotChange(t *testing.T) {
	r, err := liven().Rehearse(seconds(3))
	if err != nil {
		t.Fatal(err)
	}
	cfg := other()
	cfg.Control.Socket, cfg.State.Dir, cfg.Log.Format, cfg.Election.Realtime = "/run/elsewhere.sock", "/elsewhere", "json", true
	after, fixed := r.Reload(cfg, nil, nil, TableRead{})
	want := []FixedSetting{
		{"control.socket", "", "/run/elsewhere.sock"}, {"state.dir", "", "/elsewhere"}, {"log.format", "", "json"}, {"election.realtime", "false", "true"},
	}
	if !slices.Equal(fixed, want) {
		t.Errorf("fixed %v, want %v", fixed, want)
	}
	if after.Config.Control.Socket != "" || cfg.Control.Socket == "" || len(after.Draining) == 0 {
		t.Errorf("the rest is not rehearsed: %+v", after)
	}
	if _, err := New().Rehearse(noon); !errors.Is(err, ErrStarting) {
		t.Errorf("before the kernel's table is read: %v", err)
	}
}

// neverChanged are the parts of a State that a rehearsal may share with it: they are replaced as a whole, or never change.
var neverChanged = []string{
	".asked", ".cfg", ".draining", ".drains.Graces", ".drains.Leaving", ".maintenance", ".marks", ".overrides", ".probes", ".roles",
	".services[].servers[].checkIDs", ".services[].tracks", ".tracking",
}

// TestWhatARehearsalShares: every map, pointer and list of a State is copied, emptied, or known to be replaced as a whole.
func TestWhatARehearsalShares(t *testing.T) {
	s := liven()
	s.witnesses[witnessOwner{router: "on-eth0"}] = witnessState{lost: true}
	s.fencings["on-eth0"] = &fencing{running: map[uint64]hooks.Run{1: {}}}
	s.fenceRuns = []hooks.Run{{}}
	s.services[0].servers[1].leader = s.services[0].servers[0]
	s.peer = peerState{
		view: &peermessage.View{}, orders: map[string]peermessage.Order{"x": {}}, servers: map[string]serverPlace{"x": {}},
		unknown: map[string]uint64{"x": 1}, drift: []Difference{{}},
	}
	s.maintenance = Maintenance{"/x": true}
	r, err := s.Rehearse(seconds(3))
	if err != nil {
		t.Fatal(err)
	}
	if r.copied.services[0].servers[1].leader != r.copied.services[0].servers[0] {
		t.Error("a server of the copy does not follow the copy of its leader")
	}
	got := sharedParts("", reflect.ValueOf(s).Elem(), reflect.ValueOf(r.copied).Elem())
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, neverChanged) {
		t.Errorf("shared are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(neverChanged, "\n"))
	}
}

// sharedParts names the maps, pointers and lists that two values of one type share. It looks into the types of this package only.
func sharedParts(path string, a, b reflect.Value) (all []string) {
	switch a.Kind() {
	case reflect.Struct:
		if a.Type().PkgPath() != reflect.TypeFor[State]().PkgPath() {
			return nil
		}
		for i := range a.NumField() {
			if a.Type().Field(i).Name == "leader" {
				continue // it is one of the servers
			}
			all = append(all, sharedParts(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))...)
		}
	case reflect.Map, reflect.Slice, reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return nil
		}
		if a.Pointer() == b.Pointer() {
			if a.Kind() != reflect.Pointer && a.Len() == 0 {
				return nil
			}
			return []string{path}
		}
		switch a.Kind() {
		case reflect.Map:
			for _, key := range a.MapKeys() {
				if other := b.MapIndex(key); other.IsValid() {
					all = append(all, sharedParts(path+"[]", a.MapIndex(key), other)...)
				}
			}
		case reflect.Slice:
			for i := range min(a.Len(), b.Len()) {
				all = append(all, sharedParts(path+"[]", a.Index(i), b.Index(i))...)
			}
		default:
			all = sharedParts(path, a.Elem(), b.Elem())
		}
	}
	return all
}
