// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

func TestMistakesOfAdvice(t *testing.T) {
	check := func(lines string) string {
		return "[[service]]\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\" }]\n[service.check]\n" + lines
	}
	run(t, []mistaken{
		{"a file check without a file", check(`type = "file"`), []string{
			"4: service[0].check.file: is missing: a check of type \"file\" reads a file; write file = \"/run/tandem/weight/{address}\"",
		}},
		{"a relative file", check("type = \"file\"\nfile = \"weight\""), []string{`6: service[0].check.file: "weight" is not an absolute path`}},
		{"a file of another type", check("type = \"exec\"\ncommand = \"/bin/true\"\nfile = \"/x\""), []string{
			`7: service[0].check.file: has no meaning for a check of type "exec"; write type = "file", or remove it`,
		}},
		{"exit codes of another type", check("exit_weight = true"), []string{
			`5: service[0].check.exit_weight: has no meaning for a check of type "tcp"; write type = "exec", or remove it`,
		}},
		{"silence of another type", check("ignore_silence = true"), []string{
			`5: service[0].check.ignore_silence: has no meaning for a check of type "tcp"; write type = "agent", or remove it`,
		}},
		{"an interface for a program", check("type = \"exec\"\ncommand = \"/bin/true\"\nbind_if = \"eth0\""), []string{
			`7: service[0].check.bind_if: has no meaning for a check of type "exec"; write type = "tcp", or remove it`,
		}},
		{"no interface", check("bind_if = \"a name that is too long\""), []string{
			`5: service[0].check.bind_if: "a name that is too long" cannot be the name of an interface`,
		}},
		{"an interface and the VIP", check("via = \"vip\"\nbind_if = \"eth0\""), []string{
			`6: service[0].check.bind_if: has no meaning with via = "vip"; remove one of them`,
		}},
		{"no secret", check(`type = "radius"`), []string{
			"4: service[0].check.secret: is missing: a RADIUS server answers only those who share a secret with it",
		}},
		{"a user without a password", check("type = \"radius\"\nsecret = \"s\"\nusername = \"u\""), []string{
			"4: service[0].check.password: is missing: there is a username",
		}},
		{"a password without a user", check("type = \"radius\"\nsecret = \"s\"\npassword = \"p\""), []string{
			"4: service[0].check.username: is missing: there is a password",
		}},
		{"an empty secret", check("type = \"radius\"\nsecret = \"\""), []string{"6: service[0].check.secret: is empty"}},
		{"a secret that is a number", check("type = \"radius\"\nsecret = 1"), []string{
			"6: service[0].check.secret: want a string, not 1; put it in quotes",
		}},
		{"an empty user", check("type = \"radius\"\nsecret = \"s\"\nusername = \"\"\npassword = \"\""), []string{
			"7: service[0].check.username: has 0 bytes: want 1 to 253",
			"8: service[0].check.password: has 0 bytes: want 1 to 128",
		}},
		{"a user that is too long", check("type = \"radius\"\nsecret = \"s\"\nusername = \"" + strings.Repeat("u", 254) + "\"\npassword = \"" +
			strings.Repeat("p", 129) + "\""), []string{
			"7: service[0].check.username: has 254 bytes: want 1 to 253",
			"8: service[0].check.password: has 129 bytes: want 1 to 128",
		}},
		{"an answer for RADIUS", check("type = \"radius\"\nsecret = \"s\"\nexpect = \"up\""), []string{
			`7: service[0].check.expect: has no meaning for a check of type "radius"; write type = "tcp", or remove it`,
		}},
		{"a secret in no file", check("type = \"radius\"\nsecret = { path = \"/radius.secret\" }"), []string{
			"6: service[0].check.secret: want a string, or a table with one of file and credential; write { file = \"/PATH\" } or { credential = \"NAME\" }",
		}},
		{"a secret of another type", check(`secret = "s"`), []string{
			`5: service[0].check.secret: has no meaning for a check of type "tcp"; write type = "radius", or remove it`,
		}},
		{"a file that a router tracks", "[check.w]\ntype = \"file\"\nfile = \"/x\"\n[[vrrp]]\ninterface = \"eth0\"\nvrid = 1\nvips = [\"192.0.2.9\"]\ntrack = [{ check = \"w\" }]", []string{
			"8: vrrp[0].track[0].check: a check of type file cannot be tracked: it has the weight of a real server; write file = \"/PATH\" instead of check",
		}},
	})
}

func TestRangesOfAddresses(t *testing.T) {
	for text, want := range map[string][]string{
		"192.0.2.10-12:80":             {"192.0.2.10:80", "192.0.2.11:80", "192.0.2.12:80"},
		"192.0.2.10-10:80":             {"192.0.2.10:80"},
		"192.0.2.10-11:80-81":          {"192.0.2.10:80", "192.0.2.10:81", "192.0.2.11:80", "192.0.2.11:81"},
		"192.0.2.254-192.0.3.1:80":     {"192.0.2.254:80", "192.0.2.255:80", "192.0.3.0:80", "192.0.3.1:80"},
		"[2001:db8::9-b]:80":           {"[2001:db8::9]:80", "[2001:db8::a]:80", "[2001:db8::b]:80"},
		"[2001:db8::9-2001:db8::a]:80": {"[2001:db8::9]:80", "[2001:db8::a]:80"},
	} {
		addrs, ports, _ := cutRange(text)
		ids, no := addressRange(addrs, ports)
		var got []string
		for _, id := range ids {
			got = append(got, netip.AddrPortFrom(id.Addr, id.Port).String())
		}
		if no != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %s, %v", text, got, no)
		}
	}
	virtual := func(v string) string {
		return "[[service]]\nvirtual = \"" + v + "\"\nserver = [{ address = \"192.0.2.11\" }]\n"
	}
	run(t, []mistaken{
		{"backwards", virtual("192.0.2.12-10:80"), []string{`2: service[0].virtual: "10" is not the end of a range that begins with 192.0.2.12`}},
		{"beyond the octet", virtual("192.0.2.12-256:80"), []string{`2: service[0].virtual: "256" is not the end of a range that begins with 192.0.2.12`}},
		{"no number", virtual("192.0.2.12-x:80"), []string{`2: service[0].virtual: "x" is not the end of a range that begins with 192.0.2.12`}},
		{"no end", virtual("192.0.2.12-:80"), []string{`2: service[0].virtual: "" is not the end of a range that begins with 192.0.2.12`}},
		{"another family", virtual("192.0.2.12-2001:db8::1:80"), []string{
			`2: service[0].virtual: "192.0.2.12-2001:db8::1:80" is not an address with a port; write ` + wantEndpoints}},
		{"no address", virtual("192.0.2-12:80"), []string{`2: service[0].virtual: "192.0.2" is not an address; write ` + wantEndpoints}},
		{"no port", virtual("192.0.2.10-12"), []string{`2: service[0].virtual: "192.0.2.10-12" is not an address with a port; write ` + wantEndpoints}},
		{"a wrong port", virtual("192.0.2.10-12:x"), []string{`2: service[0].virtual: "192.0.2.10:x" is not an address with a port; write ` + wantEndpoints}},
		{"into multicast", virtual("223.255.255.255-224.0.0.1:80"), []string{`2: service[0].virtual: 224.0.0.1 is a multicast address`}},
		{"too many", virtual("10.0.0.0-10.0.4.0:80"), []string{`2: service[0].virtual: has more than 1024 addresses and ports; ` + useMark}},
		{"too many ports", virtual("10.0.0.1-2:1-1000"), []string{`2: service[0].virtual: has more than 1024 addresses and ports; ` + useMark}},
		{"an address of the range again", "[[service]]\nvirtual = [\"192.0.2.10-12:80\", \"192.0.2.11:80\"]\nserver = [{ address = \"192.0.2.21\" }]\n", []string{
			"2: service[0].virtual: tcp 192.0.2.11:80 is given twice"}},
	})
}

// The advice keys reach the check.
func TestAdviceKeys(t *testing.T) {
	c, err := Parse("t.toml", []byte(`
[check.w]
type = "file"
file = "/run/tandem/weight/{address}"
[check.x]
type = "exec"
command = "/bin/true"
exit_weight = true
[check.a]
type = "agent"
address = "192.0.2.30"
port = 9777
ignore_silence = true
bind_if = "vrf-blue"
[check.r]
type = "radius"
secret = "s"
username = "u"
password = "p"
[[service]]
virtual = "192.0.2.100:1812"
protocol = "udp"
check = ["w", "x", "a", "r"]
server = [{ address = "192.0.2.11" }]
`))
	if err != nil {
		t.Fatal(err)
	}
	all := c.Services[0].Servers[0].Checks
	if all[0].File != "/run/tandem/weight/{address}" || !all[1].ExitWeight || !all[2].IgnoreSilence || all[2].Device != "vrf-blue" ||
		all[3].Radius != (healthcheck.Radius{Secret: "s", User: "u", Password: "p"}) {
		t.Errorf("%+v", all)
	}
}

func TestMistakesOfMaintenance(t *testing.T) {
	service := func(lines string) string {
		return "[[service]]\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\" }]\n" + lines
	}
	run(t, []mistaken{
		{"a relative file", service(`maintenance_file = "m"`), []string{`4: service[0].maintenance_file: "m" is not an absolute path`}},
		{"an unknown placeholder", service(`maintenance_file = "/m/{adress}"`), []string{
			`4: service[0].maintenance_file: "/m/{adress}" has another placeholder; write {address} or {port}`}},
		{"a time that is too long", service(`remove_after = "25h"`), []string{`4: service[0].remove_after: "25h" is out of range: want 0s to 24h`}},
		{"an agent of a sorry server", service(`sorry_server = { address = "192.0.2.20", check = { type = "agent", port = 1 } }`), []string{
			"4: service[0].sorry_server.check: check 1 is of type agent, and a sorry server has no weight; use another type"}},
		{"an unknown check of a sorry server", service(`sorry_server = { address = "192.0.2.20", check = "web" }`), []string{
			"4: service[0].sorry_server.check: there is no [check.web]"}},
		{"a timeout of less than a second", "[lvs.timeouts]\ntcp = \"500ms\"", []string{`2: lvs.timeouts.tcp: "500ms" is out of range: want 1s to 596h31m23s in whole seconds`}},
		{"a timeout that is no whole second", "[lvs.timeouts]\nudp = \"1500ms\"", []string{`2: lvs.timeouts.udp: "1500ms" is not a multiple of 1s; the nearest are 1s and 2s`}},
		{"an unknown timeout", "[lvs.timeouts]\nsctp = \"5s\"", []string{"2: lvs.timeouts.sctp: unknown key; did you mean `tcp`?"}},
	})
}

// A server has the file of its service, or its own. The checks of a sorry server are its own.
func TestMaintenanceFiles(t *testing.T) {
	c, err := Parse("t.toml", []byte(`
[check.web]
type = "http"
[[service]]
virtual = "192.0.2.100:80"
maintenance_file = "/m/{address}-{port}"
remove_after = "10s"
check = "web"
sorry_server = { address = "192.0.2.20", check = { type = "tcp" } }
  [[service.server]]
  address = "192.0.2.11"
  [[service.server]]
  address = "192.0.2.12"
  maintenance_file = "/own"
[lvs.timeouts]
tcp = "1h"
udp = "10s"
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.MaintenanceFiles(); !slices.Equal(got, []string{"/m/192.0.2.11-80", "/own"}) {
		t.Errorf("files %q", got)
	}
	s := c.Services[0]
	if s.RemoveAfter != 10*time.Second || len(s.Sorry.Checks) != 1 || s.Sorry.Checks[0].Type != healthcheck.TCP || s.Sorry.Pass != PassAll {
		t.Errorf("%+v, %+v", s, s.Sorry)
	}
	if c.LVS.Timeouts != (lvs.Timeouts{TCP: time.Hour, UDP: 10 * time.Second}) {
		t.Errorf("timeouts %+v", c.LVS.Timeouts)
	}
}
