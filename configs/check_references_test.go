// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"crypto/tls"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// checksOf writes the checks of the servers of the first service: "http+tcp any".
func checksOf(c *Config) string {
	var servers []string
	for _, server := range c.Services[0].Servers {
		var types []string
		for _, check := range server.Checks {
			types = append(types, check.Type.String())
		}
		servers = append(servers, strings.Join(types, "+")+" "+server.Pass.String())
	}
	return strings.Join(servers, ", ")
}

func TestWhoIsCheckedHow(t *testing.T) {
	const named = "[check.web]\ntype = \"http\"\n[check.\"a.b\"]\ntype = \"ping\"\n"
	two := func(service, first string) string {
		return named + "[[service]]\nvirtual = \"192.0.2.100:80\"\n" + service +
			"\n[[service.server]]\naddress = \"192.0.2.11\"\n" + first + "\n[[service.server]]\naddress = \"192.0.2.12\"\n"
	}
	for _, tt := range []struct{ service, first, want string }{
		{"", "", " all,  all"},
		{`check = "web"`, "", "http all, http all"},
		{`check = "a.b"`, "", "ping all, ping all"},
		{`check = ["web", { type = "smtp" }, "a.b"]` + "\ncheck_pass = \"any\"", "", "http+smtp+ping any, http+smtp+ping any"},
		{"[[service.check]]\n[[service.check]]\ntype = \"dns\"", "", "tcp+dns all, tcp+dns all"},
		{`check = "web"`, `check = { type = "agent" }`, "agent all, http all"},
		{`check = "web"`, `check = []`, " all, http all"},
		{`check = "web"`, `check_pass = "any"`, "http any, http all"},
		{"", `check = ["a.b", "web"]`, "ping+http all,  all"},
	} {
		if got := checksOf(parse(t, two(tt.service, tt.first))); got != tt.want {
			t.Errorf("%s; server: %s\ngot %s, want %s", tt.service, tt.first, got, tt.want)
		}
	}
}

func TestChecksOfEachType(t *testing.T) {
	change := func(typ healthcheck.Type, f func(*healthcheck.Config)) healthcheck.Config {
		c := healthcheck.DefaultConfig(typ)
		f(&c)
		return c
	}
	for _, tt := range []struct {
		text string
		want healthcheck.Config
	}{
		{`via = "vip"`, change(healthcheck.TCP, func(c *healthcheck.Config) { c.Via = netip.MustParseAddr("192.0.2.100") })},
		{`type = "dns", via = "vip", source = "192.0.2.2"`, change(healthcheck.DNS, func(c *healthcheck.Config) {
			c.Via, c.Source = netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.2")
		})},
		{`type = "https"`, healthcheck.DefaultConfig(healthcheck.HTTPS)},
		{`type = "https", headers = { B = "2", A = "1" }, version = "2", tls_ca = "/ca", tls_cert = "/c", tls_key = "/k", tls_name = "www", tls_version = "1.3"`,
			change(healthcheck.HTTPS, func(c *healthcheck.Config) {
				c.Headers, c.Version = []healthcheck.Header{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}, healthcheck.HTTP2
				c.TLS = healthcheck.TLS{On: true, CAFile: "/ca", CertFile: "/c", KeyFile: "/k", Name: "www", Minimum: tls.VersionTLS13}
			})},
		{`type = "http", method = "POST", body = "x", contains = "a", matches = "b+", version = "1.0"`,
			change(healthcheck.HTTP, func(c *healthcheck.Config) {
				c.Method, c.Body, c.Version, c.Content = "POST", "x", healthcheck.HTTP10, healthcheck.Content{Contains: "a", Matches: "b+"}
			})},
		{`type = "grpc"`, healthcheck.DefaultConfig(healthcheck.GRPC)},
		{`type = "grpc", tls = true, grpc_service = "a.B", host = "www"`, change(healthcheck.GRPC, func(c *healthcheck.Config) {
			c.TLS, c.Service, c.Host = healthcheck.TLS{On: true, Minimum: tls.VersionTLS12}, "a.B", "www"
		})},
		{`type = "dns", query = "example.org", query_type = "MX", answer = "10 mx.example.org.", over_tcp = true`,
			change(healthcheck.DNS, func(c *healthcheck.Config) {
				c.Query = healthcheck.Query{Name: "example.org", Type: "MX", Answer: "10 mx.example.org.", TCP: true}
			})},
		{`type = "smtp", hello = "lb1"`, change(healthcheck.SMTP, func(c *healthcheck.Config) { c.Hello = "lb1" })},
		{`type = "udp", send = "a\u0000", expect = "b"`, change(healthcheck.UDP, func(c *healthcheck.Config) { c.Send, c.Expect = "a\x00", "b" })},
		{`send_hex = "00 FF\n0a", expect_hex = "ff00", expect_not = "x"`, change(healthcheck.TCP, func(c *healthcheck.Config) {
			c.Send, c.Expect, c.Forbid = "\x00\xff\n", "\xff\x00", "x"
		})},
		{`type = "udp", send_hex = "00", expect_not = "x", via = "vip", expect_hex = "61"`, change(healthcheck.UDP, func(c *healthcheck.Config) {
			c.Send, c.Expect, c.Forbid, c.Via = "\x00", "a", "x", netip.MustParseAddr("192.0.2.100")
		})},
		{`tls = true, tls_ca = "/ca", steps = [{ send = "a", expect = "b", expect_not = "c" }, { send_hex = "64", expect_hex = "65" }, { matches = "f+" }]`,
			change(healthcheck.TCP, func(c *healthcheck.Config) {
				c.TLS = healthcheck.TLS{On: true, CAFile: "/ca", Minimum: tls.VersionTLS12}
				c.Steps = []healthcheck.Step{{Send: "a", Expect: "b", Forbid: "c"}, {Send: "d", Expect: "e"}, {Matches: "f+"}}
			})},
		{`type = "smtp", proxy_protocol = 1`, change(healthcheck.SMTP, func(c *healthcheck.Config) { c.Proxy = 1 })},
		{`proxy_protocol = 2`, change(healthcheck.TCP, func(c *healthcheck.Config) { c.Proxy = 2 })},
		{`type = "http", expect_headers = { X-Role = "^primary$", A = "" }, not_contains = "error"`, change(healthcheck.HTTP, func(c *healthcheck.Config) {
			c.Fields, c.Content.Lacks = []healthcheck.FieldRule{{Name: "A"}, {Name: "X-Role", Matches: "^primary$"}}, "error"
		})},
		{`type = "ping", source = "192.0.2.2", fwmark = 7`, change(healthcheck.Ping, func(c *healthcheck.Config) {
			c.Source, c.Mark = netip.MustParseAddr("192.0.2.2"), 7
		})},
		{`type = "agent", send = "lb1\n", address = "192.0.2.99"`, change(healthcheck.Agent, func(c *healthcheck.Config) {
			c.Send, c.Address = "lb1\n", netip.MustParseAddr("192.0.2.99")
		})},
		{`type = "exec", command = ["/bin/check", "-a"], user = "root"`, change(healthcheck.Exec, func(c *healthcheck.Config) {
			c.Command, c.User = []string{"/bin/check", "-a"}, "root"
		})},
		{`interval_down = "10s", fast_interval = "100ms", jitter = 0, flap_changes = 0`, change(healthcheck.TCP, func(c *healthcheck.Config) {
			c.IntervalDown, c.FastInterval, c.Jitter, c.Flap = 10*time.Second, 100*time.Millisecond, 0, healthcheck.Flap{}
		})},
		{`interval = "1s", timeout = "5s"`, change(healthcheck.TCP, func(c *healthcheck.Config) { c.Interval, c.Timeout = time.Second, 5*time.Second })},
		{`flap_changes = 2, flap_window = "1m", flap_hold = "1h"`, change(healthcheck.TCP, func(c *healthcheck.Config) {
			c.Flap = healthcheck.Flap{Changes: 2, Window: time.Minute, Hold: time.Hour}
		})},
	} {
		got := parse(t, service("check = { "+tt.text+" }")).Services[0].Servers[0].Checks[0]
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", tt.text, got, tt.want)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: package healthcheck refuses it: %v", tt.text, err)
		}
	}
}

// A check through the VIP becomes one check for each VIP of the service, because a real server may lack any of them.
func TestCheckThroughEachVIP(t *testing.T) {
	text := `[[service]]
virtual = ["192.0.2.100:80", "192.0.2.101:80", "192.0.2.100:443"]
server = [{ address = "192.0.2.11" }]
check = [{ type = "ping" }, { via = "vip" }]
`
	var got []string
	for _, c := range parse(t, text).Services[0].Servers[0].Checks {
		got = append(got, c.Type.String()+" "+c.Via.String())
	}
	if want := []string{"ping invalid IP", "tcp 192.0.2.100", "tcp 192.0.2.101"}; !slices.Equal(got, want) {
		t.Errorf("checks %q, want %q", got, want)
	}
}

func TestMistakesOfNamedChecks(t *testing.T) {
	run(t, []mistaken{
		{"no such check", "[check.web]\n" + service(`check = "wbe"`), []string{
			"5: service[0].check: there is no [check.wbe]; did you mean `web`?",
		}},
		{"no such check among several", service(`check = [{ type = "tcp" }, "web"]`), []string{
			"4: service[0].check[1]: there is no [check.web]",
		}},
		{"a check that is none", service("check = 80"), []string{
			"4: service[0].check: want a string, table or array of them, not 80; write the name of a [check.NAME], a table with the keys of one, or an array of such",
		}},
		{"one of them is none", service("check = [80]"), []string{
			"4: service[0].check[0]: want a string or table, not 80; write the name of a [check.NAME], a table with the keys of one, or an array of such",
		}},
		{"a name without a table", "check.web = 1\n" + service(""), []string{"1: check.web: want a table, not 1"}},
		{"a check without a name", "[check]\ninterval = \"5s\"\n" + service(""), []string{
			`2: check.interval: want a table, not the string "5s"`,
		}},
		{"key misspelt", "[check.web]\nintervall = \"5s\"\n" + service(`check = "web"`), []string{
			"2: check.web.intervall: unknown key; did you mean `interval`?",
		}},
		{"key of another type", "[check.web]\npath = \"/\"\n" + service(`check = "web"`), []string{
			`2: check.web.path: has no meaning for a check of type "tcp"; write type = "http", or remove it`,
		}},
		{"program that is missing", service(`check = { type = "exec" }`), []string{
			`4: service[0].check.command: is missing: a check of type "exec" runs a program`,
		}},
		{"TLS without tls", service(`check = { type = "grpc", tls_name = "www" }`), []string{
			"4: service[0].check.tls_name: has no meaning without tls; write tls = true, or remove it",
		}},
		{"certificate without its key", service(`check = { type = "https", tls_cert = "/c" }`), []string{
			"4: service[0].check.tls_cert: is given without tls_key",
		}},
		{"body of a HEAD", service(`check = { type = "http", method = "HEAD", contains = "x" }`), []string{
			"4: service[0].check.contains: has no meaning for HEAD, whose response has no body; write method = \"GET\", or remove it",
		}},
		{"header that a check has itself", service(`check = { type = "http", headers = { Host = "a" } }`), []string{
			`4: service[0].check.headers.Host: "Host" is not a header that a check can add`,
		}},
		{"header that ends its line", service(`check = { type = "http", headers = { A = "b\r\nC: d" } }`), []string{
			`4: service[0].check.headers.A: "b\r\nC: d" has control characters, or white space around it`,
		}},
		{"expression that is none", service(`check = { type = "http", matches = "(" }`), []string{
			"4: service[0].check.matches: \"(\" is not a regular expression: missing closing ): `(`",
		}},
		{"two ways to send", service(`check = { send = "a", send_hex = "61" }`), []string{
			"4: service[0].check.send_hex: cannot be combined with send; remove one of them",
		}},
		{"two ways to expect", service(`check = { type = "udp", expect = "a", expect_hex = "61" }`), []string{
			"4: service[0].check.expect_hex: cannot be combined with expect; remove one of them",
		}},
		{"digits apart", service(`check = { send_hex = "0 0" }`), []string{
			`4: service[0].check.send_hex: "0 0" is not hexadecimal; write two digits for each byte, for example "00 0a ff"`,
		}},
		{"half a byte", service(`check = { type = "udp", send_hex = "00 0", expect_hex = "0x61" }`), []string{
			`4: service[0].check.send_hex: "00 0" is not hexadecimal; write two digits for each byte, for example "00 0a ff"`,
			`4: service[0].check.expect_hex: "0x61" is not hexadecimal; write two digits for each byte, for example "00 0a ff"`,
		}},
		{"no bytes", service(`check = { type = "udp", send_hex = " " }`), []string{"4: service[0].check.send_hex: is empty"}},
		{"answer without an end", service(`check = { expect_not = "a" }`), []string{
			"4: service[0].check.expect_not: needs expect or expect_hex, which says where the answer ends; write expect too",
		}},
		{"steps beside a text", service(`check = { send = "a", expect_not = "b", steps = [{ send = "a" }] }`), []string{
			"4: service[0].check.send: has no meaning with steps; make it a step",
			"4: service[0].check.expect_not: has no meaning with steps; make it a step",
		}},
		{"steps that are wrong", service(`check = { steps = [{}, { send = "a", send_hex = "61" }, { expect = "a", matches = "(" }, { expect_not = "a" }, { sned = "a" }] }`), []string{
			"4: service[0].check.steps[0]: does nothing; write send or expect, or remove the step",
			"4: service[0].check.steps[1].send_hex: cannot be combined with send; remove one of them",
			"4: service[0].check.steps[2].matches: \"(\" is not a regular expression: missing closing ): `(`",
			"4: service[0].check.steps[2].matches: cannot be combined with expect; remove one of them",
			"4: service[0].check.steps[3].expect_not: needs expect, expect_hex or matches, which says where the answer ends; write expect too",
			"4: service[0].check.steps[4].sned: unknown key; did you mean `send`?",
		}},
		{"no steps", service(`check = { steps = [] }`), []string{"4: service[0].check.steps: has 0 elements: want 1 to 32"}},
		{"steps without a table", service(`check = { steps = ["a"] }`), []string{`4: service[0].check.steps[0]: want a table, not the string "a"`}},
		{"steps over UDP", service(`check = { type = "udp", steps = [{ send = "a" }] }`), []string{
			`4: service[0].check.steps: has no meaning for a check of type "udp"; write type = "tcp", or remove it`,
		}},
		{"TLS over TCP without tls", service(`check = { tls_ca = "/ca" }`), []string{
			"4: service[0].check.tls_ca: has no meaning without tls; write tls = true, or remove it",
		}},
		{"TLS over UDP", service(`check = { type = "udp", tls = true }`), []string{
			`4: service[0].check.tls: has no meaning for a check of type "udp"; write type = "tcp", or remove it`,
		}},
		{"PROXY protocol of the future", service(`check = { proxy_protocol = 3 }`), []string{
			"4: service[0].check.proxy_protocol: 3 is out of range: want 1 to 2",
		}},
		{"PROXY protocol over UDP", service(`check = { type = "udp", proxy_protocol = 2 }`), []string{
			`4: service[0].check.proxy_protocol: has no meaning for a check of type "udp"; write type = "tcp", or remove it`,
		}},
		{"expected headers that are none", service(`check = { type = "http", expect_headers = { "a b" = "x", A = "(", B = 1 } }`), []string{
			"4: service[0].check.expect_headers.A: \"(\" is not a regular expression: missing closing ): `(`",
			"4: service[0].check.expect_headers.B: want a string, not 1; put it in quotes",
			`4: service[0].check.expect_headers."a b": "a b" is not the name of a header`,
		}},
		{"not in the body of a HEAD", service(`check = { type = "http", method = "HEAD", not_contains = "x" }`), []string{
			"4: service[0].check.not_contains: has no meaning for HEAD, whose response has no body; write method = \"GET\", or remove it",
		}},
		{"source of another family", service(`check = { source = "2001:db8::2" }`), []string{
			"4: service[0].check: the probes cannot come from 2001:db8::2 and go to 192.0.2.11, which is of another family",
		}},
		{"fast is slow", service(`check = { fast_interval = "1h" }`), []string{
			"4: service[0].check.fast_interval: 1h is longer than the interval, 2s",
		}},
		{"a path that version 2 cannot send", service(`check = { type = "http", version = "2", path = "/%zz" }`), []string{
			`4: service[0].check.path: "/%zz" is not a path that HTTP version 2 can ask for; write each octet that is escaped as %XX`,
		}},
		{"no record", service(`check = { type = "dns", query_type = "A", answer = "www.example.org" }`), []string{
			`4: service[0].check.answer: "www.example.org" is not the data of a record of type A; write it as a zone file has it, without name and type`,
		}},
		{"one change is no flapping", service(`check = { flap_changes = 1 }`), []string{
			"4: service[0].check.flap_changes: 1 is out of range: want 0, or 2 to 100",
		}},
		{"no VIP", "[[service]]\nvirtual = { fwmark = 1 }\nserver = [{ address = \"192.0.2.11\" }]\ncheck = { via = \"vip\", port = 80 }", []string{
			"4: service[0].check: the probes cannot go through the VIP: a service by firewall mark has none; remove via = \"vip\"",
		}},
		{"no VIP at the server", service("method = \"nat\"\ncheck = { via = \"vip\" }"), []string{
			"5: service[0].check: the probes cannot go through the VIP: server 192.0.2.11 has method \"nat\", want dr or tunnel; remove via = \"vip\"",
		}},
		{"through the VIP elsewhere", service(`check = { via = "vip", address = "192.0.2.99", fwmark = 1 }`), []string{
			`4: service[0].check.address: has no meaning with via = "vip"; remove one of them`,
			`4: service[0].check.fwmark: has no meaning with via = "vip"; remove one of them`,
		}},
		{"through the VIP by ping", service(`check = { type = "ping", via = "vip" }`), []string{
			`4: service[0].check.via: has no meaning for a check of type "ping"; write type = "tcp", or remove it`,
		}},
		{"through the VIP into silence", service(`check = { type = "udp", via = "vip" }`), []string{
			"4: service[0].check.expect: is missing: a server without the VIP drops the datagram, and a missing answer must not count as success",
		}},
		{"through the VIP by a tunnel of the other family", "[[service]]\nvirtual = \"192.0.2.100:80\"\nmethod = \"tunnel\"\ncheck = { via = \"vip\" }\nserver = [{ address = \"2001:db8::11\" }]", []string{
			"4: service[0].check: the VIP 192.0.2.100 is of another family than 2001:db8::11; set source to the address that the probes come from",
		}},
		{"through the VIP from the other family", service(`check = { via = "vip", source = "2001:db8::2" }`), []string{
			"4: service[0].check: the probes cannot come from 2001:db8::2 and go to 192.0.2.100, which is of another family",
		}},
		{"marks of others among those of probes", service(`check = { type = "http", via = "vip" }`) + "\n" +
			"[[service]]\nvirtual = { fwmark = 0x7400ffff }\nserver = [{ address = \"192.0.2.11\" }]\n" +
			"[[service]]\nvirtual = \"192.0.2.100:81\"\nserver = [{ address = \"192.0.2.11\" }]\ncheck = { fwmark = 0x74000000 }\n", []string{
			"6: service[1].virtual: firewall mark 1946222591 is reserved for checks through the VIP: they have marks 1946157056 to 1946222591; use another mark, or change [lvs] probe_fwmark",
			"8: service[2]: a check has a firewall mark that is reserved for checks through the VIP: they have marks 1946157056 to 1946222591; use another mark, or change [lvs] probe_fwmark",
		}},
		{"a check of a mark without a port", "[check.web]\n[[service]]\nvirtual = { fwmark = 1 }\ncheck = \"web\"\nserver = [{ address = \"192.0.2.11\" }]", []string{
			"4: service[0].check.port: is missing: behind a firewall mark or port 0, server 192.0.2.11 has no port of its own",
		}},
	})
}

func TestWarningsOfChecks(t *testing.T) {
	c := parse(t, "[check.web]\n[check.mail]\ntype = \"https\"\ntls_verify = false\n"+service(`check = "mail"`))
	got := c.Warnings.Error()
	for _, want := range []string{
		"check.web: has no effect: no [[service]] and no track uses it",
		"check.mail.tls_verify: the certificate is not checked: a machine on the path can answer for the server",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}
