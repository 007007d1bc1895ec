// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"strings"
	"testing"
)

// Only checks through the VIP that need more than a single SYN need a route, and each real server needs only one.
func TestProbeRoutes(t *testing.T) {
	one := func(text string) string { return service(text) + "\n" }
	for _, tt := range []struct{ why, text, want string }{
		{"a plain check", one(`check = { type = "http" }`), ""},
		{"a SYN in the same network", one(`check = { via = "vip" }`), ""},
		{"a SYN into a tunnel", one("method = \"tunnel\"\ncheck = { via = \"vip\" }"), "192.0.2.11 ipv4 tunnel"},
		{"words over TCP", one(`check = { via = "vip", expect = "x" }`), "192.0.2.11 ipv4 dr"},
		{"HTTP", one(`check = { type = "http", via = "vip" }`), "192.0.2.11 ipv4 dr"},
		{"DNS", one(`check = { type = "dns", via = "vip" }`), "192.0.2.11 ipv4 dr"},
		{"several of one server", one(`check = [{ type = "http", via = "vip" }, { type = "smtp", via = "vip" }]`) +
			"[[service]]\nvirtual = \"192.0.2.101:80\"\nserver = [{ address = \"192.0.2.11\" }]\ncheck = { type = \"http\", via = \"vip\" }\n",
			"192.0.2.11 ipv4 dr"},
		{"one server by two methods", one(`check = { type = "http", via = "vip" }`) +
			"[[service]]\nvirtual = \"192.0.2.101:80\"\nmethod = \"tunnel\"\nserver = [{ address = \"192.0.2.11\" }]\ncheck = { type = \"http\", via = \"vip\" }\n",
			"192.0.2.11 ipv4 dr, 192.0.2.11 ipv4 tunnel"},
		{"in order", "[[service]]\nvirtual = \"[2001:db8::100]:80\"\ncheck = { type = \"http\", via = \"vip\" }\n" +
			"server = [{ address = \"2001:db8::12\" }, { address = \"2001:db8::11\" }]\n",
			"2001:db8::11 ipv6 dr, 2001:db8::12 ipv6 dr"},
	} {
		var got []string
		for _, d := range ProbeRoutes(parse(t, tt.text).Services) {
			got = append(got, fmt.Sprintf("%s %s %s", d.Addr, d.Family, d.Method))
		}
		if got := strings.Join(got, ", "); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.why, got, tt.want)
		}
	}
}

// Without checks that need them, the marks are free for other uses. The range can be moved.
func TestProbeMarksThatAreFree(t *testing.T) {
	const marked = "[[service]]\nvirtual = { fwmark = 0x74000001 }\nserver = [{ address = \"192.0.2.11\" }]\n"
	parse(t, marked)
	c := parse(t, marked+service(`check = { type = "http", via = "vip" }`)+"\n[lvs]\nprobe_fwmark = 0x75000000\n")
	if c.LVS.ProbeMark != 0x75000000 {
		t.Errorf("%#x", c.LVS.ProbeMark)
	}
}
