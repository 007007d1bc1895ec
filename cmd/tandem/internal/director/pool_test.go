// SPDX-License-Identifier: Apache-2.0

package director

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestPlanOfOrders(t *testing.T) {
	const first, second = "www/192.0.2.11:80", "www/192.0.2.12:80"
	five := 5
	for _, c := range []struct {
		why    string
		orders map[string]order
		want   string
	}{
		{"none", nil, "11=3 12=5"},
		{"drained", map[string]order{first: {Drained: true}}, "11=0 12=5"},
		{"disabled", map[string]order{first: {Disabled: true}}, "12=5"},
		{"another weight", map[string]order{first: {Weight: &five}}, "11=5 12=5"},
		{"a drain is above a weight", map[string]order{second: {Drained: true, Weight: &five}}, "11=3 12=0"},
	} {
		v := view{now: noon, orders: c.orders, health: health(healthcheck.Healthy, healthcheck.Healthy)}
		if got := weights(plan([]configs.Service{www(true, lvs.WeightZero)}, v).entries); got != c.want {
			t.Errorf("%s: got %s, want %s", c.why, got, c.want)
		}
	}
}

func TestOrdersLeaveADrainThatIsNotTheirs(t *testing.T) {
	in := lvs.WeightInput{Configured: 3, Health: lvs.HealthUp, Draining: true}
	order{}.apply(&in)
	if weight, _ := lvs.Weight(in); weight != 0 {
		t.Errorf("a server that asks to be drained has weight %d", weight)
	}
}

func TestPlanOfSeveralVirtualsWithASorryServer(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	second := svc.Virtuals[0]
	second.Port = 443
	svc.Virtuals = append(svc.Virtuals, second)
	svc.Sorry = &configs.Server{Mapped: true, Server: lvs.Server{
		ServerID: lvs.ServerID{Addr: netip.MustParseAddr("192.0.2.20"), Port: 8080}, Method: lvs.NAT,
	}}
	show := func(p planned) string {
		var all []string
		for _, e := range p.entries {
			for _, s := range e.Servers {
				all = append(all, fmt.Sprintf("%d/%s=%d", e.Port, s.ServerID, s.Weight))
			}
		}
		return strings.Join(all, " ")
	}
	services := []configs.Service{svc}
	v := view{now: noon, health: health(healthcheck.Healthy, healthcheck.Unhealthy)}
	p := plan(services, v)
	if got, want := show(p), "80/192.0.2.11:80=3 80/192.0.2.12:80=0 443/192.0.2.11:443=3 443/192.0.2.12:443=0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	v.memory, v.health = p.memory, health(healthcheck.Unhealthy, healthcheck.Unhealthy)
	p = plan(services, v)
	want := "80/192.0.2.11:80=0 80/192.0.2.12:80=0 80/192.0.2.20:8080=1 443/192.0.2.11:443=0 443/192.0.2.12:443=0 443/192.0.2.20:8080=1"
	if got := show(p); got != want {
		t.Errorf("without quorum: got  %s\nwant %s", got, want)
	}
	if pool := p.pools["www"]; !pool.Sorry || pool.Up != 0 || len(poolWarnings(svc, pool)) != 1 {
		t.Errorf("pool %+v", pool)
	}
}

// The hysteresis needs what the plan before has found.
func TestPlanRemembersTheQuorum(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	svc.Quorum, svc.Hysteresis = 4, 1
	services, v := []configs.Service{svc}, view{now: noon}
	for _, c := range []struct {
		why    string
		health map[string]healthcheck.TargetStatus
		lost   bool
	}{
		{"8 of 8", health(healthcheck.Healthy, healthcheck.Healthy), false},
		{"3 is not below 4 - 1", health(healthcheck.Healthy, healthcheck.Unhealthy), false},
		{"0 is", health(healthcheck.Unhealthy, healthcheck.Unhealthy), true},
		{"3 is not 4 + 1", health(healthcheck.Healthy, healthcheck.Unhealthy), true},
		{"5 is", health(healthcheck.Unhealthy, healthcheck.Healthy), false},
	} {
		v.health = c.health
		p := plan(services, v)
		if v.memory = p.memory; p.pools["www"].State.QuorumLost != c.lost {
			t.Errorf("%s: lost is %t", c.why, !c.lost)
		}
	}
}

func TestPlanOfSlowStarts(t *testing.T) {
	up := func(since time.Time) healthcheck.TargetStatus {
		return healthcheck.TargetStatus{Health: healthcheck.Healthy, Since: since}
	}
	svc := www(true, lvs.WeightZero)
	svc.Servers[0].Weight, svc.Servers[1].Weight, svc.SlowStart = 20, 20, 20*time.Second
	services := []configs.Service{svc}
	const first, second = "www/192.0.2.11:80", "www/192.0.2.12:80"

	// The first served before the director started, the second comes up for the first time.
	v := view{now: noon, memory: memory{up: serving(services, tableOf(svc, "11=20 12=0"))}}
	p := plan(services, v)
	v.memory, v.health = p.memory, map[string]healthcheck.TargetStatus{first: up(noon), second: up(noon)}
	for _, c := range []struct {
		after time.Duration
		want  string
		next  time.Duration
	}{
		{0, "11=20 12=1", 2 * time.Second},
		{10 * time.Second, "11=20 12=10", 11 * time.Second},
		{20 * time.Second, "11=20 12=20", 0},
	} {
		v.now = noon.Add(c.after)
		p := plan(services, v)
		v.memory = p.memory
		if got := weights(p.entries); got != c.want {
			t.Errorf("after %s: got %s, want %s", c.after, got, c.want)
		}
		if next := p.next.Sub(noon); c.next != next && !(c.next == 0 && p.next.IsZero()) {
			t.Errorf("after %s: the next change is at %s, want %s", c.after, next, c.next)
		}
	}
	// A reload that makes its health unknown is no reason to start again, a failure is.
	v.health = map[string]healthcheck.TargetStatus{first: up(noon)}
	v.memory = plan(services, v).memory
	v.now = noon.Add(time.Minute)
	v.health[second] = up(v.now)
	if got := weights(plan(services, v).entries); got != "11=20 12=20" {
		t.Errorf("after a reload: %s", got)
	}
	v.health[second] = healthcheck.TargetStatus{Health: healthcheck.Unhealthy}
	v.memory = plan(services, v).memory
	v.health[second] = up(v.now)
	if got := weights(plan(services, v).entries); got != "11=20 12=1" {
		t.Errorf("after a failure: %s", got)
	}
}

// A director whose cable is plugged in again must not let its whole pool start slowly.
func TestPlanAfterACutOff(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	svc.SlowStart = time.Minute
	services := []configs.Service{svc}
	silent := healthcheck.TargetStatus{Health: healthcheck.Unhealthy, Silent: true, Since: noon}
	healthy := healthcheck.TargetStatus{Health: healthcheck.Healthy, Since: noon}
	const first, second = "www/192.0.2.11:80", "www/192.0.2.12:80"
	v := view{now: noon, health: map[string]healthcheck.TargetStatus{first: silent, second: silent}}
	v.memory = plan(services, v).memory
	v.health = map[string]healthcheck.TargetStatus{first: healthy, second: healthy}
	if got := weights(plan(services, v).entries); got != "11=3 12=5" {
		t.Errorf("got %s", got)
	}
}

func TestLeaversStayForTheirConnections(t *testing.T) {
	before := www(false, lvs.WeightZero)
	after := www(false, lvs.WeightZero)
	after.Servers = after.Servers[:1]
	table := tableOf(before, "11=3 12=5")
	if l := leave([]configs.Service{after}, table, nil, nil, noon); len(l) != 0 {
		t.Errorf("without drain_timeout %v stay", l)
	}
	after.DrainTimeout = time.Minute
	services := []configs.Service{after}
	leaving := leave(services, table, nil, nil, noon)
	if got := weights(plan(services, view{now: noon, leavers: leaving}).entries); got != "11=3 12=0" {
		t.Errorf("got %s", got)
	}
	// A second reload gives it no more time, and one that has it again ends its leaving.
	again := leave(services, table, leaving, nil, noon.Add(time.Second))
	if !sameLeavers(again, leaving) {
		t.Errorf("%v became %v", leaving, again)
	}
	before.DrainTimeout = time.Minute
	if l := leave([]configs.Service{before}, table, leaving, nil, noon); len(l) != 0 {
		t.Errorf("%v leave", l)
	}
}

// A service that is gone stays for its servers' connections, at weight 0, as one of its servers would.
func TestLeaversOfAServiceThatIsGone(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	table := tableOf(svc, "11=3 12=5")
	if l := leave(nil, table, nil, graces([]configs.Service{svc}), noon); len(l) != 0 {
		t.Errorf("without drain_timeout %v stay", l)
	}
	svc.DrainTimeout = time.Minute
	former := graces([]configs.Service{svc})
	leaving := leave(nil, table, nil, former, noon)
	p := plan(nil, view{now: noon, leavers: leaving})
	if len(p.entries) != 1 || p.entries[0].Service != svc.Virtuals[0] || weights(p.entries) != "11=0 12=0" {
		t.Fatalf("got %+v", p.entries)
	}
	// The configuration that follows knows nothing of it any more.
	if again := leave(nil, table, leaving, nil, noon.Add(time.Second)); !sameLeavers(again, leaving) {
		t.Errorf("%v became %v", leaving, again)
	}
	if l := leave([]configs.Service{svc}, table, leaving, nil, noon); len(l) != 0 {
		t.Errorf("%v leave a service that is back", l)
	}
	stay, gone := part(leaving, nil, noon.Add(time.Minute))
	if p := plan(nil, view{now: noon, leavers: stay}); len(gone) != 2 || len(p.entries) != 0 {
		t.Errorf("in the end %v are gone and %v stays", gone, p.entries)
	}
}

func TestFarewellsOutliveTheProcess(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	svc.DrainTimeout = time.Minute
	former := graces([]configs.Service{svc})
	leaving := leave(nil, tableOf(svc, "11=3"), nil, former, noon)
	text, err := json.Marshal(saveFarewells(former, leaving))
	if err != nil {
		t.Fatal(err)
	}
	var f farewells
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	given, before, err := f.read()
	if err != nil || !maps.Equal(given, former) {
		t.Errorf("got %v, %v, want %v", given, err, former)
	}
	// Half a minute later, in the next process, 11 has what is left of its time, and 12 the whole.
	later := leave(nil, tableOf(svc, "11=0 12=5"), before, given, noon.Add(30*time.Second))[svc.Virtuals[0].ServiceID]
	if len(later) != 2 || !later[0].until.Equal(noon.Add(time.Minute)) || !later[1].until.Equal(noon.Add(90*time.Second)) {
		t.Errorf("got %+v", later)
	}
	for _, f := range []farewells{
		{Graces: []savedGrace{{Virtual: "tcp"}}},
		{Graces: []savedGrace{{Virtual: "tcp 192.0.2.100:80", Timeout: "soon"}}},
		{Leaving: []savedLeaver{{Virtual: "tcp"}}},
	} {
		if _, _, err := f.read(); err == nil {
			t.Errorf("%+v is read without an error", f)
		}
	}
}

func TestLeaversGoWithTheirLastConnection(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	svc.DrainTimeout = time.Minute
	id := svc.Virtuals[0].ServiceID
	leaving := leave([]configs.Service{svc}, tableOf(svc, "13=1"), nil, nil, noon)
	row := func(weight, active, inactive int) []lvs.Row {
		srv := leaving[id][0].server
		srv.Weight = weight
		return []lvs.Row{{Service: svc.Virtuals[0], Servers: []lvs.ServerRow{{Server: srv, Active: active, Inactive: inactive}}}}
	}
	for _, c := range []struct {
		why   string
		rows  []lvs.Row
		after time.Duration
		gone  bool
	}{
		{"a connection is left", row(0, 1, 0), 0, false},
		{"one is closing", row(0, 0, 1), 0, false},
		{"none is left", row(0, 0, 0), 0, true},
		{"the kernel does not know yet that it leaves", row(2, 0, 0), 0, false},
		{"the look does not show it", nil, 0, false},
		{"its time is over", row(0, 7, 0), time.Minute, true},
	} {
		stay, gone := part(leaving, c.rows, noon.Add(c.after))
		if (len(gone) == 1) != c.gone || len(stay[id]) == len(gone) {
			t.Errorf("%s: stay %v, gone %v", c.why, stay, gone)
		}
	}
}

func TestVirtualsAreWrittenAsInTheFile(t *testing.T) {
	at := func(addr string, ports ...uint16) (all []lvs.Service) {
		for _, p := range ports {
			all = append(all, lvs.Service{ServiceID: lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddr(addr), Port: p}})
		}
		return all
	}
	for want, all := range map[string][]lvs.Service{
		"192.0.2.100:80":                    at("192.0.2.100", 80),
		"192.0.2.100:80, 192.0.2.100:443":   at("192.0.2.100", 80, 443),
		"192.0.2.100:80-82, 192.0.2.101:83": slices.Concat(at("192.0.2.100", 80, 81, 82), at("192.0.2.101", 83)),
		"[2001:db8::1]:65534-65535":         at("2001:db8::1", 65534, 65535),
		"fwmark 7":                          {{ServiceID: lvs.ServiceID{FWMark: 7, Family: lvs.IPv4}}},
		"192.0.2.100:81, 192.0.2.100:80":    at("192.0.2.100", 81, 80),
	} {
		if got := virtuals(all); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
