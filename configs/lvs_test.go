// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/lvs"
)

// pool returns a service in two lines, and more of it from line 3 on.
func pool(virtual, more string) string {
	return "[[service]]\nvirtual = " + virtual + "\n" + more
}

// one is the pool of a single server.
const one = "server = [{ address = \"192.0.2.11\" }]\n"

func TestVirtualsAndTheServersInThem(t *testing.T) {
	for _, tt := range []struct{ virtual, more, want string }{
		{`"192.0.2.100:80"`, one, "tcp 192.0.2.100:80 (wlc) → 192.0.2.11:80 (dr, weight 1)"},
		{`["192.0.2.100:80", "192.0.2.101:443"]`, one,
			"tcp 192.0.2.100:80 (wlc) → 192.0.2.11:80 (dr, weight 1); tcp 192.0.2.101:443 (wlc) → 192.0.2.11:443 (dr, weight 1)"},
		{`"[2001:db8::1]:8000-8001"`, `server = [{ address = "2001:db8::2" }]`,
			"tcp [2001:db8::1]:8000 (wlc) → [2001:db8::2]:8000 (dr, weight 1); tcp [2001:db8::1]:8001 (wlc) → [2001:db8::2]:8001 (dr, weight 1)"},
		{`"192.0.2.100:80-81"`, "method = \"nat\"\nprotocol = \"sctp\"\nserver = [{ address = \"10.0.0.1\", port = 8080 }]",
			"sctp 192.0.2.100:80 (wlc) → 10.0.0.1:8080 (nat, weight 1); sctp 192.0.2.100:81 (wlc) → 10.0.0.1:8080 (nat, weight 1)"},
		{`"192.0.2.100:80"`, `server = [{ address = "10.0.0.1", method = "nat", port = 8080, thresholds = { upper = 5 } }]`,
			"tcp 192.0.2.100:80 (wlc) → 10.0.0.1:8080 (nat, weight 1, at most 5 connections)"},
		{`"192.0.2.100:80"`, "method = \"tunnel\"\ntunnel = { type = \"gre\", checksum = \"csum\" }\n" + one,
			"tcp 192.0.2.100:80 (wlc) → 192.0.2.11:80 (tunnel gre csum, weight 1)"},
		{`"192.0.2.100:80"`, `server = [{ address = "2001:db8::2", method = "tunnel", tunnel = { type = "gue", port = 6080 } }]`,
			"tcp 192.0.2.100:80 (wlc) → [2001:db8::2]:80 (tunnel gue port 6080, weight 1)"},
	} {
		s := parse(t, pool(tt.virtual, tt.more)).Services[0]
		var got []string
		for _, v := range s.Virtuals {
			got = append(got, fmt.Sprintf("%s → %s", v, s.Servers[0].In(v)))
		}
		if strings.Join(got, "; ") != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.virtual, strings.Join(got, "; "), tt.want)
		}
	}
}

func TestServicesAreScheduledAsWritten(t *testing.T) {
	s := parse(t, pool(`"192.0.2.100:5060-5061"`, one+`protocol = "udp"
scheduler = "mh"
scheduler_flags = ["mh-port", "mh-fallback"]
one_packet = true
persistence = { timeout = "90s", prefix = 24, engine = "sip" }
slow_start = "30s"
drain_timeout = "10m"
quorum = 1
panic_below = 0.3
sorry_server = { address = "192.0.2.20", method = "nat", port = 80 }
`)).Services[0]
	for _, v := range s.Virtuals {
		want := lvs.Service{ServiceID: v.ServiceID, Scheduler: "mh", Timeout: 90 * time.Second, Prefix: 24, Engine: "sip",
			Flags: lvs.SourcePort | lvs.Fallback | lvs.OnePacket | lvs.Persistent}
		if v != want {
			t.Errorf("got %+v, want %+v", v, want)
		}
	}
	if s.SlowStart != 30*time.Second || s.DrainTimeout != 10*time.Minute || s.PanicBelow != 0.3 || s.Sorry == nil ||
		s.Sorry.In(s.Virtuals[1]).String() != "192.0.2.20:80 (nat, weight 0)" {
		t.Errorf("got %+v with the sorry server %+v", s, s.Sorry)
	}
}

func TestTableAsAWhole(t *testing.T) {
	c := parse(t, "[lvs]\nmanage = \"all\"\nsysctl_restore = true\nsync = { interface = \"eth0\", id = 51 }\n"+
		"[lvs.sysctl]\nexpire_nodest_conn = 1\nsync_threshold = [1, 50]\n")
	full := lvs.Sync{Interface: "eth0", ID: 51, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1, Roles: lvs.SyncBoth}
	if c.LVS.Manage != ManageAll || !c.LVS.SysctlRestore || c.LVS.Sync != full ||
		!maps.Equal(c.LVS.Sysctl, map[string]string{"expire_nodest_conn": "1", "sync_threshold": "1 50"}) {
		t.Errorf("got %+v", c.LVS)
	}
}

// Port 0 means all ports, of the service and of its servers.
func TestAllPorts(t *testing.T) {
	c := parse(t, pool(`"192.0.2.100:0"`, one+"persistence = {}"))
	svc := c.Services[0]
	if v, srv := svc.Virtuals[0], svc.Servers[0]; v.Port != 0 || v.Flags&lvs.Persistent == 0 || srv.In(v).Port != 0 {
		t.Errorf("got %+v with server %+v", v, srv)
	}
	if err := svc.Virtuals[0].Validate(); err != nil {
		t.Error(err)
	}
}

func TestMistakesOfVirtuals(t *testing.T) {
	run(t, []mistaken{
		{"range that ends before it begins", pool(`"192.0.2.100:81-80"`, one), []string{
			`2: service[0].virtual: "80" is not a port from 81 to 65535`,
		}},
		{"range too long", pool(`"192.0.2.100:1-2000"`, one), []string{
			"2: service[0].virtual: has 2000 ports: want at most 1024; mark their packets with a firewall rule, and write { fwmark = 1 }",
		}},
		{"too many in all", pool(`["192.0.2.100:1-1024", "192.0.2.101:1"]`, one), []string{
			"2: service[0].virtual: has 1025 addresses and ports: want at most 1024; mark their packets with a firewall rule, and write { fwmark = 1 }",
		}},
		{"none", pool(`[]`, one), []string{"2: service[0].virtual: has 0 elements: want 1 to 1024"}},
		{"one of several", pool(`["192.0.2.100:80", "192.0.2.101"]`, one), []string{
			`2: service[0].virtual[1]: "192.0.2.101" is not an address with a port; its port is missing: write 192.0.2.101:80`,
		}},
		{"twice", pool(`["192.0.2.100:80-81", "192.0.2.100:81"]`, one), []string{
			"2: service[0].virtual: tcp 192.0.2.100:81 is given twice",
		}},
		{"both families", pool(`["192.0.2.100:80", "[2001:db8::1]:80"]`, one), []string{
			"2: service[0].virtual: has addresses of both families; split it into two services",
		}},
		{"one that another service has", pool(`"192.0.2.100:80-81"`, one) + pool(`"192.0.2.100:81"`, one), []string{
			"5: service[1].virtual: tcp 192.0.2.100:81 is already service[0] (line 1)",
		}},
		{"a port that direct routing cannot map", pool(`"192.0.2.100:80-81"`, `server = [{ address = "192.0.2.11", port = 80 }]`), []string{
			`3: service[0].server[0].port: method "dr" cannot map port 81 to 80; remove it, or use method = "nat"`,
		}},
		{"one server by two ways", pool(`"192.0.2.100:80-81"`, "method = \"nat\"\nserver = [{ address = \"10.0.0.1\" },\n{ address = \"10.0.0.1\", port = 81 }]"), []string{
			"5: service[0].server[1].address: 10.0.0.1:81 is already service[0].server[0] (line 4)",
		}},
	})
}

func TestMistakesOfSchedulingAndPools(t *testing.T) {
	with := func(more string) string { return pool(`"192.0.2.100:80"`, one+more) }
	run(t, []mistaken{
		{"flag of another scheduler", with("scheduler = \"sh\"\nscheduler_flags = [\"sh-port\", \"mh-port\"]"), []string{
			`5: service[0].scheduler_flags[1]: "mh-port" has no meaning for scheduler "sh"`,
		}},
		{"unknown flag", with("scheduler_flags = [\"sh-ports\"]"), []string{
			"4: service[0].scheduler_flags[0]: unknown value \"sh-ports\"; did you mean `sh-port`?",
		}},
		{"one packet of a connection", with("one_packet = true"), []string{"4: service[0].one_packet: is for udp: tcp has connections"}},
		{"persistence", with("persistence = { timeout = \"1.5s\", prefix = 33 }"), []string{
			`4: service[0].persistence.timeout: "1.5s" is not a multiple of 1s; the nearest are 1s and 2s`,
		}},
		{"prefix and engine", with("persistence = { prefix = 33, engine = \"sip\" }"), []string{
			"4: service[0].persistence.prefix: 33 is out of range: want 1 to 32",
			`4: service[0].persistence.engine: "sip" is for UDP services`,
		}},
		{"quorum beyond the pool", with("quorum = 2"), []string{"4: service[0].quorum: 2 is more than the total weight of all servers, 1"}},
		{"quorum that is never lost", with("quorum_hysteresis = 1"), []string{
			"4: service[0].quorum_hysteresis: 1 is not less than quorum, 1: quorum would never be lost",
		}},
		{"quorum that is never regained", with("quorum_hysteresis = 1\nquorum = 2"), []string{
			"4: service[0].quorum_hysteresis: quorum plus hysteresis is 3, but the total weight of all servers is 1: a lost quorum would never be regained",
		}},
		{"panic", with("panic_below = 30"), []string{"4: service[0].panic_below: 30 is out of range: want 0 to 1"}},
		{"panic in words", with("panic_below = \"30%\""), []string{`4: service[0].panic_below: want a number, not the string "30%"`}},
		{"sorry server that is one of them", with("sorry_server = { address = \"192.0.2.11\" }"), []string{
			"4: service[0].sorry_server.address: 192.0.2.11:80 is already service[0].server[0] (line 3)",
		}},
		{"sorry server with a weight", with("sorry_server = { address = \"192.0.2.20\", weight = 1 }"), []string{
			"4: service[0].sorry_server.weight: unknown key; it is a key of [[vrrp.track]] or [[service.server]]",
		}},
		{"sorry server at another port", with("sorry_server = { address = \"192.0.2.20\", port = 81 }"), []string{
			`4: service[0].sorry_server.port: method "dr" cannot map port 80 to 81; remove it, or use method = "nat"`,
		}},
	})
}

func TestMistakesOfTunnelsAndThresholds(t *testing.T) {
	server := func(more string) string {
		return pool(`"192.0.2.100:80"`, "[[service.server]]\naddress = \"192.0.2.11\"\n"+more)
	}
	run(t, []mistaken{
		{"gue without a port", server("method = \"tunnel\"\ntunnel = { type = \"gue\" }"), []string{
			"6: service[0].server[0].tunnel.port: is missing: a gue tunnel needs the port that the real server listens on",
		}},
		{"gre with a port", server("method = \"tunnel\"\ntunnel = { type = \"gre\", port = 1 }"), []string{
			"6: service[0].server[0].tunnel.port: has no meaning: only a gue tunnel has a port; remove it",
		}},
		{"ipip with a checksum", server("method = \"tunnel\"\ntunnel = { type = \"ipip\", checksum = \"csum\" }"), []string{
			"6: service[0].server[0].tunnel.checksum: has no meaning: an ipip tunnel has no checksum; remove it",
		}},
		{"gre with remcsum", server("method = \"tunnel\"\ntunnel = { type = \"gre\", checksum = \"remcsum\" }"), []string{
			`6: service[0].server[0].tunnel.checksum: "remcsum" is for gue tunnels only`,
		}},
		{"tunnel by another method", server("tunnel = { type = \"gre\" }"), []string{
			`5: service[0].server[0].tunnel: has no meaning for method "dr"; remove it`,
		}},
		{"tunnel of a service without one", pool(`"192.0.2.100:80"`, one+"tunnel = { type = \"gre\" }"), []string{
			`4: service[0].tunnel: has no meaning: no server has the method "tunnel"; remove it`,
		}},
		{"thresholds", server("thresholds = { upper = 5, lower = 6 }"), []string{
			"5: service[0].server[0].thresholds.lower: 6 is greater than upper, 5",
		}},
		{"another family beside sync", "[lvs]\nsync = { interface = \"eth0\", id = 1 }\n" +
			pool(`"192.0.2.100:80"`, `server = [{ address = "2001:db8::2", method = "tunnel" }]`), []string{
			"5: service[0].server[0].address: 2001:db8::2 is of another family than the service: the kernel refuses that while connection sync is on; remove [lvs] sync, or use a server of the service's family",
		}},
	})
}

func TestMistakesOfSyncAndSettings(t *testing.T) {
	sync := func(more string) string { return "[lvs.sync]\ninterface = \"eth0\"\nid = 51\n" + more }
	sysctl := func(more string) string { return "[lvs.sysctl]\n" + more }
	run(t, []mistaken{
		{"id", "[lvs.sync]\ninterface = \"eth0\"\nid = 256", []string{"3: lvs.sync.id: 256 is out of range: want 1 to 255"}},
		{"no interface", "[lvs.sync]\nid = 1", []string{"1: lvs.sync.interface: is missing: want a string; for example: interface = \"eth0\""}},
		{"group", sync("group = \"192.0.2.1\""), []string{"4: lvs.sync.group: 192.0.2.1 is not a multicast address"}},
		{"length over IPv6", sync("group = \"ff02::81\"\nmax_len = 65507"), []string{
			"1: lvs.sync: connection sync: length 65507: want 1024 to 65487",
		}},
		{"manage", "[lvs]\nmanage = \"none\"", []string{`2: lvs.manage: unknown value "none"; want own or all`}},
		{"misspelt setting", sysctl("expire_nodest = 1"), []string{
			"2: lvs.sysctl.expire_nodest: unknown key; did you mean `expire_nodest_conn`?",
		}},
		{"out of range", sysctl("drop_entry = 4"), []string{"2: lvs.sysctl.drop_entry: 4: want 0 to 3"}},
		{"in quotes", sysctl("drop_entry = \"1\""), []string{
			`2: lvs.sysctl.drop_entry: want an integer, not the string "1"; write 0 to 3`,
		}},
		{"one number of two", sysctl("sync_threshold = [3]"), []string{
			"2: lvs.sysctl.sync_threshold: want an array of integers, not an array; write 2 numbers, each 0 to 2147483647",
		}},
		{"the wrong way round", sysctl("sync_threshold = [50, 3]"), []string{
			"2: lvs.sysctl.sync_threshold: 50 3: want the second number above the first, or 0",
		}},
	})
}
