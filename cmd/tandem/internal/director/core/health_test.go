// SPDX-License-Identifier: Apache-2.0

package core

import (
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
	"github.com/tandem-lvs/tandem/vrrp"
)

func TestSeveralChecksOfAServer(t *testing.T) {
	const all, anyOf = configs.PassAll, configs.PassAny
	// + healthy, - unhealthy, s unhealthy and silent, ? unknown. There is a letter for each check. The statuses are one
	// second apart.
	for _, c := range []struct {
		pass   configs.Pass
		checks string
		want   healthcheck.Health
		decide int // the check that decides
		silent bool
	}{
		{all, "+", healthcheck.Healthy, 0, false},
		{all, "+++", healthcheck.Healthy, 2, false},
		{all, "+-+", healthcheck.Unhealthy, 1, false},
		{all, "-?-", healthcheck.Unhealthy, 0, false},
		{all, "+?+", healthcheck.Unknown, 1, false},
		{all, "+s", healthcheck.Unhealthy, 1, false},
		{all, "ss", healthcheck.Unhealthy, 0, true},
		{anyOf, "-+", healthcheck.Healthy, 1, false},
		{anyOf, "?+-", healthcheck.Healthy, 1, false},
		{anyOf, "-?", healthcheck.Unknown, 1, false},
		{anyOf, "---", healthcheck.Unhealthy, 2, false},
		{anyOf, "s-", healthcheck.Unhealthy, 1, false},
	} {
		var checks []healthcheck.Config
		var statuses []healthcheck.TargetStatus
		begin := time.Unix(1_700_000_000, 0)
		for i, letter := range c.checks {
			checks = append(checks, healthcheck.DefaultConfig(healthcheck.HTTP))
			s := healthcheck.TargetStatus{Health: healthcheck.Unhealthy, Reason: fmt.Sprint(i), Silent: letter == 's', Since: begin.Add(time.Duration(i) * time.Second)}
			switch letter {
			case '+':
				s.Health = healthcheck.Healthy
			case '?':
				s.Health = healthcheck.Unknown
			}
			statuses = append(statuses, s)
		}
		got := combine(checks, c.pass, statuses)
		if got.Health != c.want || got.Silent != c.silent || !strings.HasSuffix(got.Reason, fmt.Sprint(c.decide)) {
			t.Errorf("%s of %s: %s because of check %s, silent %t; want %s because of %d, %t",
				c.pass, c.checks, got.Health, got.Reason, got.Silent, c.want, c.decide, c.silent)
		}
	}
}

// A check through several VIPs is one check in the status. It passes only if each VIP answers.
func TestOneCheckThroughSeveralVIPs(t *testing.T) {
	one, two, plain := healthcheck.DefaultConfig(healthcheck.HTTP), healthcheck.DefaultConfig(healthcheck.HTTP), healthcheck.DefaultConfig(healthcheck.TCP)
	one.Via, two.Via = netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.101")
	checks := []healthcheck.Config{one, two, plain}
	for _, c := range []struct {
		pass   configs.Pass
		health [3]healthcheck.Health
		want   healthcheck.Health
		reason string
	}{
		{configs.PassAny, [3]healthcheck.Health{up, down, down}, down, "tcp: as it is"},
		{configs.PassAny, [3]healthcheck.Health{up, up, down}, up, "http through 192.0.2.101: as it is"},
		{configs.PassAny, [3]healthcheck.Health{down, up, up}, up, "tcp: as it is"},
		{configs.PassAll, [3]healthcheck.Health{up, down, up}, down, "http through 192.0.2.101: as it is"},
	} {
		var statuses []healthcheck.TargetStatus
		for i, health := range c.health {
			statuses = append(statuses, healthcheck.TargetStatus{Health: health, Reason: "as it is", Since: time.Unix(int64(i), 0)})
		}
		if got := combine(checks, c.pass, statuses); got.Health != c.want || got.Reason != c.reason {
			t.Errorf("%s of %v: %s, %q, want %s, %q", c.pass, c.health, got.Health, got.Reason, c.want, c.reason)
		}
	}
}

func TestAdvisedWeights(t *testing.T) {
	percent := func(n int) healthcheck.Advice { return healthcheck.Advice{Given: true, Percent: n} }
	drain := healthcheck.Advice{Given: true, Percent: 100, Drain: true}
	for _, c := range []struct {
		weight int
		advice healthcheck.Advice
		want   int
	}{
		{10, healthcheck.Advice{}, 10},
		{10, percent(100), 10},
		{10, percent(75), 8},
		{10, percent(1), 1},
		{10, percent(0), 0},
		{10, percent(200), 20},
		{60000, percent(1000), lvs.MaxWeight},
		{0, percent(50), 0},
		{10, drain, 0},
	} {
		in := lvs.WeightInput{Configured: c.weight, Health: lvs.HealthUp}
		advise(&in, c.advice)
		if got, _ := lvs.Weight(in); got != c.want {
			t.Errorf("weight %d, %+v: %d, want %d", c.weight, c.advice, got, c.want)
		}
	}
	least := advice([]healthcheck.TargetStatus{{Advice: percent(50)}, {}, {Advice: percent(20)}, {Advice: percent(90)}})
	if least != percent(20) {
		t.Errorf("of several, %+v counts", least)
	}
	if got := advice([]healthcheck.TargetStatus{{Advice: percent(50)}, {Advice: drain}}); !got.Drain {
		t.Error("a drain among several is lost")
	}
}

func TestWeightsFollowAdvice(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	advised := func(id string, health healthcheck.Health, a healthcheck.Advice) Verdict {
		return Verdict{ID: id, Status: healthcheck.TargetStatus{Health: health, Advice: a}}
	}
	double, leave := healthcheck.Advice{Given: true, Percent: 200}, healthcheck.Advice{Given: true, Drain: true}
	s := started(with(svc))
	s.Step(noon, advised(first, up, double), advised(second, up, leave))
	if got := weights(s); got != "11=204 12=0" { // all weights times 34, so that each percent has its own weight
		t.Errorf("weights %s", got)
	}

	// The agent's check fails, and another check is enough. Then the advice of the agent no longer counts.
	svc.Servers[1].Checks = append(svc.Servers[1].Checks, svc.Servers[1].Checks[0])
	svc.Servers[1].Pass = configs.PassAny
	s = started(with(svc))
	s.Step(noon, advised(first, up, double), advised(second, down, leave), is(second+" #2", up))
	if got := weights(s); got != "11=204 12=170" {
		t.Errorf("without the agent: weights %s", got)
	}
}

func TestWhoChecksWhen(t *testing.T) {
	router := func(name, vip string) configs.Router {
		return configs.Router{Config: vrrp.Config{Name: name, VIPs: []netip.Prefix{netip.MustParsePrefix(vip)}}}
	}
	routers := []configs.Router{router("web", "192.0.2.100/24"), router("back", "198.51.100.100/24")}
	service := func(name string, id lvs.ServiceID) configs.Service {
		return configs.Service{Name: name, CheckWhen: configs.CheckMaster, Virtuals: []lvs.Service{{ServiceID: id}}}
	}
	always := service("always", lvs.ServiceID{Addr: netip.MustParseAddr("192.0.2.100")})
	always.CheckWhen = configs.CheckAlways
	services := []configs.Service{
		always,
		service("web", lvs.ServiceID{Addr: netip.MustParseAddr("192.0.2.100")}),
		service("back", lvs.ServiceID{Addr: netip.MustParseAddr("198.51.100.100")}),
		service("mark", lvs.ServiceID{FWMark: 1}),
	}
	for _, c := range []struct {
		why     string
		routers []configs.Router
		states  map[string]vrrp.State
		before  string
		idle    string // with + those that are checked, with - those that are not
	}{
		{"no virtual router: there is nobody else", nil, nil, "", "+back +mark +web"},
		{"nothing is known yet", routers, nil, "", ""},
		{"nothing is known any more", routers, nil, "-back +mark +web", "-back +mark +web"},
		{"an election that starts", routers, map[string]vrrp.State{"web": vrrp.Initialize, "back": vrrp.Backup}, "", "-back"},
		{"another that starts", routers, map[string]vrrp.State{"web": vrrp.Initialize, "back": vrrp.Backup}, "+back +mark +web", "-back +mark +web"},
		{"backup", routers, map[string]vrrp.State{"web": vrrp.Backup, "back": vrrp.Backup}, "+back", "-back -mark -web"},
		{"at fault", routers, map[string]vrrp.State{"web": vrrp.Fault, "back": vrrp.Backup}, "+web", "-back -mark -web"},
		{"master of one", routers, map[string]vrrp.State{"web": vrrp.Master, "back": vrrp.Backup}, "", "-back +mark +web"},
		{"master of all", routers, map[string]vrrp.State{"web": vrrp.Master, "back": vrrp.Master}, "-web", "+back +mark +web"},
	} {
		cfg := with(services...)
		cfg.Routers = c.routers
		s := started(cfg)
		for word := range strings.FieldsSeq(c.before) {
			for _, svc := range s.services {
				if svc.Name == word[1:] {
					svc.role = map[byte]checkRole{'+': checking, '-': resting}[word[0]]
				}
			}
		}
		s.Step(noon, roles(c.states))
		var got []string
		for _, svc := range s.services {
			if sign := map[checkRole]string{checking: "+", resting: "-"}[svc.role]; sign != "" && svc.Name != "always" {
				got = append(got, sign+svc.Name)
			}
		}
		slices.SortFunc(got, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
		if strings.Join(got, " ") != c.idle {
			t.Errorf("%s: %s, want %s", c.why, got, c.idle)
		}
	}
}

// A director that starts does not know yet whether it has to check. It leaves the servers as they are in the kernel.
func TestServersStayAsTheyWereUntilTheRoleIsKnown(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	svc.CheckWhen = configs.CheckMaster
	cfg := with(svc)
	cfg.Routers = []configs.Router{{}}
	s := started(cfg, tableOf(svc, "11=0 12=5")...)
	if got := weights(s); got != "11=0 12=5" {
		t.Errorf("weights %s", got)
	}
	if probes := s.serverTargets(); len(probes) > 0 {
		t.Errorf("it checks already: %v", probes)
	}
}

// A backup that does not check has all servers in the table. When it becomes master, they stay in until a check fails.
func TestServersStayInWhenChecksBegin(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	svc.CheckWhen = configs.CheckMaster
	cfg := with(svc)
	cfg.Routers = []configs.Router{{Config: vrrp.Config{Name: "web"}}}
	s := started(cfg)
	s.Step(noon, roles(map[string]vrrp.State{"web": vrrp.Backup}))
	if got := weights(s); got != "11=3 12=5" {
		t.Errorf("backup: %s", got)
	}
	s.Step(noon, roles(map[string]vrrp.State{"web": vrrp.Master}))
	if got := weights(s); got != "11=3 12=5" {
		t.Errorf("master: %s", got)
	}
}

// The combined result of several checks is logged once each time that it changes.
func TestServersWithSeveralChecksAreLogged(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	svc.Servers[0].Checks = append(svc.Servers[0].Checks, svc.Servers[0].Checks[0])
	svc.Servers[0].Pass = configs.PassAny
	s := started(with(svc))
	var got []string
	for _, both := range [][2]healthcheck.Health{{up, up}, {down, up}, {down, down}, {down, down}, {up, down}} {
		var events []Event
		for i, health := range both {
			events = append(events, Verdict{ID: checkID(first, i), Status: healthcheck.TargetStatus{Health: health, Reason: "as it is", Since: time.Unix(int64(i), 0)}})
		}
		for _, l := range s.Step(noon, events...).Lines {
			if strings.HasPrefix(l.Message, "server is") {
				got = append(got, fmt.Sprint(l.Message, l.Pairs))
			}
		}
	}
	want := []string{
		"server is healthy[target www/192.0.2.11:80 was unknown reason tcp: as it is]",
		"server is unhealthy[target www/192.0.2.11:80 was healthy reason tcp: as it is]",
		"server is healthy[target www/192.0.2.11:80 was unhealthy reason tcp: as it is]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("log\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A check that needs a mark waits for the service of this mark. Other checks do not wait.
func TestTargetsWaitForTheirMarks(t *testing.T) {
	svc := www(false, lvs.WeightZero)
	vip := svc.Virtuals[0].Addr
	syn, words, plain := healthcheck.DefaultConfig(healthcheck.TCP), healthcheck.DefaultConfig(healthcheck.HTTP), healthcheck.DefaultConfig(healthcheck.HTTP)
	syn.Via, words.Via = vip, vip
	for i := range svc.Servers {
		svc.Servers[i].Checks = []healthcheck.Config{plain, syn, words}
	}
	s := started(with(svc))
	marks := func(led probeMarks) map[string]uint32 {
		s.led = led
		all := make(map[string]uint32)
		for _, target := range s.serverTargets() {
			all[target.ID] = target.Config.Mark
		}
		return all
	}
	want := map[string]uint32{first: 0, first + " #2": 0, second: 0, second + " #2": 0}
	if got := marks(nil); !maps.Equal(got, want) {
		t.Errorf("without services: %v", got)
	}
	want[second+" #3"] = 7
	if got := marks(probeMarks{route(12): 7}); !maps.Equal(got, want) {
		t.Errorf("with one: %v", got)
	}
	if svc.Servers[1].Checks[2].Mark != 0 {
		t.Error("the configuration was written to")
	}
}

// A check that takes the place of another one does not get its status. A check that moves to another place keeps its status.
func TestChecksKeepTheirOwnStatus(t *testing.T) {
	tcp, http := healthcheck.DefaultConfig(healthcheck.TCP), healthcheck.DefaultConfig(healthcheck.HTTP)
	slower := tcp
	slower.Interval *= 2
	config := func(checks ...healthcheck.Config) *configs.Config {
		svc := www(false, lvs.WeightZero)
		svc.Servers[0].Checks = checks
		return with(svc)
	}
	s := started(config(tcp, http))
	s.Step(noon, is(first, up), is(first+" #2", down))
	for _, c := range []struct {
		why    string
		checks []healthcheck.Config
		want   string
	}{
		{"the first goes", []healthcheck.Config{http}, "www/192.0.2.11:80 #2 unhealthy"},
		{"another comes in its place", []healthcheck.Config{tcp, http}, "www/192.0.2.11:80 unknown, www/192.0.2.11:80 #2 unhealthy"},
		{"they change places", []healthcheck.Config{http, tcp}, "www/192.0.2.11:80 #2 unhealthy, www/192.0.2.11:80 unknown"},
		{"one changes", []healthcheck.Config{http, slower}, "www/192.0.2.11:80 #2 unhealthy, www/192.0.2.11:80 unknown"},
		{"one is replaced", []healthcheck.Config{tcp}, "www/192.0.2.11:80 #3 unknown"},
		{"by one of another type", []healthcheck.Config{http}, "www/192.0.2.11:80 unknown"},
	} {
		s.Step(noon, Reload{Config: config(c.checks...)})
		var got []string
		srv := s.services[0].servers[0]
		for i, id := range srv.checkIDs {
			got = append(got, id+" "+srv.status[i].Health.String())
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %s, want %s", c.why, strings.Join(got, ", "), c.want)
		}
	}
}

// A server whose verdict has expired keeps its weight, because the trouble is the director's own.
func TestExpiredVerdictKeepsTheWeight(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	for was, want := range map[healthcheck.Health]int{up: 3, down: 0} {
		s := started(with(svc))
		s.Step(noon, both(was, up)...)
		s.Step(noon, Verdict{ID: first, Status: healthcheck.TargetStatus{Health: healthcheck.Unknown, Expired: true, Reason: "unknown, because …"}})
		shown := s.Snapshot(noon).Services[0]
		if got := shown.Weights[svc.Servers[0].ServerID]; got != want || shown.Pool.State.QuorumLost {
			t.Errorf("%s before: weight %d, want %d; %+v", was, got, want, shown.Pool)
		}
	}
}
