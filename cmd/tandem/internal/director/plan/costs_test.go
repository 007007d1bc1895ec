// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

var channelTable = "[peer]\naddress = \"10.0.0.2:8474\"\nkey = \"hex:" + strings.Repeat("42", 32) + "\"\n"

// TestCosts: the costs that TestPlans does not show. Each configuration is that in force with texts replaced, in pairs.
func TestCosts(t *testing.T) {
	master := situation{role: vrrp.Master, connections: map[string]int{"192.0.2.11": 1, "192.0.2.12": 2, "192.0.2.21": 7}}
	idle, backup := situation{role: vrrp.Master}, situation{role: vrrp.Backup, connections: master.connections}
	const both = `vips = ["192.0.2.100/24", "192.0.2.101/24"]`
	second := "[[vrrp]]\nname = \"second\"\ninterface = \"eth0\"\nvrid = 52\npriority = 150\nvips = [\"192.0.2.102/24\"]\n[lvs.sync]"
	dnsServer := "scheduler = \"rr\"\n  [[service.server]]\n  address = \"192.0.2.21\"\n"
	for _, c := range []struct {
		why            string
		is             situation
		before, change []string
		want           string
	}{
		{"the first address", master, []string{both, ""}, []string{"priority = 150\n", "priority = 150\nvips = [\"192.0.2.100/24\"]\n"}, `
interrupts: change virtual router web: it had no VIP — until the peer has one of the new VIPs, it takes us for another pair, and both directors are master
none: add 192.0.2.100/24: to eth0
`},
		{"an address changes hands on this machine", master, []string{"[lvs.sync]", second},
			[]string{both, `vips = ["192.0.2.100/24"]`, `vips = ["192.0.2.102/24"]`, `vips = ["192.0.2.102/24", "192.0.2.101/24"]`}, `
none: remove 192.0.2.101/24: from eth0 — stays on this machine: it belongs to virtual router second
none: add 192.0.2.101/24: to eth0
`},
		{"a first check", master, nil, []string{dnsServer, "scheduler = \"rr\"\ncheck = { type = \"ping\" }\n" + dnsServer[len("scheduler = \"rr\"\n"):]}, `
none: add check of dns: ping — the servers keep their weights until the first results
`},
		{"a removed server whose connections get no answer", master, []string{"[lvs.sync]", "[lvs.sysctl]\nexpire_nodest_conn = 0\n[lvs.sync]"}, []string{web2, ""}, `
interrupts: remove server 192.0.2.12:80 of www — 2 connections of 192.0.2.12 get no answer until they time out (expire_nodest_conn is 0)
`},
		{"a new service whose scheduler the kernel does not have", master, nil, []string{"[[service]]\nname = \"dns\"",
			"[[service]]\nname = \"new\"\nvirtual = \"192.0.2.100:81\"\nscheduler = \"twos\"\n  [[service.server]]\n  address = \"192.0.2.11\"\n[[service]]\nname = \"dns\""}, `
interrupts: add service new (tcp 192.0.2.100:81): scheduler twos — this kernel has no scheduler twos: it refuses the service
none: add server 192.0.2.11:81 of new: dr, weight 1 — gets clients at once, because it has no check
`},
		{"persistence ends", master, []string{`scheduler = "wrr"`, "scheduler = \"wrr\"\npersistence = { timeout = \"5m\" }"}, []string{"\npersistence = { timeout = \"5m\" }", ""}, `
none: change service www (tcp 192.0.2.100:80): flags persistent → none, timeout 5m0s → 0s — connections stay; a client's next connection may reach another server
`},
		{"weight 0 without connections", idle, []string{`scheduler = "wrr"`, "scheduler = \"wrr\"\ndrain_timeout = \"5m\""}, []string{web2, ""}, `
drains: remove server 192.0.2.12:80 of www: weight 1 → 0: it drains — no new clients; it leaves at once, because it has no connection
`},
		{"a weight again", idle, []string{web2, web2 + "  weight = 0\n"}, []string{web2 + "  weight = 0\n", web2}, `
none: change server 192.0.2.12:80 of www: weight 0 → 1 — gets new clients
`},
		{"weight 0 at the backup", backup, nil, []string{web2, web2 + "  weight = 0\n"}, `
none: change server 192.0.2.12:80 of www: weight 1 → 0 — no new clients; its 2 connections stay
`},
		{"no server for new clients, by weight", master, nil, []string{dns, dns + "  weight = 0\n"}, `
interrupts: change service dns: no server takes new clients — new clients get no answer
drains: change server 192.0.2.21 of dns: weight 1 → 0 — no new clients; its 14 connections stay
`},
		{"the address of the web page", master, []string{"[lvs.sync]", "[web]\nlisten = \"127.0.0.1:9106\"\n[lvs.sync]"}, []string{":9106", ":9107"}, `
none: change web.listen: "127.0.0.1:9106" → "127.0.0.1:9107" — browsers must open the page at the new address
`},
		{"the address of the metrics", master, []string{"[lvs.sync]", "[metrics]\nlisten = \"127.0.0.1:9100\"\n[lvs.sync]"}, []string{":9100", ":9101"}, `
none: change metrics.listen: "127.0.0.1:9100" → "127.0.0.1:9101" — Prometheus must ask at the new address
`},
		{"the other director may send a configuration", master, []string{"[lvs.sync]", channelTable + "[lvs.sync]"},
			[]string{"[peer]\n", "[peer]\naccept_config = true\n"}, `
none: change peer.accept_config: false → true — who has the key of the channel can run any program on this machine; the channel connects again
`},
		{"the channel begins", master, nil, []string{"[lvs.sync]", channelTable + "[lvs.sync]"}, `
none: change peer.address: none → 10.0.0.2:8474 — the channel begins when the other director has [peer] too
none: change peer.listen: "" → ":8474" — the channel begins when the other director has [peer] too
none: change peer.key: none → a secret — the channel begins when the other director has [peer] too
`},
		{"the channel ends", master, []string{"[lvs.sync]", channelTable + "[lvs.sync]"}, []string{channelTable, ""}, `
none: change peer.address: 10.0.0.2:8474 → none — the channel to the other director ends
none: change peer.listen: ":8474" → "" — the channel to the other director ends
none: change peer.key: a secret → none — the channel to the other director ends
`},
		{"another key of the channel", master, []string{"[lvs.sync]", channelTable + "[lvs.sync]"}, []string{"hex:4242", "hex:4343"}, `
none: change peer.key: one secret → another — the channel to the other director connects again, and needs what fits there
`},
		{"connection sync begins", master, []string{"[lvs.sync]\ninterface = \"eth0\"\nid = 51\n", ""}, []string{"[[service]]\nname = \"www\"", "[lvs.sync]\ninterface = \"eth0\"\nid = 51\n[[service]]\nname = \"www\""}, `
none: add connection sync: eth0, id 51, master and backup — the peer needs the same
`},
		{"a timeout that the kernel has already, and one that is no longer kept", master, []string{"[lvs.sync]", "[lvs.timeouts]\ntcp = \"15m\"\n[lvs.sync]"}, []string{"tcp = \"15m\"", "udp = \"5m\""}, `
none: remove lvs.timeouts.tcp: no longer kept at 15m0s — the kernel's value stays
none: add lvs.timeouts.udp: kept at 5m0s — the kernel has this value already
`},
		{"a setting that the kernel has already", master, nil, []string{"[lvs.sync]", "[lvs.sysctl]\nconntrack = 0\n[lvs.sync]"}, `
none: add net.ipv4.vs.conntrack: kept at 0 — the kernel has this value already
`},
	} {
		t.Run(c.why, func(t *testing.T) {
			replace := func(text string, pairs []string) string {
				for i := 0; i < len(pairs); i += 2 {
					if !strings.Contains(text, pairs[i]) {
						t.Fatalf("there is no %q", pairs[i])
					}
					text = strings.Replace(text, pairs[i], pairs[i+1], 1)
				}
				return text
			}
			before := replace(inForce, c.before)
			in := c.is.input(t, before, replace(before, c.change))
			in.Interfaces, in.Schedulers = map[string]bool{"eth0": true}, []string{"rr", "wrr", "wlc"}
			if got, want := lines(Of(in)), strings.TrimPrefix(c.want, "\n"); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// A router that stands by has no use for a priority, and the services of the probes' marks have no clients.
func TestCostsOfStates(t *testing.T) {
	in := situation{role: vrrp.Backup}.input(t, inForce, replaced(t, "priority = 150", "priority = 200"))
	in.Routers[0].Standby = true
	if got := lines(Of(in)); got != "none: change virtual router web: priority 150 → 200 — no effect while it stands by: see tandem release\n" {
		t.Error(got)
	}
	in = situation{role: vrrp.Master}.input(t, inForce, inForce)
	mark := lvs.Entry{Service: lvs.Service{ServiceID: lvs.ServiceID{FWMark: 7, Family: lvs.IPv4}, Scheduler: "rr"}, Servers: in.Before.Table[0].Servers[:1]}
	in.After.Table, in.After.Marks = append(in.After.Table, mark), map[lvs.ServiceID]bool{mark.ServiceID: true}
	const want = "none: add service fwmark 7 (ipv4) of the checks through the VIP\nnone: add server 192.0.2.11 in service fwmark 7 (ipv4) of the checks through the VIP\n"
	if got := lines(Of(in)); got != want {
		t.Error(got)
	}
	in.Before, in.After = in.After, in.Before
	in.Kernel = append(in.Kernel, lvs.ServiceStatus{Service: mark.Service, Servers: []lvs.ServerStatus{{Server: mark.Servers[0]}}})
	in.Owned[mark.ServiceID] = true
	if got := lines(Of(in)); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "none: remove service fwmark 7 (ipv4) of the checks through the VIP") {
		t.Error(got)
	}
}
