// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestPlannedSettings: a setting has the value that it had before tandem. Writes that are due anyway are no changes.
func TestPlannedSettings(t *testing.T) {
	nodest, template := "net/ipv4/vs/expire_nodest_conn", "net/ipv4/vs/expire_quiescent_template"
	have := map[string]string{nodest: "0", template: "1", "net/ipv4/vs/sloppy_tcp": "1"}
	changed := map[string]lvs.ChangedSetting{template: {Former: "0", Ours: "1"}}
	for _, c := range []struct {
		why         string
		before      map[string]string
		after       map[string]string
		file, wants string
	}{
		{"a setting that services need", map[string]string{template: "1"}, map[string]string{template: "1", nodest: "1"}, "", `
none: change net.ipv4.vs.expire_nodest_conn: 0 → 1 — before tandem it was 0
`},
		{"one that is no longer wanted", map[string]string{template: "1"}, nil, "", `
none: change net.ipv4.vs.expire_quiescent_template: 1 → 0 — its value before tandem
`},
		{"one that another program has changed, and that is written anyway", map[string]string{nodest: "1"}, map[string]string{nodest: "1", template: "1"}, "", ``},
		{"one that has its value already", nil, map[string]string{"net/ipv4/vs/sloppy_tcp": "1", template: "1"}, "[lvs.sysctl]\nsloppy_tcp = 1\n", `
none: add net.ipv4.vs.sloppy_tcp: kept at 1 — the kernel has this value already
`},
	} {
		in := situation{role: vrrp.Master}.input(t, inForce, inForce+c.file)
		in.SettingsBefore, in.SettingsAfter = lvs.PlanSettings(have, c.before, changed), lvs.PlanSettings(have, c.after, changed)
		if got, want := lines(Of(in)), strings.TrimPrefix(c.wants, "\n"); got != want {
			t.Errorf("%s: got\n%swant\n%s", c.why, got, want)
		}
	}
}

// TestTargets: new checks of old servers run too, but a check with other times asks nothing new.
func TestTargets(t *testing.T) {
	const exec = "type = \"exec\"\n  command = \"/bin/true\""
	const vip = "type = \"http\"\n  via = \"vip\""
	for _, c := range []struct {
		why     string
		replace []string
		trusted bool
		want    string // server, and why not
	}{
		{"nothing new", nil, true, ""},
		{"other times", []string{`path = "/health"`, "path = \"/health\"\ninterval = \"9s\"\nrise = 4"}, true, ""},
		{"a new server", []string{web2, web2 + web3}, true, "www/192.0.2.13:80: \n"},
		{"another path", []string{`path = "/health"`, `path = "/"`}, true, "www/192.0.2.11:80: \nwww/192.0.2.12:80: \n"},
		{"a program", []string{"type = \"http\"\n  path = \"/health\"", exec}, true, "www/192.0.2.11:80: \nwww/192.0.2.12:80: \n"},
		{"a program in another file", []string{"type = \"http\"\n  path = \"/health\"", exec, web1, ""}, false,
			"www/192.0.2.12:80: programs run only from the director's own file\n"},
		{"through the VIP", []string{"type = \"http\"", vip, web1, ""}, true,
			"www/192.0.2.12:80: its check goes through the VIP, and IPVS leads it there only after the reload\n"},
	} {
		var got strings.Builder
		for _, target := range Targets(parse(t, inForce), parse(t, replaced(t, c.replace...)), c.trusted) {
			fmt.Fprintf(&got, "%s: %s\n", target.ID.Server, target.NotRun)
		}
		if got.String() != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.why, got.String(), c.want)
		}
	}
	many := parse(t, inForce)
	for range MaxProbes {
		srv := many.Services[0].Servers[0]
		srv.Addr = many.Services[0].Servers[len(many.Services[0].Servers)-1].Addr.Next()
		many.Services[0].Servers = append(many.Services[0].Servers, srv)
	}
	few := parse(t, inForce)
	few.Services[0].Servers = few.Services[0].Servers[:1]
	run := 0
	for _, target := range Targets(few, many, true) {
		if target.NotRun == "" {
			run++
		}
	}
	if run != MaxProbes {
		t.Errorf("%d of %d checks run, want %d", run, MaxProbes+1, MaxProbes)
	}
}

// TestEachFieldHasAKey: what a line names is a key of the file.
func TestEachFieldHasAKey(t *testing.T) {
	reference, err := os.ReadFile("../../../../../configs/reference.toml")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"sync.roles": true}
	for _, v := range []any{healthcheck.Config{}, vrrp.Config{}, configs.Service{}, configs.LVS{}, configs.Election{}} {
		for _, key := range allKeys("", reflect.TypeOf(v)) {
			last := key[strings.LastIndex(key, ".")+1:]
			if !known[key] && !bytes.Contains(reference, []byte(last)) {
				t.Errorf("%T: %s is no key of the file", v, key)
			}
		}
	}
}

// allKeys returns the keys of all fields of a struct.
func allKeys(prefix string, of reflect.Type) (all []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		key := prefix + keyOf(f)
		switch name, ok := keys[key]; {
		case !f.IsExported(), slices.Contains([]string{"Virtuals", "Servers", "Sorry", "TrackInterfaces", "VIPInterfaces", "Routes", "Rules"}, f.Name):
		case f.Type.Kind() == reflect.Struct && !isValue(f.Type):
			all = append(all, allKeys(key+".", f.Type)...)
		case ok:
			all = append(all, name)
		default:
			all = append(all, key)
		}
	}
	return all
}

// TestEachSettingIsTold: whatever single value of the reference configuration differs, the plan has a line for it.
func TestEachSettingIsTold(t *testing.T) {
	text, err := os.ReadFile("../../../../../configs/reference.toml")
	if err != nil {
		t.Fatal(err)
	}
	before := parse(t, string(text))
	prospect := func(cfg *configs.Config) core.Prospect { return core.Prospect{Config: cfg, Table: cfg.Entries()} }
	kernel, owned := []lvs.ServiceStatus{}, make(map[lvs.ServiceID]bool)
	for _, e := range before.Entries() {
		row := lvs.ServiceStatus{Service: e.Service}
		for _, srv := range e.Servers {
			row.Servers = append(row.Servers, lvs.ServerStatus{Server: srv})
		}
		kernel, owned[e.ServiceID] = append(kernel, row), true
	}
	after := parse(t, string(text))
	linesOf := func() []api.PlanLine {
		return Of(Input{Before: prospect(before), After: prospect(after), Kernel: kernel, Owned: owned})
	}
	if l := linesOf(); len(l) > 0 {
		t.Fatalf("the same configuration: %s", lines(l))
	}
	// These are not told: what is not a setting of the director, and what core.Rehearsal tells (Input.Fixed).
	// A key is told by its secret, not by its file.
	untold := []string{"File", "SHA256", "Choice", "RealServer", "Warnings", "KeyFiles", "Control.Socket", "State", "Tracks.Router"}
	// These are told if the kernel's table differs: a server of method dr has no tunnel.
	ofTable := []string{"Services.Virtuals", "Services.Servers.Server.Tunnel", "Services.Servers.Mapped", "Services.Method"}
	within := func(name string, all []string) bool {
		return slices.ContainsFunc(all, func(s string) bool { return name == s || strings.HasPrefix(name, s+".") })
	}
	told := 0
	for i := 0; ; i++ {
		n := i
		name, undo := mutate("", reflect.ValueOf(after).Elem(), &n)
		if undo == nil {
			break
		}
		same := within(name, ofTable) && len(lvs.Diff(before.Entries(), after.Entries(), owned)) == 0
		switch {
		case within(name, untold) || same:
		case len(linesOf()) == 0:
			t.Errorf("another %s is not told", name)
		default:
			told++
		}
		undo()
	}
	if l := linesOf(); len(l) > 0 || told < 300 {
		t.Errorf("told %d values: too few to be all; left behind: %s", told, lines(l))
	}
}

// mutate changes the value number n within v, and returns its name. undo is nil if there are fewer values.
func mutate(name string, v reflect.Value, n *int) (is string, undo func()) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "", nil
		}
		return mutate(name, v.Elem(), n)
	case reflect.Slice:
		for i := range v.Len() {
			if is, undo = mutate(name, v.Index(i), n); undo != nil {
				break
			}
		}
		return is, undo
	case reflect.Struct:
		if !isValue(v.Type()) {
			for i := 0; i < v.NumField() && undo == nil; i++ {
				if f := v.Type().Field(i); f.IsExported() {
					is, undo = mutate(strings.TrimPrefix(name+"."+f.Name, "."), v.Field(i), n)
				}
			}
			return is, undo
		}
	}
	if *n--; *n >= 0 {
		return "", nil
	}
	was := reflect.New(v.Type()).Elem()
	was.Set(v)
	switch is := v.Interface().(type) {
	case netip.Addr:
		if v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.77"))); is.Is6() {
			v.Set(reflect.ValueOf(netip.MustParseAddr("2001:db8::77")))
		}
	case netip.Prefix:
		if v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.77/25"))); is.Addr().Is6() {
			v.Set(reflect.ValueOf(netip.MustParsePrefix("2001:db8::77/65")))
		}
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("192.0.2.77:99")))
	case map[netip.Addr]string: // VIPInterfaces
		elsewhere := make(map[netip.Addr]string)
		for _, vip := range []string{"192.0.2.100", "2001:db8::100", "198.51.100.100", "203.0.113.100", "203.0.113.101"} {
			elsewhere[netip.MustParseAddr(vip)] = "eth9"
		}
		v.Set(reflect.ValueOf(elsewhere))
	case map[string]string:
		v.Set(reflect.ValueOf(map[string]string{"sloppy_tcp": "9"}))
	default:
		switch {
		case v.CanInt():
			v.SetInt(v.Int() + 1)
		case v.CanUint():
			v.SetUint(v.Uint() ^ 1)
		case v.CanFloat():
			v.SetFloat(v.Float() + 0.125)
		case v.Kind() == reflect.Bool:
			v.SetBool(!v.Bool())
		case v.Kind() == reflect.String:
			v.SetString(v.String() + "x")
		}
	}
	return name, func() { v.Set(was) }
}
