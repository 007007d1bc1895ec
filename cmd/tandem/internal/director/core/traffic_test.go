// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
	"github.com/tandem-lvs/tandem/vrrp"
)

// pool is a service with n servers of weight 1, whose checks pass, and its state.
func pool(n int, action configs.OutlierAction, method lvs.Method) *State {
	svc := www(true, lvs.Remove)
	svc.Outlier = action
	var all []configs.Server
	for i := range n {
		srv := svc.Servers[0]
		srv.Addr, srv.Weight, srv.Method = netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}), 1, method
		all = append(all, srv)
	}
	svc.Servers = all
	s := started(with(svc))
	for _, srv := range s.services[0].servers {
		s.Step(noon, is(srv.id, up))
	}
	return s
}

// visited returns twelve new connections to each server at that second. The silent ones do not answer.
func visited(s *State, second int, state traffic.State, silent ...string) Traffic {
	var ev Traffic
	for _, srv := range s.services[0].servers {
		if srv.outlier.serves.IsZero() {
			continue
		}
		for i := range 12 {
			o := traffic.Outcome{
				Virtual: netip.MustParseAddrPort("192.0.2.100:80"), Server: netip.AddrPortFrom(srv.Addr, 80),
				Client: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Start: seconds(second), State: traffic.Answered,
			}
			for _, name := range silent {
				if name == srv.id {
					o.State = state
				}
			}
			ev.Outcomes = append(ev.Outcomes, o)
		}
	}
	return ev
}

// unansweredServers lists the servers that do not answer clients.
func unansweredServers(s *State) string {
	var all []string
	for _, srv := range s.Snapshot(s.now).Services[0].Servers {
		if n := srv.Unanswered; n != nil {
			all = append(all, fmt.Sprintf("%s 0/%d others %d%%", srv.ID, n.Unanswered, n.OthersPercent))
		}
	}
	return strings.Join(all, ", ")
}

// The check of these servers finds a failure within 7 s. Until then it may yet be the check that finds it.
func TestServerThatDoesNotAnswerClients(t *testing.T) {
	s := pool(2, configs.OutlierWarn, lvs.DR)
	within := int(s.services[0].servers[0].failsWithin().Seconds())
	said := 0
	for second := 1; second <= within+1; second++ {
		out := s.Step(seconds(second), visited(s, second, traffic.Waiting, second12))
		for _, l := range lines(out) {
			if l == "server does not answer clients" && second == within+1 {
				said++
			} else {
				t.Errorf("second %d: log line %q", second, l)
			}
		}
	}
	if got, want := unansweredServers(s), fmt.Sprintf("%s 0/%d others 100%%", second12, 12*(within+1)); got != want || said != 1 {
		t.Errorf("named %q, want %q; %d log lines", got, want, said)
	}
	if got := weights(s); got != "11=1 12=1" {
		t.Errorf("weights %s: only a warning is wanted", got)
	}
	s.Step(seconds(20), Reload{Config: s.cfg})
	if unansweredServers(s) == "" {
		t.Error("a reload has forgotten it")
	}
	if s.Step(seconds(21), visited(s, 21, traffic.Waiting)); unansweredServers(s) != "" {
		t.Errorf("it answers, and is still named: %s", unansweredServers(s))
	}
}

const second12 = second

// What is known of a server ends when its check fails. A server that returns is judged anew.
func TestFailedCheckIsNoOutlier(t *testing.T) {
	s := pool(2, configs.OutlierWarn, lvs.DR)
	for second := range 60 {
		var events []Event
		switch second % 6 {
		case 0:
			events = append(events, is(second12, up))
		case 5:
			events = append(events, is(second12, down))
		}
		s.Step(seconds(second), append(events, visited(s, second, traffic.Waiting, second12))...)
		if got := unansweredServers(s); got != "" {
			t.Fatalf("second %d: %s", second, got)
		}
	}
}

// A reset is a server's refusal with NAT, and a client's end of an answered connection with the other methods.
func TestResetByMethod(t *testing.T) {
	for method, want := range map[lvs.Method]bool{lvs.NAT: true, lvs.DR: false, lvs.Tunnel: false} {
		s := pool(2, configs.OutlierWarn, method)
		for second := range 20 {
			s.Step(seconds(second), visited(s, second, traffic.Closed, second12))
		}
		if got := unansweredServers(s) != ""; got != want {
			t.Errorf("%s: named %t, want %t", method, got, want)
		}
	}
}

// play lets clients come every second, and returns when which log line came.
func play(s *State, from, to int, silent ...string) (all []string) {
	for second := from; second < to; second++ {
		var events []Event
		if ev := visited(s, second, traffic.Waiting, silent...); len(ev.Outcomes) > 0 {
			events = append(events, ev)
		}
		out := s.Step(seconds(second), append(events, Tick{})...)
		for _, l := range out.Lines {
			if strings.HasPrefix(l.Message, "server ") {
				all = append(all, fmt.Sprintf("%d %s", second, l.Message))
			}
		}
	}
	return all
}

func TestOutlierIsTakenOutAndTriedAgain(t *testing.T) {
	s := pool(4, configs.OutlierWeightZero, lvs.DR)
	within := int(s.services[0].servers[0].failsWithin().Seconds())
	got := play(s, 0, 2*within+94, second12)
	want := []string{
		fmt.Sprintf("%d server does not answer clients", within), fmt.Sprintf("%d server gets no new clients for a while", within),
		fmt.Sprintf("%d server gets new clients again, to see whether it answers them", within+30),
		fmt.Sprintf("%d server gets no new clients for a while", 2*within+30+1),
		fmt.Sprintf("%d server gets new clients again, to see whether it answers them", 2*within+30+1+60),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Now it answers.
	end := 2*within + 94
	got = play(s, end, end+200)
	if len(got) != 1 || got[0] != fmt.Sprintf("%d server answers clients again", end) || unansweredServers(s) != "" {
		t.Errorf("got:\n%s\nnamed %s", strings.Join(got, "\n"), unansweredServers(s))
	}
	if got := weights(s); got != "11=1 12=1 13=1 14=1" {
		t.Errorf("weights %s", got)
	}
}

// Never more than a third of the servers, and never so many that quorum is lost.
func TestLimitsOfOutliers(t *testing.T) {
	for _, c := range []struct {
		servers, quorum int
		silent          []string
		want            string
	}{
		{2, 1, []string{second12}, "11=1 12=1"},
		{3, 1, []string{second12}, "11=1 12=0 13=1"},
		{3, 3, []string{second12}, "11=1 12=1 13=1"},
		{4, 1, []string{first, second12}, "11=0 12=1 13=1 14=1"},
	} {
		s := pool(c.servers, configs.OutlierWeightZero, lvs.DR)
		s.services[0].Quorum = c.quorum
		play(s, 0, 20, c.silent...)
		if got := weights(s); got != c.want {
			t.Errorf("%d servers, quorum %d, %v silent: weights %s, want %s", c.servers, c.quorum, c.silent, got, c.want)
		}
		if strings.Count(unansweredServers(s), "others") != len(c.silent) {
			t.Errorf("%d servers, %v silent: named %s", c.servers, c.silent, unansweredServers(s))
		}
	}
}

// The third is one of the servers in service: a server that is away for another reason does not raise the limit.
func TestLimitOfOutliersInService(t *testing.T) {
	const servers = 9
	fails := func(s *State, id string) { s.Step(noon, is(id, down)) }
	disabled := func(s *State, id string) { s.Step(noon, ServerOrder{Server: id, Action: api.Disable}) }
	drained := func(s *State, id string) { s.Step(noon, ServerOrder{Server: id, Action: api.Drain}) }
	for _, c := range []struct {
		name    string
		serving int
		away    func(s *State, id string) // takes the others out of service
		silent  int
		want    int // servers that are taken out
	}{
		{"all serve", servers, nil, 4, 3},
		{"three serve, the checks of the others fail", 3, fails, 2, 1},
		{"three serve, the others are disabled", 3, disabled, 2, 1},
		{"three serve, the others drain", 3, drained, 2, 1},
		{"two serve, the checks of the others fail", 2, fails, 1, 0},
		{"six serve", 6, fails, 3, 2},
	} {
		s := pool(servers, configs.OutlierWeightZero, lvs.DR)
		var ids []string
		for i, srv := range s.services[0].servers {
			if ids = append(ids, srv.id); i >= c.serving {
				c.away(s, srv.id)
			}
		}
		play(s, 0, 20, ids[:c.silent]...)
		if got := len(s.outliers); got != c.want {
			t.Errorf("%s, %d are silent: %d are taken out, want %d", c.name, c.silent, got, c.want)
		}
	}
	// A server that was taken out and then fails its check is in service no more, but it is still out.
	s := pool(6, configs.OutlierWeightZero, lvs.DR)
	play(s, 0, 20, first)
	s.Step(seconds(20), is(first, down))
	if play(s, 20, 29, second12); len(s.outliers) != 1 || unansweredServers(s) == "" {
		t.Errorf("with 5 of 6 servers in service, %d are taken out, want 1; named %q", len(s.outliers), unansweredServers(s))
	}
}

// The time without new clients doubles up to an hour. It begins anew only if the server was not taken out for Memory.
func TestTimeOfAnOutlier(t *testing.T) {
	s := pool(3, configs.OutlierWeightZero, lvs.DR)
	srv := s.services[0].servers[1]
	now := 0
	// takenOut lets clients come until the server is taken out, and then lets that time pass.
	takenOut := func() (wait time.Duration) {
		t.Helper()
		for end := now + 60; len(s.outliers) == 0; now++ {
			if now == end {
				t.Fatalf("%s is not taken out: named %q", srv.id, unansweredServers(s))
			}
			play(s, now, now+1, srv.id)
		}
		wait = srv.outlier.named.Until.Sub(seconds(now - 1))
		now += int(wait/time.Second) - 1
		if s.Step(seconds(now), Tick{}); len(s.outliers) != 0 {
			t.Fatalf("after %s it still gets no new clients", wait)
		}
		return wait
	}
	for i, want := range []time.Duration{30, 60, 120, 240, 480, 960, 1920, 3600, 3600} {
		if got := takenOut(); got != want*time.Second {
			t.Errorf("time %d: %s, want %s", i+1, got, want*time.Second)
		}
	}
	within := int(srv.failsWithin() / time.Second)
	for _, c := range []struct {
		after int // s from the end of the last time to the next
		want  time.Duration
	}{{590, time.Hour}, {610, 30 * time.Second}, {590, time.Minute}} {
		silent := now + c.after - within
		play(s, now, now+5)
		if unansweredServers(s) != "" {
			t.Errorf("it answers clients, and is named %s", unansweredServers(s))
		}
		now = silent - 5
		play(s, now, silent)
		now = silent
		if got := takenOut(); got != c.want {
			t.Errorf("it answered, and is silent %d s after the end of the last time: %s without new clients, want %s", c.after, got, c.want)
		}
	}
}

// Only a master looks at clients' connections, and only if there are servers to compare.
func TestWatching(t *testing.T) {
	cfg := with(www(true, lvs.Remove))
	cfg.Routers = []configs.Router{{Config: vrrp.Config{Name: "a"}}}
	s := started(cfg)
	watch := func(ev Event) bool { return s.Step(noon, ev).Watch }
	if watch(roles(map[string]vrrp.State{"a": vrrp.Backup})) {
		t.Error("a backup looks")
	}
	if !watch(roles(map[string]vrrp.State{"a": vrrp.Master})) {
		t.Error("a master does not look")
	}
	s.Step(noon, is(first, up), is(second12, up))
	for i := range 20 {
		s.Step(seconds(i), visited(s, i, traffic.Waiting, second12))
	}
	if unansweredServers(s) == "" {
		t.Error("nobody is named")
	}
	if watch(roles(map[string]vrrp.State{"a": vrrp.Backup})) || unansweredServers(s) != "" {
		t.Error("a backup still has what it saw as master")
	}
	one := www(true, lvs.Remove)
	one.Servers = one.Servers[:1]
	if started(with(one)).Step(noon, Tick{}).Watch {
		t.Error("there is nothing to compare")
	}
}

// Connections of a firewall mark belong to the only service by mark that has their server.
func TestTrafficByMark(t *testing.T) {
	svc := www(false, lvs.Remove)
	svc.Virtuals[0].ServiceID = lvs.ServiceID{FWMark: 1, Family: lvs.IPv4}
	for i := range svc.Servers {
		svc.Servers[i].Port, svc.Servers[i].Weight = 0, 1
	}
	s := started(with(svc))
	s.Step(noon, Tick{})
	for i := range 5 {
		s.Step(seconds(i), visited(s, i, traffic.Waiting, s.services[0].servers[1].id))
	}
	if !strings.Contains(unansweredServers(s), "192.0.2.12") || s.services[0].servers[0].verdict.Health != healthcheck.Unknown {
		t.Errorf("named %q", unansweredServers(s))
	}
}

// A server that was taken out gets clients again at once when it is the last one.
func TestOutlierIsNeverTheLast(t *testing.T) {
	s := pool(3, configs.OutlierWeightZero, lvs.DR)
	play(s, 0, 20, second12)
	if got := weights(s); got != "11=1 12=0 13=1" {
		t.Fatalf("weights %s", got)
	}
	all := s.services[0].servers
	s.Step(seconds(21), is(all[0].id, down))
	if got := weights(s); got != "11=0 12=0 13=1" && got != "12=0 13=1" {
		t.Errorf("one fails: weights %s", got)
	}
	s.Step(seconds(22), is(all[2].id, down))
	if got := weights(s); !strings.Contains(got, "12=1") {
		t.Errorf("the last fails: weights %s", got)
	}
	if unansweredServers(s) == "" {
		t.Error("it is still the one that does not answer")
	}
}
