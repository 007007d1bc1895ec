// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

func TestPlans(t *testing.T) {
	busy := map[string]int{"192.0.2.11": 1, "192.0.2.12": 2, "192.0.2.21": 7}
	master := situation{role: vrrp.Master, connections: busy}
	backup := situation{role: vrrp.Backup, connections: busy}
	for _, c := range []struct {
		why     string
		is      situation
		replace []string // in the configuration in force, old and new
		want    string
	}{
		{"the file in force changes nothing", master, nil, ``},
		{"comments and order of keys change nothing", master, []string{"vrid = 51\npriority = 150", "# this one\npriority = 150\nvrid = 51"}, ``},

		// Real servers.
		{"a removed server", master, []string{web2, ""}, `
interrupts: remove server 192.0.2.12:80 of www — 2 connections of 192.0.2.12 end
`},
		{"a removed server with one connection", master, []string{web1, ""}, `
interrupts: remove server 192.0.2.11:80 of www — 1 connection of 192.0.2.11 ends
`},
		{"a removed server without connections", situation{role: vrrp.Master}, []string{web2, ""}, `
none: remove server 192.0.2.12:80 of www — no connection ends
`},
		{"a removed server at the backup, which has copies of the connections", backup, []string{web2, ""}, `
none: remove server 192.0.2.12:80 of www — the copies of 2 connections of 192.0.2.12 end: clients lose these only at a failover
`},
		{"a removed server of a service with drain_timeout", master, []string{web2, "", `scheduler = "wrr"`, "scheduler = \"wrr\"\ndrain_timeout = \"5m\""}, `
drains: remove server 192.0.2.12:80 of www: weight 1 → 0: it drains — no new clients; its 2 connections may last 5m, then the rest ends
none: change service www: drain_timeout 0s → 5m
`},
		{"a removed server that is not in the kernel's table", situation{role: vrrp.Master, sick: "192.0.2.12"}, []string{web2, ""}, `
none: remove server 192.0.2.12:80 of www: from the configuration — the kernel's table does not have it
`},
		{"a removed server of several ports is one line", master, []string{dns, "  [[service.server]]\n  address = \"192.0.2.22\"\n"}, `
interrupts: remove server 192.0.2.21 of dns — 14 connections of 192.0.2.21 end
none: add server 192.0.2.22 of dns: dr, weight 1 — gets clients at once, because it has no check
`},
		{"a removed server that an operator has drained", situation{role: vrrp.Master, drained: "www/192.0.2.12"}, []string{web2, ""}, `
none: remove server 192.0.2.12:80 of www — no connection ends
none: remove order about server 192.0.2.12:80 of www: drained by command — the order is forgotten, because the server is no longer configured
`},
		{"weight 0", master, []string{web2, web2 + "  weight = 0\n"}, `
drains: change server 192.0.2.12:80 of www: weight 1 → 0 — no new clients; its 2 connections stay
`},
		{"another weight", master, []string{web2, web2 + "  weight = 5\n"}, `
none: change server 192.0.2.12:80 of www: weight 1 → 5
`},
		{"another weight of a server that does not serve", situation{role: vrrp.Master, sick: "192.0.2.12"}, []string{web2, web2 + "  weight = 5\n"}, `
none: change server 192.0.2.12:80 of www: weight 1 → 5 (later) — when it serves again
`},
		{"another method", master, []string{web2, web2 + "  method = \"nat\"\n"}, `
none: change server 192.0.2.12:80 of www: method dr → nat — its 2 connections keep the former method; the server must be prepared for the new one
`},
		{"a new server that its check finds healthy", situation{role: vrrp.Master, probes: map[CheckID]Probe{
			{"www/192.0.2.13:80", 0}: {Result: healthcheck.Pass("status 200")},
		}}, []string{web2, web2 + web3}, `
none: add server 192.0.2.13:80 of www: dr, weight 1 when its check passes (later) — healthy: status 200
`},
		{"a new server that refuses", situation{role: vrrp.Master, probes: map[CheckID]Probe{
			{"www/192.0.2.13:80", 0}: {Result: healthcheck.Fail(healthcheck.Refused, "connection refused")},
		}}, []string{web2, web2 + web3}, `
none: add server 192.0.2.13:80 of www: dr, weight 1 when its check passes (later) — not healthy: connection refused; no clients until its check passes
`},
		{"a new server whose check could not be run", situation{role: vrrp.Master, probes: map[CheckID]Probe{
			{"www/192.0.2.13:80", 0}: {NotRun: "too late"},
		}}, []string{web2, web2 + web3}, `
none: add server 192.0.2.13:80 of www: dr, weight 1 when its check passes (later) — not checked before the reload: too late
`},
		{"all servers are replaced", situation{role: vrrp.Master, connections: busy, probes: map[CheckID]Probe{
			{"www/192.0.2.13:80", 0}: {Result: healthcheck.Pass("status 200")},
		}}, []string{web1, web3, web2, ""}, `
interrupts: remove server 192.0.2.11:80 of www — 1 connection of 192.0.2.11 ends
interrupts: remove server 192.0.2.12:80 of www — 2 connections of 192.0.2.12 end
interrupts: change service www: no server takes new clients — until a check passes, new clients get no answer
none: add server 192.0.2.13:80 of www: dr, weight 1 when its check passes (later) — healthy: status 200
`},

		// Services.
		{"a removed service", master, []string{inForce[strings.Index(inForce, "[[service]]\nname = \"dns\""):], ""}, `
interrupts: remove service dns (udp 192.0.2.101:53, udp 192.0.2.101:5353) — clients of it get no service; 14 connections of dns end
`},
		{"another port: the servers leave with the service, and others wait for their checks", master, []string{`"192.0.2.100:80"`, `"192.0.2.100:81"`}, `
interrupts: remove service www (tcp 192.0.2.100:80) — clients of it get no service; 3 connections of www end
none: add service www (tcp 192.0.2.100:81): scheduler wrr
none: add server 192.0.2.11:81 of www: dr, weight 1 when its check passes (later)
none: add server 192.0.2.12:81 of www: dr, weight 1 when its check passes (later)
`},
		{"a removed server that an operator has drained, and drain_timeout", situation{role: vrrp.Master, drained: "www/192.0.2.12"},
			[]string{web2, "", `scheduler = "wrr"`, "scheduler = \"wrr\"\ndrain_timeout = \"5m\""}, `
none: remove server 192.0.2.12:80 of www: from the configuration (later) — it has weight 0 already, and leaves with its last connection, or after 5m
none: remove order about server 192.0.2.12:80 of www: drained by command — the order is forgotten, because the server is no longer configured
none: change service www: drain_timeout 0s → 5m
`},
		{"a new service", master, []string{"name = \"dns\"\nvirtual = [", "name = \"dns\"\nvirtual = [\"192.0.2.101:54\", "}, `
none: add service dns (udp 192.0.2.101:54): scheduler rr
none: add server 192.0.2.21:54 of dns: dr, weight 1 — gets clients at once, because it has no check
`},
		{"another scheduler", master, []string{`"wrr"`, `"wlc"`}, `
none: change service www (tcp 192.0.2.100:80): scheduler wrr → wlc — connections stay; new ones are scheduled in the new way
`},
		{"a scheduler that this kernel does not have", master, []string{`"wrr"`, `"twos"`}, `
interrupts: change service www (tcp 192.0.2.100:80): scheduler wrr → twos — this kernel has no scheduler twos: the service stays as it is, and the director steps back
`},
		{"settings of a service that the kernel does not have", master, []string{`scheduler = "wrr"`, "scheduler = \"wrr\"\nquorum = 2\non_failure = \"weight-zero\""}, `
none: change service www: on_failure remove → weight-zero, quorum 1 → 2
`},
		{"what drifted is repaired anyway, and is no change", situation{role: vrrp.Master, kernel: func(rows []lvs.ServiceStatus) []lvs.ServiceStatus {
			rows[0].Servers = nil
			return rows[:1]
		}}, nil, ``},
		{"a service of another program is taken over", situation{role: vrrp.Master, kernel: func(rows []lvs.ServiceStatus) []lvs.ServiceStatus {
			return append(rows, lvs.ServiceStatus{Service: lvs.Service{Scheduler: "rr", ServiceID: lvs.ServiceID{
				Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 443,
			}}})
		}}, []string{`virtual = "192.0.2.100:80"`, `virtual = ["192.0.2.100:80", "192.0.2.100:443"]`}, `
none: change service www (tcp 192.0.2.100:443): scheduler rr → wrr — replaces what another program has set up; connections stay; new ones are scheduled in the new way
none: add server 192.0.2.11:443 of www: dr, weight 1
none: add server 192.0.2.12:443 of www: dr, weight 1
`},
		{"and its servers keep their weights until their checks pass", situation{role: vrrp.Master, kernel: func(rows []lvs.ServiceStatus) []lvs.ServiceStatus {
			server := lvs.Server{ServerID: lvs.ServerID{Addr: netip.MustParseAddr("192.0.2.31"), Port: 80}, Method: lvs.DR, Weight: 7}
			same := server
			same.Addr, same.Weight = netip.MustParseAddr("192.0.2.33"), 2
			return append(rows, lvs.ServiceStatus{Service: lvs.Service{Scheduler: "wrr", ServiceID: lvs.ServiceID{
				Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.101"), Port: 80,
			}}, Servers: []lvs.ServerStatus{{Server: server, Active: 5}, {Server: same}}})
		}}, []string{"[[service]]\nname = \"dns\"", `[[service]]
name = "shop"
virtual = "192.0.2.101:80"
scheduler = "wrr"
check = { type = "tcp" }
server = [{ address = "192.0.2.31" }, { address = "192.0.2.32" }, { address = "192.0.2.33", weight = 2 }]
[[service]]
name = "dns"`}, `
none: add server 192.0.2.31:80 of shop: dr, weight 7 as in the kernel's table, and 1 when its check passes
none: add server 192.0.2.32:80 of shop: dr, weight 1 when its check passes (later)
none: add server 192.0.2.33:80 of shop: dr, weight 2, as it is in the kernel's table
`},

		// Checks.
		{"times of a check", master, []string{`path = "/health"`, "path = \"/health\"\ninterval = \"5s\"\nfall = 5"}, `
none: change check of www: interval 2s → 5s, fall 3 → 5
`},
		{"another question, which one server does not like", situation{role: vrrp.Master, probes: map[CheckID]Probe{
			{"www/192.0.2.11:80", 0}: {Result: healthcheck.Pass("status 200")},
			{"www/192.0.2.12:80", 0}: {Result: healthcheck.Fail(healthcheck.Unexpected, "status 404")},
		}}, []string{`path = "/health"`, `path = "/healthz"`}, `
drains: change check of www: path "/health" → "/healthz" — 1 healthy, 1 not healthy; out of service, if the check goes on to fail: 192.0.2.12: status 404
`},
		{"another question, which no server likes", situation{role: vrrp.Master, probes: map[CheckID]Probe{
			{"www/192.0.2.11:80", 0}: {Result: healthcheck.Fail(healthcheck.Unexpected, "status 404")},
			{"www/192.0.2.12:80", 0}: {Result: healthcheck.Fail(healthcheck.Unexpected, "status 404")},
		}}, []string{`path = "/health"`, `path = "/healthz"`}, `
interrupts: change check of www: path "/health" → "/healthz" — 0 healthy, 2 not healthy; out of service, if the check goes on to fail: 192.0.2.11: status 404, 192.0.2.12: status 404
`},
		{"another type of check", master, []string{`type = "http"`, "type = \"https\"\ntls_verify = false"}, `
none: change check of www: type http → https, tls false → true, tls_verify true → false, tls_version none → 1.2
`},
		{"no check any more", master, []string{"  [service.check]\n  type = \"http\"\n  path = \"/health\"\n", ""}, `
none: remove check of www: http — the servers count as healthy without a check
`},

		// Virtual routers and addresses.
		{"the master's priority falls", master, []string{"priority = 150", "priority = 90"}, `
moves: change virtual router web: priority 150 → 90 — moves VIP if the peer's priority is above 90: hand-over
`},
		{"the master's priority rises", master, []string{"priority = 150", "priority = 200"}, `
none: change virtual router web: priority 150 → 200
`},
		{"the backup's priority rises", backup, []string{"priority = 150", "priority = 200"}, `
moves: change virtual router web: priority 150 → 200 — moves VIP if 200 is above the master's priority: this director takes over
`},
		{"the backup's priority rises, and it does not preempt", backup, []string{"priority = 150", "priority = 200\npreempt = false"}, `
none: change virtual router web: priority 150 → 200 — no effect while there is a master: preempt is false
none: change virtual router web: preempt true → false
`},
		{"an address moves to another interface", master, []string{`"192.0.2.101/24"`, `{ address = "192.0.2.101/24", interface = "eth1" }`}, `
none: remove 192.0.2.101/24: from eth0 — stays on this machine: it moves to eth1
none: add 192.0.2.101/24: to eth1
`},
		{"an address on another interface at the backup", backup, []string{`"192.0.2.101/24"`, `"192.0.2.101/24", { address = "198.51.100.1/24", interface = "eth1" }`}, `
none: add 198.51.100.1/24: to eth1 (later) — as soon as this director is master of web
`},
		{"no address any more", master, []string{`vips = ["192.0.2.100/24", "192.0.2.101/24"]`, ""}, `
interrupts: change virtual router web: it has no VIP any more — until the peer has none either, it takes us for another pair, and both directors are master
interrupts: remove 192.0.2.100/24: from eth0 — clients of 192.0.2.100 get no answer
interrupts: remove 192.0.2.101/24: from eth0 — clients of 192.0.2.101 get no answer
`},
		{"a longer wait for a silent master", master, []string{"priority = 150", "priority = 150\ndown_adverts = 6"}, `
none: change virtual router web: down_adverts 3 → 6 — a silent master counts as gone after 6.414s; give the peer the same
`},
		{"labels and delays", master, []string{`vips = ["192.0.2.100/24", `, "debounce = { down_delay = \"200ms\" }\nvips = [{ address = \"192.0.2.100/24\", label = \"eth0:web\" }, "}, `
none: change virtual router web: label [] → [192.0.2.100 eth0:web], debounce.down_delay 0s → 200ms — an address that gets another label is removed and added again at once
`},
		{"a second path", master, []string{"priority = 150", "priority = 150\nheartbeat = [\"eth1\", { peer = \"10.0.0.2\" }]"}, `
none: change virtual router web: heartbeat [] → [eth1, 10.0.0.2] — a path is heard when the peer has it too; give the peer the same
`},
		{"a crossover cable", master, []string{"priority = 150", "priority = 150\ncarrier = \"ignore\""}, `
none: change virtual router web: carrier track → ignore — if eth0 loses its carrier, this director becomes or stays master
`},
		{"another source", master, []string{"priority = 150", "priority = 150\nsource = \"192.0.2.9\""}, `
none: change virtual router web: source none → 192.0.2.9
`},
		{"an address less at the master", master, []string{`, "192.0.2.101/24"`, ""}, `
interrupts: remove 192.0.2.101/24: from eth0 — clients of 192.0.2.101 get no answer
`},
		{"an address less at the backup", backup, []string{`, "192.0.2.101/24"`, ""}, `
none: remove 192.0.2.101/24: from eth0 (later) — this director is not master of web: it does not have the address now
`},
		{"an address more at the master", master, []string{`"192.0.2.101/24"`, `"192.0.2.101/24", "192.0.2.102/24"`}, `
none: add 192.0.2.102/24: to eth0
`},
		{"an address more at the backup", backup, []string{`"192.0.2.101/24"`, `"192.0.2.101/24", "192.0.2.102/24"`}, `
none: add 192.0.2.102/24: to eth0 (later) — as soon as this director is master of web
`},
		{"another prefix length", master, []string{`"192.0.2.101/24"`, `"192.0.2.101/32"`}, `
none: remove 192.0.2.101/24: from eth0 — stays on this machine: it is added again as 192.0.2.101/32
none: add 192.0.2.101/32: to eth0
`},
		{"another VRID", master, []string{"vrid = 51", "vrid = 52"}, `
interrupts: change virtual router web: vrid 51 → 52 — starts anew with another VRID: until the peer has the same, both directors are master and have the VIPs
moves: remove 192.0.2.100/24: from eth0 — leaves with virtual router web
moves: remove 192.0.2.101/24: from eth0 — leaves with virtual router web
none: add 192.0.2.100/24: to eth0 (later) — as soon as this director is master of web
none: add 192.0.2.101/24: to eth0 (later) — as soon as this director is master of web
`},
		{"another interface", master, []string{"interface = \"eth0\"\nvrid", "interface = \"eth1\"\nvrid"}, `
moves: change virtual router web: interface "eth0" → "eth1" — moves VIP: it hands over to the peer and starts anew
moves: remove 192.0.2.100/24: from eth0 — leaves with virtual router web
moves: remove 192.0.2.101/24: from eth0 — leaves with virtual router web
none: add 192.0.2.100/24: to eth1 (later) — as soon as this director is master of web
none: add 192.0.2.101/24: to eth1 (later) — as soon as this director is master of web
`},
		{"another name", master, []string{`name = "web"`, `name = "front"`}, `
none: change virtual router web: name "web" → "front" — keeps its role
`},
		{"another version", master, []string{"vrid = 51", "vrid = 51\nversion = 2"}, `
interrupts: change virtual router web: version 3 → 2, checksum pseudo-header → none — until the peer has the same, it drops our advertisements, and both directors are master
`},
		{"another interval", master, []string{"vrid = 51", "vrid = 51\nadvert_interval = \"100ms\""}, `
none: change virtual router web: advert_interval 1s → 100ms — the peer follows the master's interval; give it the same
`},
		{"an address moves to another virtual router", master, []string{`, "192.0.2.101/24"]`, "]", "[lvs.sync]",
			"[[vrrp]]\nname = \"second\"\ninterface = \"eth0\"\nvrid = 52\nvips = [\"192.0.2.101/24\"]\n[lvs.sync]"}, `
interrupts: remove 192.0.2.101/24: from eth0 — clients of 192.0.2.101 get no answer
none: add virtual router second: vrid 52 on eth0, priority 100 — starts as backup, and becomes master if it hears no master of a higher priority
none: add 192.0.2.101/24: to eth0 (later) — as soon as this director is master of second
`},
		{"a virtual MAC address", master, []string{"vrid = 51", "vrid = 51\nvirtual_mac = true"}, `
moves: change virtual router web: virtual_mac false → true, virtual_mac_interface "" → "vrrp.51" — moves VIP on this machine: from eth0 to vrrp.51
none: remove 192.0.2.100/24: from eth0 — stays on this machine: it moves to vrrp.51
none: remove 192.0.2.101/24: from eth0 — stays on this machine: it moves to vrrp.51
none: add 192.0.2.100/24: to vrrp.51
none: add 192.0.2.101/24: to vrrp.51
`},
		{"a removed virtual router", master, []string{inForce[strings.Index(inForce, "[[vrrp]]"):strings.Index(inForce, "[lvs.sync]")], ""}, `
moves: remove virtual router web — moves VIP: it hands over to the peer; without a peer that has it, clients of its VIPs get no answer
moves: remove 192.0.2.100/24: from eth0 — leaves with virtual router web
moves: remove 192.0.2.101/24: from eth0 — leaves with virtual router web
`},
		{"a new virtual router", master, []string{"[lvs.sync]", "[[vrrp]]\nname = \"more\"\ninterface = \"eth9\"\nvrid = 60\nvips = [\"198.51.100.1/24\"]\n[lvs.sync]"}, `
none: add virtual router more: vrid 60 on eth9, priority 100 — there is no interface eth9: the router is in state FAULT until there is one
none: add 198.51.100.1/24: to eth9 (later) — as soon as this director is master of more
`},
		{"a track without a result", master, []string{"vrid = 51", "vrid = 51\ntrack = [{ script = \"/bin/true\", weight = -20 }]"}, `
none: add track script /bin/true of web: weight -20
`},
		{"a track without a result at the backup", backup, []string{"vrid = 51", "vrid = 51\ntrack = [{ script = \"/bin/true\", weight = -20 }]"}, `
none: change virtual router web: priority 150 → 150; with tracks 150 → 1
none: add track script /bin/true of web: weight -20 — a backup runs at priority 1 until the first result
`},
		{"a sync group with a witness", master, []string{"vrid = 51", "vrid = 51\nsync_group = \"pair\"", "[lvs.sync]",
			"[[vrrp]]\nname = \"second\"\ninterface = \"eth1\"\nvrid = 52\npriority = 150\nsync_group = \"pair\"\n" +
				"[[group]]\nname = \"pair\"\nwitness = [\"192.0.2.1\"]\n[lvs.sync]"}, `
none: change virtual router web: witness false → true, sync_group "" → "pair"
none: add virtual router second: vrid 52 on eth1, priority 150 — starts as backup, and becomes master if it hears no master of a higher priority
none: add witness 192.0.2.1 of sync group pair: asked every 2s
`},

		// The director.
		{"connection sync ends", master, []string{"[lvs.sync]\ninterface = \"eth0\"\nid = 51\n", ""}, `
none: remove connection sync: eth0, id 51 — the peer gets no more copies: established connections do not survive a failover
`},
		{"a password", situation{role: vrrp.Master}, []string{"vrid = 51", "vrid = 51\nversion = 2\nauth_pass = \"secret\""}, `
interrupts: change virtual router web: version 3 → 2, auth_pass changed, checksum pseudo-header → none — until the peer has the same, it drops our advertisements, and both directors are master
`},
		{"a signature", situation{role: vrrp.Backup}, []string{"vrid = 51", "vrid = 51\nhmac.key = [{ id = 1, file = \"/k\" }]"}, `
interrupts: change virtual router web: hmac none → enforce — until the peer has the same keys, it drops our advertisements, and both directors are master: set mode = "receive-only" on both first
`},
		{"another sync id", master, []string{"\nid = 51", "\nid = 52"}, `
none: change connection sync: id 51 → 52 — stops and starts: until the peer has the same, new connections do not survive a failover
`},
		{"what needs a restart comes first, and the rest is told too", master, []string{`name = "lb1"`, "name = \"lb1\"\n[control]\nsocket = \"/run/x.sock\"\n[log]\nlevel = \"debug\"", web2, ""}, `
restart needed: change control.socket: "/run/tandem/control.sock" → "/run/x.sock" — cannot change while running: restart needed
interrupts: remove server 192.0.2.12:80 of www — 2 connections of 192.0.2.12 end
none: change log.level: "info" → "debug"
`},
	} {
		t.Run(c.why, func(t *testing.T) {
			in := c.is.input(t, inForce, replaced(t, c.replace...))
			in.Interfaces, in.Schedulers = map[string]bool{"eth0": true, "eth1": true}, []string{"rr", "wrr", "wlc"}
			if got, want := lines(Of(in)), strings.TrimPrefix(c.want, "\n"); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
