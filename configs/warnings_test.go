// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// member returns a table [[vrrp]] of the sync group web: five lines, and more lines from line 6 on.
func member(link, vip, more string) string {
	return fmt.Sprintf("[[vrrp]]\ninterface = %q\nvrid = 51\nvips = [%q]\nsync_group = \"web\"\n%s\n", link, vip, more)
}

// three returns the text of service, with three real servers.
func three(more string) string {
	one := `{ address = "192.0.2.11" }`
	return strings.Replace(service(more), one, one+`, { address = "192.0.2.12" }, { address = "192.0.2.13" }`, 1)
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing to do", "name = \"lb1\"", []string{"1: has neither [[vrrp]] nor [[service]]: there is nothing to do"}},
		{"an owner that does not preempt", router("priority = 255\npreempt = false"), []string{
			"6: vrrp[0].preempt: has no effect: priority 255 always takes over (RFC 9568, section 6.1)",
		}},
		{"service on an address that stays", router("") + "[[service]]\nvirtual = \"192.0.2.101:80\"\nserver = [{ address = \"192.0.2.11\" }]", []string{
			"6: service[0].virtual: 192.0.2.101 is not a VIP of any [[vrrp]]: the address will not follow the master",
		}},
		{"nobody to serve", "[[service]]\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\", weight = 0 }]", []string{
			"1: service[0]: all its servers have weight 0: no client will be served",
		}},
		{"service on an excluded VIP", router("excluded_vips = [\"192.0.2.101\"]\n[[service]]\nvirtual = \"192.0.2.101:80\"\nserver = [{ address = \"192.0.2.11\" }]"), nil},
		{"password for all to read", router("version = 2\nauth_pass = \"secret\""), []string{
			"6: vrrp[0].auth_pass: is sent unencrypted: it protects against mistakes, not against attackers",
		}},
		{"a group of one", router("sync_group = \"web\""), []string{"5: vrrp[0].sync_group: web has no other member"}},
		{"a group that disagrees", member("eth0", "192.0.2.1", "") + member("eth1", "192.0.2.2", "priority = 50\nadvert_interval = \"2s\"\n"+
			"track = [{ file = \"/run/x\", weight = -1 }, { file = \"/run/y\" }]"), []string{
			"12: vrrp[1].priority: is 50, but 100 in vrrp[0] (line 1) of the same sync_group; make them equal, so that the members of the group agree on the master",
			"13: vrrp[1].advert_interval: is 2s, but 1s in vrrp[0] (line 1) of the same sync_group; make them equal, so that the members of the group agree on the master",
			"14: vrrp[1].track: has other weights than vrrp[0] (line 1) of the same sync_group; make them equal, so that the members of the group agree on the master",
		}},
		{"a group that agrees", member("eth0", "192.0.2.1", "track = [{ file = \"/run/x\", weight = -1 }, { interface = \"eth2\", weight = 1 }]") +
			member("eth1", "192.0.2.2", "track = [{ interface = \"eth2\", weight = 1 }, { file = \"/run/x\", weight = -1 }, { file = \"/run/y\" }]"), nil},
		{"a group of both families", router("sync_group = \"web\"\n[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"2001:db8::1\"]\nsync_group = \"web\""), nil},
		{"weight of an owner", router("priority = 255\ntrack = [{ interface = \"eth1\",\nweight = -1 }]"), []string{
			"7: vrrp[0].track[0].weight: has no effect: priority 255 never changes",
		}},
		{"weight of the own interface", router("track = [{ interface = \"eth0\",\nweight = -1 }]"), []string{
			"6: vrrp[0].track[0].weight: has no effect: a virtual router always fails with its own interface",
		}},
		{"track of servers that nobody checks", router("track = [{ service = \"192.0.2.100:80\" }]\n" + service("")), []string{
			"5: vrrp[0].track[0].service: 192.0.2.100:80 has no check: its servers always count as healthy",
		}},
		{"minimum that nobody asks for", service("min_up = 1"), []string{
			"4: service[0].min_up: has no effect: no [[vrrp]] tracks the service",
		}},
		{"a scheduler that refuses clients of a drained server", service("scheduler = \"dh\""), []string{
			`4: service[0].scheduler: dh refuses the new clients of a server that is drained or has weight 0; mh does not; or use "tandem disable", which ends the connections`,
		}},
		{"and of a failed one", service("scheduler = \"dh\"\non_failure = \"weight-zero\"\ncheck = { type = \"tcp\" }"), []string{
			`4: service[0].scheduler: dh refuses the new clients of a server that is drained or has weight 0; mh does not; or use "tandem disable", which ends the connections`,
			`5: service[0].on_failure: with dh, weight-zero refuses the new clients of a failed server; use remove`,
		}},
		{"too few servers to take one out", service("outlier = { action = \"weight-zero\" }"), []string{
			"4: service[0].outlier.action: has no effect with fewer than 3 servers: at most a third of them is taken out",
		}},
		{"silent servers of datagrams", three("protocol = \"udp\"\noutlier = { action = \"weight-zero\" }"), []string{
			"5: service[0].outlier.action: has no effect: only connections of TCP, and of UDP with method nat, show who does not answer; remove it",
		}},
		{"silent servers of datagrams whose answers pass", three("protocol = \"udp\"\nmethod = \"nat\"\noutlier = { action = \"weight-zero\" }"), nil},
		{"no clients for a silent server of a scheduler that refuses them",
			three("outlier = { action = \"weight-zero\" }\nscheduler = \"dh\""), []string{
				"4: service[0].outlier.action: with dh, weight-zero refuses the new clients of the server; use mh",
				`5: service[0].scheduler: dh refuses the new clients of a server that is drained or has weight 0; mh does not; or use "tandem disable", which ends the connections`,
			}},
		{"datagrams to a dead server", service("protocol = \"udp\"\non_failure = \"weight-zero\"\ncheck = { type = \"tcp\" }"), []string{
			`5: service[0].on_failure: with weight-zero, a UDP client that keeps its port stays with a dead server, which is silent; use remove`,
		}},
		{"datagrams whose answers are not translated back", service("protocol = \"udp\"\none_packet = true\nmethod = \"nat\""), []string{
			"5: service[0].one_packet: does not work with method nat: the answers of 192.0.2.11 keep the server's own address, and clients ignore them; remove it, or use dr or tunnel",
		}},
		{"datagrams of one server of those", "[[service]]\nvirtual = \"192.0.2.100:53\"\nprotocol = \"udp\"\none_packet = true\n" +
			"server = [{ address = \"192.0.2.11\" }, { address = \"192.0.2.12\", method = \"nat\" }]", []string{
			"4: service[0].one_packet: does not work with method nat: the answers of 192.0.2.12 keep the server's own address, and clients ignore them; remove it, or use dr or tunnel",
		}},
		{"marked datagrams of those", "[[service]]\nvirtual = { fwmark = 1 }\none_packet = true\nmethod = \"nat\"\nserver = [{ address = \"192.0.2.11\" }]", []string{
			"3: service[0].one_packet: does not work with method nat: the answers of 192.0.2.11 keep the server's own address, and clients ignore them; remove it, or use dr or tunnel",
		}},
		{"datagrams whose servers answer themselves", service("protocol = \"udp\"\none_packet = true"), nil},
		{"and through a tunnel", service("protocol = \"udp\"\none_packet = true\nmethod = \"tunnel\""), nil},
		{"too many buckets", "[[service]]\nvirtual = \"192.0.2.100:80\"\nscheduler = \"sh\"\nserver = [{ address = \"192.0.2.11\", weight = 200 }, { address = \"192.0.2.12\", weight = 100 }]", []string{
			`3: service[0].scheduler: sh has 256 buckets, and the weights sum to 300: the last servers get no clients; use smaller weights, or mh`,
		}},
		{"settings that keep clients with a lost server", service("persistence = {}") + "\n[lvs.sysctl]\nexpire_nodest_conn = 0\nexpire_quiescent_template = 0\n", []string{
			`6: lvs.sysctl.expire_nodest_conn: is 0: clients of a server that was removed get silence instead of a reset; remove it, or set it to 1`,
			`7: lvs.sysctl.expire_quiescent_template: is 0: persistent clients stay with a server that is drained or has weight 0, even if it is dead; remove it, or set it to 1`,
		}},
		{"a setting that nobody needs", service("") + "\n[lvs.sysctl]\nexpire_quiescent_template = 0\n", nil},
		{"services without any virtual router", service(""), nil},
		{"IPv6, which no virtual router carries", router("") + "[[service]]\nvirtual = \"[2001:db8::1]:80\"\nserver = [{ address = \"2001:db8::2\" }]", nil},
		{"firewall mark", router("") + "[[service]]\nvirtual = { fwmark = 1 }\nserver = [{ address = \"192.0.2.11\" }]", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, w := range parse(t, tt.text).Warnings {
				got = append(got, strings.TrimPrefix(w.Error(), "t.toml:"))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n%q\nwant\n%q", got, tt.want)
			}
		})
	}
}
