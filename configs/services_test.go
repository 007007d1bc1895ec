// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"testing"
)

func TestMistakesOfServices(t *testing.T) {
	virtual := func(v string) string {
		return "[[service]]\nvirtual = " + v + "\nserver = [{ address = \"192.0.2.11\" }]\n"
	}
	run(t, []mistaken{
		{"no port", virtual(`"192.0.2.100"`), []string{
			`2: service[0].virtual: "192.0.2.100" is not an address with a port; its port is missing: write 192.0.2.100:80`,
		}},
		{"no brackets", virtual(`"2001:db8::1"`), []string{
			`2: service[0].virtual: "2001:db8::1" is not an address with a port; its port is missing: write [2001:db8::1]:80`,
		}},
		{"a name", virtual(`"www.example.org:80"`), []string{
			`2: service[0].virtual: "www.example.org:80" is not an address with a port; write "192.0.2.100:80", "192.0.2.100-120:80", "[2001:db8::100]:8000-8010", an array of such, or { fwmark = 1 }`,
		}},
		{"port 0", virtual(`"192.0.2.100:0"`), []string{
			"2: service[0].virtual: port 0 of 192.0.2.100 means all ports: without persistence, a client may reach a different server on each port; add persistence",
		}},
		{"ports from 0 on", virtual(`"192.0.2.100:0-9"`), []string{
			"2: service[0].virtual: port 0 is out of range: want 1 to 65535; write 0 alone for all ports",
		}},
		{"zone", virtual(`"[fe80::1%eth0]:80"`), []string{"2: service[0].virtual: fe80::1%eth0 has a zone: an address with a zone cannot be balanced"}},
		{"any address", virtual(`"0.0.0.0:80"`), []string{"2: service[0].virtual: 0.0.0.0 is not a host address"}},
		{"neither text nor table", virtual("80"), []string{"2: service[0].virtual: want a string, array of strings or table, not 80"}},
		{"firewall mark 0", virtual("{ fwmark = 0 }"), []string{"2: service[0].virtual.fwmark: 0 is out of range: want 1 to 4294967295"}},
		{"firewall mark misspelt", virtual("{ mark = 1 }"), []string{
			"2: service[0].virtual.mark: unknown key; did you mean `fwmark`?",
			"2: service[0].virtual.fwmark: is missing: want an integer; for example: fwmark = 1",
		}},
		{"firewall mark with a protocol", virtual("{ fwmark = 1 }") + "protocol = \"udp\"", []string{
			"4: service[0].protocol: has no meaning for a firewall mark: it may be on packets of any protocol; remove it",
		}},
		{"the same virtual twice", service("name = \"a\"\n" + service("name = \"b\"")), []string{
			"6: service[1].virtual: tcp 192.0.2.100:80 is already service[0] (line 1)",
		}},
		{"the same name twice", service("name = \"a\"\n" + virtual(`"192.0.2.101:80"`) + "name = \"a\""), []string{
			`8: service[1].name: "a" is already the name of service[0] (line 1); names must differ`,
		}},
	})
}

func TestMistakesOfServers(t *testing.T) {
	// The first server begins in line 4.
	with := func(more string) string { return "[[service]]\nvirtual = \"192.0.2.100:80\"\n" + more }
	run(t, []mistaken{
		{"no server", with(""), []string{"1: service[0].server: is missing: want an array of tables; add [[service.server]]"}},
		{"empty pool", with("server = []"), []string{"3: service[0].server: has 0 elements: want 1 or more"}},
		{"no address", with("[[service.server]]\nweight = 1"), []string{"3: service[0].server[0].address: is missing: want a string; for example: address = \"192.0.2.11\""}},
		{"address with a port", with("[[service.server]]\naddress = \"192.0.2.11:80\""), []string{
			`4: service[0].server[0].address: "192.0.2.11:80" is not an address; the port has a key of its own, port`,
		}},
		{"another family", with("[[service.server]]\naddress = \"2001:db8::11\""), []string{
			"4: service[0].server[0].address: 2001:db8::11 is of another family than the service, tcp 192.0.2.100:80",
		}},
		{"multicast", with("[[service.server]]\naddress = \"239.0.0.1\""), []string{
			"4: service[0].server[0].address: 239.0.0.1 is a multicast address",
		}},
		{"weight", with("[[service.server]]\naddress = \"192.0.2.11\"\nweight = 65536"), []string{
			"5: service[0].server[0].weight: 65536 is out of range: want 0 to 65535",
		}},
		{"port that direct routing cannot map", with("[[service.server]]\naddress = \"192.0.2.11\"\nport = 8080"), []string{
			`5: service[0].server[0].port: method "dr" cannot map port 80 to 8080; remove it, or use method = "nat"`,
		}},
		{"port that a tunnel cannot map", with("method = \"tunnel\"\n[[service.server]]\naddress = \"192.0.2.11\"\nport = 8080"), []string{
			`6: service[0].server[0].port: method "tunnel" cannot map port 80 to 8080; remove it, or use method = "nat"`,
		}},
		{"port that direct routing of a mark cannot map", "[[service]]\nvirtual = { fwmark = 1 }\n[[service.server]]\naddress = \"192.0.2.11\"\nport = 80", []string{
			`5: service[0].server[0].port: method "dr" cannot map ports: packets keep their destination port; remove it, or use method = "nat"`,
		}},
		{"port 0", with("method = \"nat\"\n[[service.server]]\naddress = \"192.0.2.11\"\nport = 0"), []string{
			"6: service[0].server[0].port: 0 is out of range: want 1 to 65535",
		}},
		{"the same server twice", with("[[service.server]]\naddress = \"192.0.2.11\"\n[[service.server]]\naddress = \"192.0.2.11\"\nport = 80"), []string{
			"6: service[0].server[1].address: 192.0.2.11:80 is already service[0].server[0] (line 3)",
		}},
		{"another family than the mark", "[[service]]\nvirtual = { fwmark = 1, family = \"ipv6\" }\n[[service.server]]\naddress = \"192.0.2.11\"", []string{
			"4: service[0].server[0].address: 192.0.2.11 is of another family than the service, fwmark 1 (ipv6)",
		}},
		{"nothing follows from a mistake", "[[service]]\nvirtual = \"192.0.2.100\"\nmethod = \"rd\"\n[[service.server]]\naddress = \"2001:db8::11\"\nport = 8080", []string{
			`2: service[0].virtual: "192.0.2.100" is not an address with a port; its port is missing: write 192.0.2.100:80`,
			"3: service[0].method: unknown value \"rd\"; did you mean `dr`?",
		}},
	})
}

func TestMistakesOfChecks(t *testing.T) {
	// More begins in line 5.
	check := func(more string) string { return service("[service.check]\n" + more) }
	http := func(more string) string { return check("type = \"http\"\n" + more) }
	rows := []mistaken{
		{"type", check("type = \"htpps\""), []string{"5: service[0].check.type: unknown value \"htpps\"; did you mean `https`?"}},
		{"interval", check("interval = \"99ms\"\ntimeout = \"50ms\""), []string{
			`5: service[0].check.interval: "99ms" is out of range: want 100ms to 1h`,
		}},
		{"default timeout above the interval", check("interval = \"500ms\""), []string{
			"4: service[0].check.timeout: its default, 1s, is longer than the interval, 500ms; write a timeout: if it is longer than the interval, the next probe waits for the end of this one",
		}},
		{"counts", check("rise = 0\nfall = 101"), []string{
			"5: service[0].check.rise: 0 is out of range: want 1 to 100",
			"6: service[0].check.fall: 101 is out of range: want 1 to 100",
		}},
		{"method", http("method = \"get\""), []string{"6: service[0].check.method: unknown value \"get\"; did you mean `GET`?"}},
		{"relative path", http("path = \"health\""), []string{`6: service[0].check.path: "health" does not begin with a slash`}},
		{"path that ends the request line", http("path = \"/ HTTP/1.1\\r\\nX: y\""), []string{
			`6: service[0].check.path: "/ HTTP/1.1\r\nX: y" has white space, a #, or characters beyond ASCII; write such characters in percent notation`,
		}},
		{"status", http("status = [\"200-299\", \"3xx\", \"299-200\", \"600\"]"), []string{
			`6: service[0].check.status[1]: "3xx" is not a status; write a code ("304") or a range ("200-299") from 200 to 599`,
			`6: service[0].check.status[2]: "299-200" is not a status; write a code ("304") or a range ("200-299") from 200 to 599`,
			`6: service[0].check.status[3]: "600" is not a status; write a code ("304") or a range ("200-299") from 200 to 599`,
		}},
		{"status as an integer", http("status = [304]"), []string{"6: service[0].check.status[0]: want a string, not 304; put it in quotes"}},
		{"no port behind a firewall mark", "[[service]]\nvirtual = { fwmark = 1 }\nserver = [{ address = \"192.0.2.11\" }]\n[service.check]\nrise = 1", []string{
			"4: service[0].check.port: is missing: behind a firewall mark or port 0, server 192.0.2.11 has no port of its own",
		}},
	}
	for _, key := range []string{`method = "GET"`, `path = "/"`, `host = "www"`, `status = ["200"]`} {
		var name string
		fmt.Sscan(key, &name)
		rows = append(rows, mistaken{"tcp check with " + name, check(key), []string{
			"5: service[0].check." + name + `: has no meaning for a check of type "tcp"; write type = "http", or remove it`,
		}})
	}
	for _, host := range []string{"", "a b", "www:", "www:0", "www:x", "::1", "[::1", "[www]", "a/b", "a..b", "[fe80::1%eth0]", "a:1:2"} {
		rows = append(rows, mistaken{"host " + host, http(fmt.Sprintf("host = %q", host)), []string{hostMistake(host)}})
	}
	run(t, rows)
}

func hostMistake(host string) string {
	const at = "6: service[0].check.host: "
	switch host {
	case "www:":
		return at + `"" is not a port: want 1 to 65535`
	case "www:0":
		return at + `"0" is not a port: want 1 to 65535`
	case "www:x":
		return at + `"x" is not a port: want 1 to 65535`
	}
	return at + fmt.Sprintf(`%q cannot be a Host header; write "www.example.org", "192.0.2.1:8080" or "[2001:db8::1]"`, host)
}
