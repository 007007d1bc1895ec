// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
)

// drift compares two directors as the channel does: the facts of the second one are written and read.
func drift(t *testing.T, a, b *configs.Config) []string {
	t.Helper()
	octets, err := message.Encode(message.Message{Kind: message.KindFacts, Facts: Facts(b)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := message.Decode(octets[4:])
	if err != nil {
		t.Fatal(err)
	}
	return texts(Drift(Facts(a), m.Facts, m.Facts.Name))
}

// TestDrift: what differs on the other director is said in words, and no secret is shown.
func TestDrift(t *testing.T) {
	const key = `key = [{ id = 1, file = "/k" }]`
	for _, tt := range []struct {
		name         string
		replacements []string
		want         []string
	}{
		{"a pair", nil, nil},
		{"own interfaces and delays", []string{`"eth0"`, `"ens3"`, `"eth1"`, `"ens4"`, "vrid = 51", "vrid = 51\npreempt_delay = \"5s\""}, nil},
		{"VIPs in another order", []string{`["192.0.2.100/24", "192.0.2.101/24"]`, `["192.0.2.101/24", "192.0.2.100/24"]`}, nil},
		{"interval", []string{"vrid = 51", "vrid = 51\nadvert_interval = \"100ms\""}, []string{"! virtual router web: lb2 has advert_interval 100ms, here 1s"}},
		{"version and password", []string{"vrid = 51", "vrid = 51\nversion = 2\nauth_pass = \"hidden\""},
			[]string{"! virtual router web: lb2 has version 2, here 3", "! virtual router web: auth_pass differs between lb2 and this director"}},
		{"preempt", []string{"vrid = 51", "vrid = 51\npreempt = false"}, []string{"virtual router web: lb2 has preempt false, here true"}},
		{"priority", []string{"priority = 100", "priority = 150"}, []string{"virtual router web: both directors have priority 150: "}},
		{"another router", []string{`"web"`, `"front"`}, []string{
			"! virtual router web is configured on this director, and not on lb2", "! virtual router front is configured on lb2, and not here"}},
		{"multicast", []string{"unicast_peers = [\"192.0.2.2\"]\nunicast_source = \"192.0.2.3\"\n", ""}, []string{"! virtual router web: one director has unicast_peers"}},
		{"signed", []string{"vrid = 51", "vrid = 51\nhmac = { " + key + " }"}, []string{"! virtual router web: lb2 signs with key 1, which this director does not have"}},
		{"keys are introduced", []string{"vrid = 51", "vrid = 51\nhmac = { mode = \"receive-only\", " + key + " }"}, nil},
		{"sync", []string{"id = 7", "id = 8"}, []string{"! lvs.sync: lb2 has id 8, here 7"}},
		{"no sync", []string{`sync = { interface = "eth1", id = 7 }`, ""}, []string{"! lvs.sync is configured on this director, and not on lb2"}},
		{"service", []string{`"www"`, `"web"`}, []string{"! service www is configured on this director, and not on lb2", "! service web is configured on lb2, and not here"}},
		{"server", []string{"192.0.2.12", "192.0.2.13"}, []string{
			"! service www: server 192.0.2.12:80 is configured on this director, and not on lb2", "! service www: server 192.0.2.13:80 is configured on lb2, and not here"}},
		{"scheduler and weight", []string{"wrr", "rr", "weight = 3", "weight = 4"}, []string{
			`service www: lb2 has scheduler "rr", here "wrr"`, "service www: server 192.0.2.11:80: lb2 has weight 4, here 3"}},
		{"check", []string{`type = "tcp"`, `type = "http"`}, []string{
			"service www: server 192.0.2.11:80: checks differs between lb2 and this director", "service www: server 192.0.2.12:80: checks differs between lb2 and this director"}},
		{"source of a check", []string{`  source = "192.0.2.3"`, `  source = "192.0.2.7"`}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := pairOf(t, tt.replacements...)
			got := drift(t, a, b)
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) || strings.Contains(fmt.Sprintf("%v %+v", got, Facts(b)), "hidden") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if back := drift(t, b, a); len(back) != len(got) {
				t.Errorf("the other way round\n%s", strings.Join(back, "\n"))
			}
		})
	}
}

// TestOlderPeer: settings that the other director does not tell are not compared, and those that are unknown here neither.
func TestOlderPeer(t *testing.T) {
	a, b := pairOf(t)
	theirs := Facts(b)
	theirs.All = slices.DeleteFunc(theirs.All, func(f message.Fact) bool { return f.Key == "scheduler" || f.Key == "down_adverts" })
	theirs.All = append(theirs.All, message.Fact{Object: "service www", Key: "colour", Value: "red"})
	if all := Drift(Facts(a), theirs, "lb2"); len(all) > 0 {
		t.Errorf("%+v", all)
	}
	for _, lie := range []*message.Facts{
		{}, {All: []message.Fact{{}, {Key: "x"}, {Object: "virtual router web", Key: "hmac.active_key", Value: "1"}}},
		{All: []message.Fact{{Object: ": ", Key: ""}, {Object: "service www", Key: "virtual", Value: "\x1b[2J"}}},
	} {
		for _, d := range Drift(Facts(a), lie, "lb2") {
			if strings.Contains(d.Text, "\x1b") {
				t.Errorf("%q", d.Text)
			}
		}
	}
}

// TestEachSettingIsToldToThePeer: whatever `tandem check` compares of two directors, the channel does too.
func TestEachSettingIsToldToThePeer(t *testing.T) {
	text, err := os.ReadFile("../../../../../configs/reference.toml")
	if err != nil {
		t.Fatal(err)
	}
	a, b := parse(t, string(text)), parse(t, strings.NewReplacer(`name = "lb1"`, `name = "lb2"`, "director.lb1", "director.lb2").Replace(string(text)))
	usual, usualDrift := len(differences(a, b)), len(drift(t, a, b))
	ours := Facts(a)
	virtuals := func(c *configs.Config) (all []any) {
		for _, s := range c.Services {
			for _, v := range s.Virtuals {
				all = append(all, v.ServiceID.String(), v.Family)
			}
		}
		return all
	}
	compared := 0
	for _, part := range []any{&b.Routers, &b.LVS.Sync, &b.LVS.Timeouts, &b.Services} {
		for i := 0; ; i++ {
			n := i
			name, undo := mutate("", reflect.ValueOf(part).Elem(), &n)
			if undo == nil {
				break
			}
			// Who sends from where is compared by tandem check only.
			own := strings.Contains(name, "Source") || strings.Contains(name, "UnicastPeers") || strings.HasSuffix(name, "Heartbeat.Peer")
			// The address of a firewall mark has no meaning.
			own = own || strings.HasPrefix(name, "Virtuals.ServiceID") && reflect.DeepEqual(virtuals(a), virtuals(b))
			if len(differences(a, b)) != usual && !own {
				if is := Drift(ours, Facts(b), "lb2"); len(is) == usualDrift {
					t.Errorf("another %s is not told", name)
				}
				compared++
			}
			undo()
		}
	}
	if compared < 150 {
		t.Errorf("compared %d values: too few to be all", compared)
	}
}
