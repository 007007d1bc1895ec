// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"strings"
	"testing"
)

func TestMistakesOfVirtualRouters(t *testing.T) {
	run(t, []mistaken{
		{"id", router("")[:len("[[vrrp]]\ninterface = \"eth0\"\n")] + "vrid = 256\nvips = [\"192.0.2.1\"]", []string{
			"3: vrrp[0].vrid: 256 is out of range: want 1 to 255",
		}},
		{"interface", "[[vrrp]]\ninterface = \"eth0:1\"\nvrid = 1\nvips = [\"192.0.2.1\"]\n[[vrrp]]\ninterface = \"a-name-too-long1\"\nvrid = 1\nvips = [\"192.0.2.2\"]", []string{
			`2: vrrp[0].interface: "eth0:1" cannot be the name of an interface`,
			`6: vrrp[1].interface: "a-name-too-long1" is longer than the 15 bytes of an interface name`,
		}},
		{"version", router("version = 1"), []string{
			"5: vrrp[0].version: version 1 is not supported: want 2 (RFC 3768, over IPv4 only) or 3 (RFC 9568)",
		}},
		{"priority", router("priority = 0"), []string{
			"5: vrrp[0].priority: 0 is out of range: want 1 to 255",
		}},
		{"interval too short", router("advert_interval = \"5ms\""), []string{
			`5: vrrp[0].advert_interval: "5ms" is out of range: want 10ms to 40.95s in whole steps of 10ms`,
		}},
		{"interval too long", router("advert_interval = \"40.96s\""), []string{
			`5: vrrp[0].advert_interval: "40.96s" is out of range: want 10ms to 40.95s in whole steps of 10ms`,
		}},
		{"interval between two centiseconds", router("advert_interval = \"1.005s\""), []string{
			`5: vrrp[0].advert_interval: "1.005s" is not a multiple of 10ms; the nearest are 1s and 1.01s`,
		}},
		{"announcements", router("[vrrp.announce]\nrepeat = [\"0s\", \"2s\", \"1s\"]\nrefresh = \"-1s\"\nspacing = \"2s\""), []string{
			"6: vrrp[0].announce.repeat[2]: 1s is not later than the one before it, 2s",
			`7: vrrp[0].announce.refresh: "-1s" is out of range: want 0s or 1s to 24h`,
			`8: vrrp[0].announce.spacing: "2s" is out of range: want 0s to 1s`,
		}},
		{"flood", router("[vrrp.announce]\nrefresh = \"999ms\""), []string{
			`6: vrrp[0].announce.refresh: "999ms" is out of range: want 0s or 1s to 24h`,
		}},
		{"no announcement", router("announce.repeat = []"), []string{
			"5: vrrp[0].announce.repeat: has 0 elements: want 1 to 100",
		}},
		{"VIPs", "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\n\"192.0.2.0/24\",\n\"192.0.2.255/24\",\n\"224.0.0.18\",\n\"192.0.2.9\",\n\"127.0.0.1\",\n\"0.0.0.0\",\n\"255.255.255.255\",\n\"192.0.2.1/0\",\n\"192.0.2.1/33\",\n\"www\",\n80,\n\"::ffff:192.0.2.1\",\n]", []string{
			"5: vrrp[0].vips[0]: 192.0.2.0 is the address of the network 192.0.2.0/24 itself",
			"6: vrrp[0].vips[1]: 192.0.2.255 is the broadcast address of 192.0.2.0/24",
			"7: vrrp[0].vips[2]: 224.0.0.18 is a multicast address",
			"9: vrrp[0].vips[4]: 127.0.0.1 is a loopback address",
			"10: vrrp[0].vips[5]: 0.0.0.0 is not a host address",
			"11: vrrp[0].vips[6]: 255.255.255.255 is the broadcast address",
			"12: vrrp[0].vips[7]: prefix length 0 would make every address a neighbour",
			`13: vrrp[0].vips[8]: "192.0.2.1/33" is not an address with a prefix length; write "192.0.2.100/24"`,
			`14: vrrp[0].vips[9]: "www" is not an address; write "192.0.2.100/24" or "192.0.2.100"`,
			"15: vrrp[0].vips[10]: want a string, not 80; put it in quotes",
			"16: vrrp[0].vips[11]: ::ffff:192.0.2.1 is an IPv4 address in IPv6 notation; write 192.0.2.1",
		}},
		{"the same id twice on an interface", router(router("")), []string{
			"7: vrrp[1].vrid: 51 on eth0 is already used by vrrp[0] (line 1); each virtual router of an interface needs its own",
			"8: vrrp[1].vips[0]: 192.0.2.100 is already vrrp[0].vips[0] (line 4)",
		}},
		{"the same VIP twice in a router", "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100/24\",\n\"192.0.2.100/32\"]", []string{
			"5: vrrp[0].vips[1]: 192.0.2.100 is already vrrp[0].vips[0] (line 4)",
		}},
		{"the same name twice", router("name = \"a\"\n[[vrrp]]\nname = \"a\"\ninterface = \"eth1\"\nvrid = 51\nvips = [\"192.0.2.1\"]"), []string{
			`7: vrrp[1].name: "a" is already the name of vrrp[0] (line 1); names must differ`,
		}},
		{"a name like another's default", router("[[vrrp]]\nname = \"eth0-51\"\ninterface = \"eth1\"\nvrid = 51\nvips = [\"192.0.2.1\"]"), []string{
			`6: vrrp[1].name: "eth0-51" is already the name of vrrp[0] (line 1); names must differ`,
		}},
	})
}

func TestMistakesOfTheProtocol(t *testing.T) {
	v2 := func(more string) string { return router("version = 2\n" + more) } // more begins in line 6
	v6 := "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"2001:db8::100/64\"]\n"
	run(t, []mistaken{
		{"version 2 over IPv6", "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nversion = 2\nvips = [\"192.0.2.1\",\n\"2001:db8::1\"]", []string{
			"6: vrrp[0].vips[1]: 2001:db8::1 is an IPv6 address: version 2 speaks IPv4 only; write version = 3",
		}},
		{"version 2 below a second", v2("advert_interval = \"500ms\""), []string{
			`6: vrrp[0].advert_interval: "500ms" is out of range: want 1s to 40s in whole seconds`,
		}},
		{"version 2 between two seconds", v2("advert_interval = \"1500ms\""), []string{
			`6: vrrp[0].advert_interval: "1500ms" is not a multiple of 1s; the nearest are 1s and 2s`,
		}},
		{"version 2 above its longest", v2("advert_interval = \"41s\""), []string{
			`6: vrrp[0].advert_interval: "41s" is out of range: want 10ms to 40.95s in whole steps of 10ms`,
		}},
		{"longer than any", router("advert_interval = \"60s\""), []string{
			`5: vrrp[0].advert_interval: "60s" is out of range: want 10ms to 40.95s in whole steps of 10ms`,
		}},
		{"version 2 with a choice of checksum", v2("checksum = \"packet\""), []string{
			"6: vrrp[0].checksum: has no meaning for version 2: there is only one form; remove it",
		}},
		{"IPv6 with a choice of checksum", v6 + "checksum = \"packet\"", []string{
			"5: vrrp[0].checksum: has no meaning over IPv6: there is only one form; remove it",
		}},
		{"checksum", router("checksum = \"pseudo\""), []string{
			"5: vrrp[0].checksum: unknown value \"pseudo\"; did you mean `pseudo-header`?",
		}},
		{"password in version 3", router("auth_pass = \"secret\""), []string{
			"5: vrrp[0].auth_pass: version 3 has no authentication (RFC 9568, section 9); write version = 2, or remove it",
		}},
		{"empty password", v2("auth_pass = \"\""), []string{
			"6: vrrp[0].auth_pass: is empty; remove it for no authentication",
		}},
		{"long password, which the report keeps to itself", v2("auth_pass = \"ninechars\""), []string{
			"6: vrrp[0].auth_pass: has 9 characters: an advertisement has room for 8",
		}},
		{"password beyond ASCII", v2("auth_pass = \"geheimß\""), []string{
			"6: vrrp[0].auth_pass: has a character that is not printable ASCII",
		}},
		{"delay of what is not done", router("preempt = false\npreempt_delay = \"1s\""), []string{
			"6: vrrp[0].preempt_delay: has no meaning with preempt = false; remove one of them",
		}},
		{"delays", router("preempt_delay = \"61m\"\nstartup_delay = \"-1s\""), []string{
			`5: vrrp[0].preempt_delay: "61m" is out of range: want 0s to 1h`,
			`6: vrrp[0].startup_delay: "-1s" is out of range: want 0s to 1h`,
		}},
		{"group", router("sync_group = \"a b\""), []string{
			`5: vrrp[0].sync_group: "a b" has the character ' '; use letters, digits and any of . - _ :`,
		}},
		{"the process", "[election]\nrealtime = 1\norphan_grace = \"11m\"", []string{
			"2: election.realtime: want a boolean, not 1; write true or false, without quotes",
			`3: election.orphan_grace: "11m" is out of range: want 0s to 10m`,
		}},
	})
}

func TestMistakesOfAddresses(t *testing.T) {
	vips := func(list string) string { return "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [" + list + "]\n" }
	run(t, []mistaken{
		{"IPv6", vips("\n\"2001:db8::/64\",\n\"ff02::12\",\n\"::1\",\n\"::\",\n\"fe80::1%eth0\",\n\"2001:db8::1/0\",\n\"2001:db8::1/129\",\n"), []string{
			"5: vrrp[0].vips[0]: 2001:db8:: is the subnet-router anycast address of 2001:db8::/64 (RFC 4291, section 2.6.1)",
			"6: vrrp[0].vips[1]: ff02::12 is a multicast address",
			"7: vrrp[0].vips[2]: ::1 is a loopback address",
			"8: vrrp[0].vips[3]: :: is not a host address",
			"9: vrrp[0].vips[4]: fe80::1%eth0 has a zone, which follows from the interface; write fe80::1",
			"10: vrrp[0].vips[5]: prefix length 0 would make every address a neighbour",
			`11: vrrp[0].vips[6]: "2001:db8::1/129" is not an address with a prefix length; write "192.0.2.100/24"`,
		}},
		{"more than an advertisement lists", vips(many(256) + `"2001:db8::1"`), []string{
			"4: vrrp[0].vips: has 256 IPv4 addresses: an advertisement can list 255; put the rest in excluded_vips",
		}},
		{"VIP that is excluded too", router("excluded_vips = [\"192.0.2.100\"]"), []string{
			"5: vrrp[0].excluded_vips[0]: 192.0.2.100 is already vrrp[0].vips[0] (line 4)",
		}},
		{"excluded VIP of another router", router("excluded_vips = [\"2001:db8::1\"]\n[[vrrp]]\ninterface = \"eth1\"\nvrid = 51\nvips = [\"2001:db8::1\"]"), []string{
			"9: vrrp[1].vips[0]: 2001:db8::1 is already vrrp[0].excluded_vips[0] (line 5)",
		}},
		{"the same link-local address twice on an interface", vips(`"fe80::1/64"`) + "[[vrrp]]\ninterface = \"eth0\"\nvrid = 52\nvips = [\"fe80::1/64\"]", []string{
			"8: vrrp[1].vips[0]: fe80::1 is already vrrp[0].vips[0] (line 4)",
		}},
		{"the same id twice in one family of two", vips(`"192.0.2.1", "2001:db8::1"`) + "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"2001:db8::2\"]", []string{
			"7: vrrp[1].vrid: 51 on eth0 is already used by vrrp[0] (line 1); each virtual router of an interface needs its own",
		}},
		{"a name like that of the IPv6 half", "[[vrrp]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.1\", \"2001:db8::1\"]\n[[vrrp]]\nname = \"web-ipv6\"\ninterface = \"eth1\"\nvrid = 51\nvips = [\"192.0.2.2\"]", []string{
			`7: vrrp[1].name: "web-ipv6" is already the name of vrrp[0] (line 1); names must differ`,
		}},
		{"virtual MAC interface without virtual MAC", router("virtual_mac_interface = \"vip0\""), []string{
			"5: vrrp[0].virtual_mac_interface: has no meaning without virtual_mac; write virtual_mac = true, or remove it",
		}},
		{"no room for two names", vips(`"192.0.2.1", "2001:db8::1"`) + "virtual_mac = true\nvirtual_mac_interface = \"fourteen-bytes\"", []string{
			`6: vrrp[0].virtual_mac_interface: "fourteen-bytes" is longer than 13 bytes: there is no room for the -6 that IPv6 adds`,
		}},
		{"one default name for two interfaces", router("virtual_mac = true\n[[vrrp]]\ninterface = \"eth1\"\nvrid = 51\nvirtual_mac = true\nvips = [\"192.0.2.1\"]"), []string{
			"6: vrrp[1].virtual_mac_interface: vrrp.51 is already the interface of vrrp[0] (line 1); give it another name",
		}},
		{"the name of an interface in use", router("virtual_mac = true\nvirtual_mac_interface = \"eth0\""), []string{
			"6: vrrp[0].virtual_mac_interface: eth0 is an interface that carries advertisements; give it another name",
		}},
	})
}

// many returns n addresses, each followed by a comma.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\"10.0.%d.%d\", ", i/200, 1+i%200)
	}
	return b.String()
}

func TestMistakesOfUnicast(t *testing.T) {
	both := "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100/24\", \"2001:db8::100/64\"]\n"
	run(t, []mistaken{
		{"peers", router("unicast_peers = [\n\"224.0.0.18\",\n\"127.0.0.2\",\n\"fe80::2%eth0\",\n\"192.0.2.3:112\",\n\"192.0.2.100\",\n\"192.0.2.2\",\n\"192.0.2.4\",\n\"192.0.2.4\"]\nunicast_source = \"192.0.2.2\""), []string{
			"6: vrrp[0].unicast_peers[0]: 224.0.0.18 is a multicast address",
			"7: vrrp[0].unicast_peers[1]: 127.0.0.2 is a loopback address",
			"8: vrrp[0].unicast_peers[2]: fe80::2%eth0 has a zone, which follows from the interface; write fe80::2",
			`9: vrrp[0].unicast_peers[3]: "192.0.2.3:112" is not an address`,
			"10: vrrp[0].unicast_peers[4]: 192.0.2.100 is a VIP; give the addresses of the other directors",
			"11: vrrp[0].unicast_peers[5]: 192.0.2.2 is unicast_source, an address of this director; give the addresses of the other directors",
			"13: vrrp[0].unicast_peers[7]: 192.0.2.4 is already vrrp[0].unicast_peers[6] (line 12)",
		}},
		{"settings without peers", router("unicast_source = \"192.0.2.2\"\nunicast_ttl_min = 254"), []string{
			"5: vrrp[0].unicast_source: has no meaning without unicast_peers; add them, or remove it",
			"6: vrrp[0].unicast_ttl_min: has no meaning without unicast_peers; add them, or remove it",
		}},
		{"hops", router("unicast_peers = [\"192.0.2.2\"]\nunicast_ttl_min = 0"), []string{
			"6: vrrp[0].unicast_ttl_min: 0 is out of range: want 1 to 255",
		}},
		{"one family without peers", both + "unicast_peers = [\"192.0.2.2\"]", []string{
			"5: vrrp[0].unicast_peers: has no IPv6 address, but some VIPs are; add one, or split it into two [[vrrp]]",
		}},
		{"peers and source of another family", router("unicast_peers = [\"192.0.2.2\",\n\"2001:db8::2\"]\nunicast_source = \"2001:db8::1\""), []string{
			"6: vrrp[0].unicast_peers[1]: 2001:db8::2 is an IPv6 address, but no VIP is",
			"7: vrrp[0].unicast_source: 2001:db8::1 is an IPv6 address, but no VIP is",
		}},
	})
}

func TestMistakesOfRoutes(t *testing.T) {
	// More begins in line 6.
	route := func(more string) string { return router("[[vrrp.route]]\n" + more) }
	rule := func(more string) string { return router("[[vrrp.rule]]\n" + more) }
	run(t, []mistaken{
		{"nowhere", route("via = \"192.0.2.1\""), []string{"5: vrrp[0].route[0].to: is missing: want a string; for example: to = \"198.51.100.0/24\""}},
		{"no prefix", route("to = \"everywhere\""), []string{
			`6: vrrp[0].route[0].to: "everywhere" is not an address; write "198.51.100.0/24" or "198.51.100.7"`,
		}},
		{"bits beyond the prefix", route("to = \"198.51.100.7/24\""), []string{
			"6: vrrp[0].route[0].to: 198.51.100.7/24 has bits set beyond its prefix; write 198.51.100.0/24",
		}},
		{"two families", route("to = \"198.51.100.0/24\"\nvia = \"fe80::1\"\nsrc = \"2001:db8::1\""), []string{
			"7: vrrp[0].route[0].via: fe80::1 is of another family than the route, IPv4",
			"8: vrrp[0].route[0].src: 2001:db8::1 is of another family than the route, IPv4",
		}},
		{"default route of two families", route("to = \"default\"\nvia = \"192.0.2.1\"\nsrc = \"2001:db8::1\""), []string{
			"8: vrrp[0].route[0].src: 2001:db8::1 is of another family than the route, IPv4",
		}},
		{"on the link without a router", route("to = \"default\"\nonlink = true"), []string{
			"7: vrrp[0].route[0].onlink: has no meaning without via; add via, or remove it",
		}},
		{"numbers", route("to = \"default\"\ntable = 0\nmetric = -1\ndev = \"a/b\""), []string{
			"7: vrrp[0].route[0].table: 0 is out of range: want 1 to 4294967295",
			"8: vrrp[0].route[0].metric: -1 is out of range: want 0 to 4294967295",
			`9: vrrp[0].route[0].dev: "a/b" cannot be the name of an interface`,
		}},
		{"the same route twice", route("to = \"default\"\nvia = \"192.0.2.1\"\n[[vrrp.route]]\nto = \"0.0.0.0/0\"\nvia = \"192.0.2.2\""), []string{
			"9: vrrp[0].route[1].to: 0.0.0.0/0 is already vrrp[0].route[0] (line 5); give it another metric or table",
		}},
		{"rule without what it needs", rule("from = \"192.0.2.0/25\""), []string{
			"5: vrrp[0].rule[0].table: is missing: want an integer; for example: table = 100",
			"5: vrrp[0].rule[0].priority: is missing: want an integer; for example: priority = 1000",
		}},
		{"rule of two families", rule("from = \"192.0.2.100\"\nto = \"2001:db8::/32\"\ntable = 1\npriority = 1"), []string{
			"7: vrrp[0].rule[0].to: 2001:db8::/32 is of another family than from, 192.0.2.100/32",
		}},
		{"rules that could be different ones", rule("table = 0\npriority = 1\n[[vrrp.rule]]\ntable = -1\npriority = 1"), []string{
			"6: vrrp[0].rule[0].table: 0 is out of range: want 1 to 4294967295",
			"9: vrrp[0].rule[1].table: -1 is out of range: want 1 to 4294967295",
		}},
		{"the same rule twice", rule("table = 1\npriority = 1\n[[vrrp.rule]]\ntable = 1\npriority = 1"), []string{
			"8: vrrp[0].rule[1]: is already vrrp[0].rule[0] (line 5)",
		}},
	})
}
