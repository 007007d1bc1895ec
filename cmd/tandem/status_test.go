// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

func TestStatusTable(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s := control.Status{
		Name: "lb1", Version: "v1.0.0",
		Config:   control.Config{File: "/etc/tandem/tandem.toml", LoadedAt: now.Add(-25 * time.Hour)},
		Warnings: []string{"no metrics are served: port 9105 is taken"},
		VRRP: []control.Router{{
			Name: "web", Interface: "eth0", VRID: 51, State: "backup", Standby: true, Priority: 150, EffectivePriority: 100,
			Master: "192.0.2.3", Since: now.Add(-90 * time.Second), Reason: "priority 150 heard from 192.0.2.3",
			VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24"), netip.MustParsePrefix("192.0.2.101/24")},
			Track: []control.Track{
				{Name: "script /usr/local/bin/check-uplink", OK: true, Reason: "exit code 0"},
				{Name: "service www", Reason: "1 of 2 servers healthy, 2 needed"},
			},
			Counters: control.Counters{AdvertsSent: 86400, AdvertsReceived: 12, BecameMaster: 2, LongestGapSeconds: 1.0004,
				AdvertsDropped: map[string]uint64{"wrong_ttl": 1, "wrong_password": 30}},
			HMAC: &control.HMAC{Mode: "enforce", Keys: []int{1, 2}, ActiveKey: 2, AntiReplay: "time", TimeWindow: "5s", Refused: []control.Refusal{
				{Reason: "replayed", Count: 7, Last: now.Add(-90 * time.Second), From: netip.MustParseAddr("192.0.2.3")},
				{Reason: "wrong_hmac", Count: 1, Last: now.Add(-time.Hour), From: netip.MustParseAddr("192.0.2.66")},
			}},
		}, {
			Name: "mail", Interface: "eth0", VRID: 52, State: "fault", Priority: 100, EffectivePriority: 100,
			Reason: "service www: 1 of 2 servers healthy, 2 needed",
			Track:  []control.Track{{Name: "service www", Reason: "1 of 2 servers healthy, 2 needed"}},
			HMAC:   &control.HMAC{Mode: "receive-only", Keys: []int{1}, AntiReplay: "monotonic"},
		}, {
			Name: "dns", Interface: "eth0", VRID: 53, State: "fault", Priority: 100, EffectivePriority: 50,
			Reason: "tracked interface eth1 has no carrier", VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.103/24")},
			VIPInterfaces: map[netip.Addr]string{netip.MustParseAddr("192.0.2.103"): "eth1"},
			Track:         []control.Track{{Name: "interface eth1", Reason: "has no carrier"}, {Name: "interface eth2", Reason: "is down"}},
		}},
		Services: []control.Service{{
			Name: "www", Virtual: "192.0.2.100:80", Protocol: "tcp", Scheduler: "wrr", Method: "dr",
			Servers: []control.Server{
				{Address: netip.MustParseAddr("192.0.2.11"), Port: 80, Weight: 2, EffectiveWeight: 2, Health: "healthy",
					Reason: "status 200", Since: now.Add(-3 * time.Hour), Active: 12, Inactive: 3, Checks: []control.Check{
						{Type: "http", Health: "healthy", Reason: "status 200", Since: now.Add(-3 * time.Hour), Flapping: true,
							LastAt: now.Add(-4 * time.Second), LatencySeconds: 0.00125, Successes: 1080, Failures: 2},
						{Type: "tcp", Via: netip.MustParseAddr("192.0.2.100"), Health: "unknown", Since: now.Add(-time.Second)},
					}},
				{Address: netip.MustParseAddr("2001:db8::12"), Port: 80, Weight: 1, Health: "unhealthy", Reason: "connection refused",
					Drained: true, Note: "drained by command"},
			},
		}},
		Hooks: []control.Hook{
			{Name: "web/notify", Succeeded: 3, Last: &control.HookRun{Subject: "router web", Event: "backup", EndedAt: now.Add(-90 * time.Second), TookSeconds: 0.0512}},
			{Name: "alerts", Failing: 1, Waiting: 2, Failed: 3, Superseded: 4, Last: &control.HookRun{Subject: "server www/192.0.2.11:80",
				Event: "server_down", EndedAt: now.Add(-time.Second), TookSeconds: 30, Error: "it took too long"}},
		},
		Sync: []control.Sync{{Role: "master", Interface: "eth1", ID: 51}, {Role: "backup", Interface: "eth1", ID: 51}},
	}
	const routers = `lb1 · tandem v1.0.0 · /etc/tandem/tandem.toml loaded 1d1h ago
warning: no metrics are served: port 9105 is taken

ROUTER  INTERFACE  VRID  STATE             FOR    PRIORITY      MASTER     VIPS                           REASON
web     eth0       51    BACKUP (standby)  1m30s  100 (of 150)  192.0.2.3  192.0.2.100/24,192.0.2.101/24  priority 150 heard from 192.0.2.3
mail    eth0       52    FAULT             -      100           -          -                              service www: 1 of 2 servers healthy, 2 needed
dns     eth0       53    FAULT             -      50 (of 100)   -          192.0.2.103/24@eth1            tracked interface eth1 has no carrier

ROUTER  FAILING TRACK   REASON
web     service www     1 of 2 servers healthy, 2 needed
mail    service www     1 of 2 servers healthy, 2 needed
dns     interface eth1  has no carrier
dns     interface eth2  is down
`
	const counters = `
ROUTER  SENT   RECEIVED  ERRORS  BECAME MASTER  GAP       DROPPED
web     86400  12        0       2              1000.4ms  wrong_password 30, wrong_ttl 1
mail    0      0         0       0              -         -
dns     0      0         0       0              -         -

ROUTER  HMAC          KEYS  SIGNS WITH  ANTI-REPLAY  LATEST REFUSALS
web     enforce       1,2   2           time 5s      replayed 7 (1m30s ago from 192.0.2.3), wrong_hmac 1 (1h0m ago from 192.0.2.66)
mail    receive-only  1     -           monotonic    -
`
	const servers = `
www  tcp 192.0.2.100:80  wrr  dr
  SERVER             HEALTH     FOR   WEIGHT    ACTIVE  INACTIVE  REASON
  192.0.2.11:80      healthy    3h0m  2         12      3         status 200
  [2001:db8::12]:80  unhealthy  -     0 (of 1)  0       0         drained by command; connection refused
`
	const checks = `
  SERVER         CHECK                    HEALTH              FOR   LAST  TOOK   PASSED  FAILED  RESULT
  192.0.2.11:80  http                     healthy (flapping)  3h0m  4s    1.2ms  1080    2       status 200
  192.0.2.11:80  tcp through 192.0.2.100  unknown             1s    -     -      0       0       -
`
	const tail = `
connection sync  master on eth1  id 51
connection sync  backup on eth1  id 51
`
	const failing = `
HOOK    RUNNING  WAITING  FAILING  TOLD  FAILED  REPLACED  LAST  TOOK       EVENT                                    RESULT
alerts  0        2        1        0     3       4         1s    30000.0ms  server_down of server www/192.0.2.11:80  it took too long
`
	const hooks = `
HOOK        RUNNING  WAITING  FAILING  TOLD  FAILED  REPLACED  LAST   TOOK       EVENT                                    RESULT
web/notify  0        0        0        3     0       0         1m30s  51.2ms     backup of router web                     ok
alerts      0        2        1        0     3       4         1s     30000.0ms  server_down of server www/192.0.2.11:80  it took too long
`
	plain, full := routers+servers+tail+failing, routers+counters+servers+checks+tail+hooks
	for verbose, want := range map[bool]string{false: plain, true: full} {
		var got bytes.Buffer
		if err := writeStatus(&got, s, verbose, now); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("verbose %t: got\n%s\nwant\n%s", verbose, got.String(), want)
		}
	}
}
