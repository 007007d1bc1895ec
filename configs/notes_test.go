// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestNotes(t *testing.T) {
	vr := func(name, iface, vip, more string) string {
		return fmt.Sprintf("[[vrrp]]\nname = %q\ninterface = %q\nvrid = 51\nvips = [%q]\n%s\n", name, iface, vip, more)
	}
	www := func(method, check string) string {
		return fmt.Sprintf("[[service]]\nname = \"www\"\nvirtual = \"192.0.2.100:80\"\nmethod = %q\n%s\nserver = [{ address = \"192.0.2.11\" }]\n", method, check)
	}
	nat := strings.ReplaceAll(www("nat", ""), "192.0.2.11", "10.0.0.11")
	outside := vr("outside", "eth0", "192.0.2.100/24", "")
	const group = "sync_group = \"nat\"\n"
	for _, tt := range []struct{ name, text, want string }{
		{"no check", www("dr", ""), ""},
		{"a check of the server's own address", www("dr", `check = { type = "tcp" }`), "no check asks through the VIP"},
		{"likewise with a tunnel", www("tunnel", `check = { type = "tcp" }`), "no check asks through the VIP"},
		{"a check through the VIP", www("dr", `check = { type = "tcp", via = "vip" }`), ""},
		{"NAT has no VIP on the servers", www("nat", `check = { type = "tcp" }`), ""},
		{"NAT without a pair", nat, ""},
		{"NAT without a VIP inside", outside + nat, "no [[vrrp]] has a VIP in the network of real server 10.0.0.11"},
		{"NAT with one network", outside + www("nat", ""), ""},
		{"NAT with two groups", outside + vr("inside", "eth1", "10.0.0.1/24", "") + nat, "outside and inside are not in one sync_group"},
		{"NAT with one group", vr("outside", "eth0", "192.0.2.100/24", group) + vr("inside", "eth1", "10.0.0.1/24", group) + nat, ""},
		{"NAT with one virtual router for both", vr("both", "eth0", "192.0.2.100/24", "excluded_vips = [\"10.0.0.1/24\"]") + nat, ""},
		{"NAT with a VIP whose network nobody says", outside + vr("inside", "eth1", "10.0.0.1/32", "") + nat, ""},
	} {
		notes := slices.DeleteFunc(parse(t, tt.text).Notes(), isUnsigned)
		if len(notes) == 0 {
			notes = nil
		}
		if tt.want == "" && notes != nil || tt.want != "" && !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, tt.want) }) {
			t.Errorf("%s: notes %q, want %q", tt.name, notes, tt.want)
		}
	}
}

// TestSplitNAT: services with the same virtual routers are told together, and a service with two servers once.
func TestSplitNAT(t *testing.T) {
	vr := func(name, iface, id, vip string) string {
		return fmt.Sprintf("[[vrrp]]\nname = %q\ninterface = %q\nvrid = %s\nvips = [%q]\n", name, iface, id, vip)
	}
	nat := func(name, virtual string) string {
		return fmt.Sprintf("[[service]]\nname = %q\nvirtual = %q\nmethod = \"nat\"\nserver = [{ address = \"10.0.0.11\" }, { address = \"10.0.0.12\" }]\n", name, virtual)
	}
	text := vr("outside", "eth0", "51", "192.0.2.100/24") + vr("other", "eth0", "53", "192.0.2.101/24") + vr("inside", "eth1", "52", "10.0.0.1/24") +
		nat("www", "192.0.2.100:80") + nat("mail", "192.0.2.100:25") + nat("dns", "192.0.2.101:53")
	want := "[{[www mail] outside inside} {[dns] other inside}]"
	type plain struct {
		services        []string
		outside, inside string
	}
	var got []plain
	for _, n := range parse(t, text).NATSplits {
		got = append(got, plain{n.Services, n.Outside, n.Inside})
	}
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func isUnsigned(note string) bool { return strings.HasPrefix(note, "advertisements are not signed (") }

// TestUnsignedNote: one note for the whole file, and none where all sign.
func TestUnsignedNote(t *testing.T) {
	vr := func(name, vip, more string) string {
		return fmt.Sprintf("[[vrrp]]\nname = %q\ninterface = \"eth0\"\nvrid = %s\nvips = [\"192.0.2.%s\"]\n%s\n", name, vip, vip, more)
	}
	signed := func(mode string) string {
		return "hmac = { mode = \"" + mode + "\", key = [{ id = 1, file = \"/k\" }] }"
	}
	for _, tt := range []struct {
		text string
		want []string
	}{
		{vr("a", "100", "") + vr("b", "101", "") + vr("c", "102", signed("enforce")), []string{"advertisements are not signed (a, b): any machine"}},
		{vr("a", "100", signed("enforce")), nil},
		{vr("a", "100", "version = 2"), nil},
		{vr("a", "100", signed("permissive")), []string{"virtual router a: mode permissive accepts unsigned advertisements"}},
		{vr("a", "100", signed("receive-only")), []string{"virtual router a: mode receive-only accepts unsigned advertisements"}},
	} {
		notes := parse(t, tt.text).Notes()
		if !slices.EqualFunc(notes, tt.want, strings.HasPrefix) {
			t.Errorf("%q, want %q", notes, tt.want)
		}
	}
}

func TestARealServerIsNoVIP(t *testing.T) {
	const two = "[[service]]\nname = \"www\"\nvirtual = \"192.0.2.101:80\"\nserver = [\n{ address = \"192.0.2.11\" },\n{ address = \"%s\" }]\n" +
		"[[service]]\nname = \"api\"\nvirtual = \"192.0.2.102:80\"\nserver = [{ address = \"192.0.2.11\" }]\n"
	run(t, []mistaken{
		{"of its service", fmt.Sprintf(two, "192.0.2.101"), []string{
			`6: service[0].server[1].address: 192.0.2.101 is a virtual address, of [[service]] "www"; write the real server's own address`,
		}},
		{"of another service", fmt.Sprintf(two, "192.0.2.102"), []string{
			`6: service[0].server[1].address: 192.0.2.102 is a virtual address, of [[service]] "api"; write the real server's own address`,
		}},
		{"of a virtual router", router("") + fmt.Sprintf(two, "192.0.2.100"), []string{
			`10: service[0].server[1].address: 192.0.2.100 is a virtual address, of [[vrrp]] "eth0-51"; write the real server's own address`,
		}},
		{"a word of ipvsadm", "[[service]]\nvirtual = \"192.0.2.101:80\"\nmethod = \"gate\"\nserver = [{ address = \"192.0.2.11\", port = 8080 }, { address = \"192.0.2.12\", port = 8080 }]",
			[]string{"3: service[0].method: unknown value \"gate\"; did you mean `dr`?"}},
		{"another", "[[service]]\nvirtual = \"192.0.2.101:80\"\nmethod = \"masq\"\nserver = [{ address = \"192.0.2.11\", port = 8080 }]",
			[]string{"3: service[0].method: unknown value \"masq\"; did you mean `nat`?"}},
		{"a tunnel's", "[[service]]\nvirtual = \"192.0.2.101:80\"\nmethod = \"tun\"\nserver = [{ address = \"192.0.2.11\", port = 8080 }]",
			[]string{"3: service[0].method: unknown value \"tun\"; did you mean `tunnel`?"}},
		{"of a server", "[[service]]\nvirtual = \"192.0.2.101:80\"\nserver = [{ address = \"192.0.2.11\", method = \"ipip\", port = 8080 }]",
			[]string{"3: service[0].server[0].method: unknown value \"ipip\"; did you mean `tunnel`?"}},
	})
}
