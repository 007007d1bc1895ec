// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
)

const lb1File = `name = "lb1"
[lvs]
sync = { interface = "eth1", id = 7 }
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
priority = 150
vips = ["192.0.2.100/24", "192.0.2.101/24"]
unicast_peers = ["192.0.2.3"]
unicast_source = "192.0.2.2"
[[service]]
name = "www"
virtual = "192.0.2.100:80"
scheduler = "wrr"
  [service.check]
  type = "tcp"
  source = "192.0.2.2"
  [[service.server]]
  address = "192.0.2.11"
  weight = 3
  [[service.server]]
  address = "192.0.2.12"
`

// ofLB2 makes the configuration of the second director from that of the first one.
var ofLB2 = strings.NewReplacer(`"lb1"`, `"lb2"`, "priority = 150", "priority = 100", `"192.0.2.2"`, `"192.0.2.3"`, `["192.0.2.3"]`, `["192.0.2.2"]`)

// pairOf reads the configurations of two directors. The replacements are made in that of the second one.
func pairOf(t *testing.T, replacements ...string) (a, b *configs.Config) {
	t.Helper()
	return parse(t, lb1File), parse(t, strings.NewReplacer(replacements...).Replace(ofLB2.Replace(lb1File)))
}

// TestPair: what differs and must not, and what must differ and does not, is said in words. Wrong begins with an exclamation mark.
func TestPair(t *testing.T) {
	hmac := func(mode, rest string) string { return "vrid = 51\nhmac = { mode = \"" + mode + "\", " + rest + " }" }
	const key = `key = [{ id = 1, file = "/k" }]`
	for _, tt := range []struct {
		name         string
		replacements []string
		want         []string
	}{
		{"a pair", nil, nil},
		{"own interfaces, delays and tracks", []string{`"eth0"`, `"ens3"`, `"eth1"`, `"ens4"`, "vrid = 51", "vrid = 51\npreempt_delay = \"5s\"\ntrack = [{ interface = \"ens4\" }]"}, nil},
		{"VIPs in another order", []string{`["192.0.2.100/24", "192.0.2.101/24"]`, `["192.0.2.101/24", "192.0.2.100/24"]`}, nil},
		{"vrid", []string{"vrid = 51", "vrid = 52"}, []string{"! virtual router web: vrid is 51 in lb1 and 52 in lb2"}},
		{"another name of the router", []string{`"web"`, `"front"`}, nil},
		{"interval", []string{"vrid = 51", "vrid = 51\nadvert_interval = \"100ms\""}, []string{"! virtual router web: advert_interval is 1s in lb1 and 100ms in lb2"}},
		{"version and password", []string{"vrid = 51", "vrid = 51\nversion = 2\nauth_pass = \"hidden\""},
			[]string{"! virtual router web: version is 3 in lb1 and 2 in lb2", "! virtual router web: auth_pass differs between lb1 and lb2"}},
		{"VIPs", []string{`, "192.0.2.101/24"`, ""}, []string{"! virtual router web: vips is [192.0.2.100/24, 192.0.2.101/24] in lb1 and [192.0.2.100/24] in lb2"}},
		{"virtual MAC", []string{"vrid = 51", "vrid = 51\nvirtual_mac = true"}, []string{"! virtual router web: virtual_mac is false in lb1 and true in lb2"}},
		{"preempt", []string{"vrid = 51", "vrid = 51\npreempt = false"}, []string{"virtual router web: preempt is true in lb1 and false in lb2"}},
		{"priority", []string{"priority = 100", "priority = 150"}, []string{"virtual router web: both directors have priority 150: "}},
		{"name", []string{`"lb2"`, `"lb1"`, "vrid = 51", "vrid = 52"},
			[]string{`! both directors have the name "lb1"`, "! virtual router web: vrid is 51 in t.toml and 52 in t.toml"}},
		{"a router more", []string{"[[service]]", "[[vrrp]]\ninterface = \"eth1\"\nvrid = 9\nvips = [\"203.0.113.1\"]\n[[service]]"},
			[]string{"! virtual router eth1-9 is in lb2 only: "}},
		{"the same file on both", []string{"priority = 100", "priority = 150", `"192.0.2.3"`, `"192.0.2.2"`, `["192.0.2.2"]`, `["192.0.2.3"]`}, []string{
			"virtual router web: both directors have priority 150: ",
			"! virtual router web: both directors have unicast_peers [192.0.2.3]: each needs the address of the other",
			"! virtual router web: both directors send from 192.0.2.2: each needs its own address (source, unicast_source)"}},
		{"multicast", []string{"unicast_peers = [\"192.0.2.2\"]\nunicast_source = \"192.0.2.3\"\n", ""},
			[]string{"! virtual router web: unicast_peers is [192.0.2.3] in lb1 and [] in lb2"}},
		{"a path more", []string{"vrid = 51", "vrid = 51\nheartbeat = [\"eth2\"]"},
			[]string{"! virtual router web: heartbeat is [] in lb1 and [eth2] in lb2"}},
		{"another source", []string{`source = "192.0.2.3"`, `source = "192.0.2.4"`}, []string{"! virtual router web: lb2 sends from 192.0.2.4, which is not in unicast_peers of lb1"}},
		{"signed and enforced", []string{"vrid = 51", hmac("enforce", key)}, []string{
			"! virtual router web: lb2 accepts only signed advertisements, and lb1 does not sign",
			"! virtual router web: lb2 signs its advertisements, and lb1 has no hmac: it drops them"}},
		{"keys are introduced", []string{"vrid = 51", hmac("receive-only", key)}, nil},
		{"sync id", []string{"id = 7", "id = 8"}, []string{"! lvs.sync: id is 7 in lb1 and 8 in lb2"}},
		{"no sync", []string{`sync = { interface = "eth1", id = 7 }`, ""}, []string{"! lvs.sync is in lb1 only: connections are not copied to the other director"}},
		{"service", []string{`"www"`, `"web"`}, []string{
			"! service www is in lb1 only: its clients are refused while lb2 is master",
			"! service web is in lb2 only: its clients are refused while lb1 is master"}},
		{"virtual", []string{"100:80", "100:81"}, []string{"! service www: virtual is [tcp 192.0.2.100:80] in lb1 and [tcp 192.0.2.100:81] in lb2",
			"! service www: server 192.0.2.11:80 is in lb1 only", "! service www: server 192.0.2.12:80 is in lb1 only",
			"! service www: server 192.0.2.11:81 is in lb2 only", "! service www: server 192.0.2.12:81 is in lb2 only"}},
		{"server", []string{"192.0.2.12", "192.0.2.13"}, []string{"! service www: server 192.0.2.12:80 is in lb1 only", "! service www: server 192.0.2.13:80 is in lb2 only"}},
		{"scheduler and weight", []string{"wrr", "rr", "weight = 3", "weight = 4"}, []string{
			`service www: scheduler is "wrr" in lb1 and "rr" in lb2`, "service www: server 192.0.2.11:80: weight is 3 in lb1 and 4 in lb2"}},
		{"check", []string{`type = "tcp"`, `type = "http"`}, []string{
			"service www: server 192.0.2.11:80: its checks differ between lb1 and lb2", "service www: server 192.0.2.12:80: its checks differ between lb1 and lb2"}},
		{"a channel on one side", []string{"[lvs]", peerTable + "[lvs]"}, []string{"[peer] is in lb2 only: the channel needs it in lb1 too"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := pairOf(t, tt.replacements...)
			got := differences(a, b)
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) || strings.Contains(strings.Join(got, ""), "hidden") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if back := differences(b, a); len(back) != len(got) {
				t.Errorf("the other way round\n%s", strings.Join(back, "\n"))
			}
		})
	}
}

func differences(a, b *configs.Config) []string { return texts(Pair(a, b)) }

// texts writes differences; "!" stands before one that is wrong.
func texts(differences []core.Difference) (all []string) {
	for _, d := range differences {
		text := d.Text
		if d.Wrong {
			text = "! " + text
		}
		all = append(all, text)
	}
	return all
}

// TestEachSettingIsCompared: whatever single value of a service or virtual router differs is told, unless each director may have
// its own.
func TestEachSettingIsCompared(t *testing.T) {
	text, err := os.ReadFile("../../../../../configs/reference.toml")
	if err != nil {
		t.Fatal(err)
	}
	a, b := parse(t, string(text)), parse(t, strings.NewReplacer(`name = "lb1"`, `name = "lb2"`, "director.lb1", "director.lb2").Replace(string(text)))
	usual := len(differences(a, b)) // equal priorities and addresses
	free := append(slices.Clone(own), "Announce")
	for _, told := range []string{"Priority", "Preempt", "VIPs", "ExcludedVIPs", "NoPrefixRoute", "Checksum", "UnicastPeers"} {
		free = slices.DeleteFunc(free, func(name string) bool { return name == told })
	}
	free = append(free, "Checks.Source", "Checks.Mark", "TTL", "Roles")
	compared := 0
	for _, part := range []any{&b.Routers, &b.LVS.Sync, &b.Services} {
		for i := 0; ; i++ {
			n := i
			name, undo := mutate("", reflect.ValueOf(part).Elem(), &n)
			if undo == nil {
				break
			}
			mine := slices.ContainsFunc(free, func(f string) bool { return strings.Contains("."+name+".", "."+f+".") }) ||
				name == "Method" || strings.Contains(name, ".Tunnel.") // the servers have their own; those of method dr have no tunnel
			if is := differences(a, b); len(is) == usual && !mine {
				t.Errorf("another %s is not told", name)
			}
			compared++
			undo()
		}
	}
	if compared < 200 {
		t.Errorf("compared %d values: too few to be all", compared)
	}
}

// TestWebPagesOfAPair: an address that was copied from one file to the other is said. All other settings of the page are each director's own.
func TestWebPagesOfAPair(t *testing.T) {
	const want = "web: listen is 10.0.0.1:9106 in lb1 and in lb2: only one machine has that address; each needs its own"
	for _, c := range []struct{ a, b, want string }{
		{"10.0.0.1:9106", "10.0.0.1:9106", want}, {"10.0.0.1:9106", "10.0.0.2:9106", ""}, {"10.0.0.1:9106", "", ""}, {"", "", ""},
		{":9106", ":9106", ""}, {"[::]:9106", "[::]:9106", ""}, {"127.0.0.1:9106", "127.0.0.1:9106", ""}, {"lb:9106", "lb:9106", ""},
	} {
		a, b := &configs.Config{Name: "lb1", Web: configs.Web{Listen: c.a}}, &configs.Config{Name: "lb2", Web: configs.Web{Listen: c.b, Hosts: []string{"x.y"}}}
		if got := fmt.Sprint(Pair(a, b)); c.want == "" && got != "[]" || !strings.Contains(got, c.want) {
			t.Errorf("%q and %q: %s", c.a, c.b, got)
		}
	}
}

const peerTable = `[peer]
address = "10.0.0.2:8474"
key = "hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
`

// TestScheduledDrillsDiffer: another schedule on the other director is said.
func TestScheduledDrillsDiffer(t *testing.T) {
	a, b := &configs.Config{Name: "lb1"}, &configs.Config{Name: "lb2"}
	a.Drill = configs.Drill{Schedule: "Sun 04:00", Kinds: []string{"failover"}, Budget: time.Second, Window: time.Hour}
	if b.Drill = a.Drill; len(Pair(a, b)) > 0 {
		t.Errorf("equal ones: %v", Pair(a, b))
	}
	for i, want := range []string{"schedule is", "kinds is", "budget is 1s in lb1 and 2s in lb2", "window is 1h in lb1 and 2h in lb2"} {
		b.Drill = a.Drill
		switch i {
		case 0:
			b.Drill.Schedule = "Mon 04:00"
		case 1:
			b.Drill.Kinds = []string{"freeze"}
		case 2:
			b.Drill.Budget *= 2
		case 3:
			b.Drill.Window *= 2
		}
		if is := Pair(a, b); len(is) != 1 || !strings.Contains(is[0].Text, "drill: "+want) || is[0].Wrong {
			t.Errorf("%v, want %s", is, want)
		}
	}
}

// TestBothEndsOfTheChannel: what keeps the channel from working is said, and the key is not shown.
func TestBothEndsOfTheChannel(t *testing.T) {
	other := strings.Replace(peerTable, "10.0.0.2", "10.0.0.1", 1)
	for _, tt := range []struct{ name, is, want string }{
		{"it fits", other, ""},
		{"the same file", peerTable, "! peer: both directors have the address 10.0.0.2:8474: each needs that of the other"},
		{"another key", strings.Replace(other, "0011", "1100", 1), "! peer: key differs between lb1 and lb2: both need the same file"},
		{"certificates", other + "tls_cert = \"/c\"\ntls_key = \"/k\"\ntls_ca = \"/a\"\n", "! peer: only lb2 has certificates (tls_cert): both need them, or none"},
		{"a configuration", other + "accept_config = true\n",
			"peer: accept_config is false in lb1 and true in lb2: tandem apply FILE --pair works from one side only"},
		{"another port", other + "listen = \":99\"\n", "! peer: lb1 connects to port 8474, and lb2 listens on :99"},
	} {
		a, b := parse(t, peerTable+lb1File[len("name = \"lb1\"\n"):]), parse(t, tt.is+ofLB2.Replace(lb1File)[len("name = \"lb2\"\n"):])
		a.Name, b.Name = "lb1", "lb2"
		got := strings.Join(differences(a, b), "\n")
		if got != tt.want || strings.Contains(got, "2233") {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
