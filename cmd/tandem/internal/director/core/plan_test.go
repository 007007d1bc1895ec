// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

const unknownHealth = healthcheck.Unknown

func TestWeights(t *testing.T) {
	for _, c := range []struct {
		why       string
		svc       configs.Service
		events    []Event
		inherited string // weights in the kernel's table at the start
		want      string
	}{
		{"without a check, servers are in", www(false, lvs.WeightZero), nil, "", "11=3 12=5"},
		{"new servers wait for their first check", www(true, lvs.WeightZero), nil, "", "11=0 12=0"},
		{"one has passed", www(true, lvs.WeightZero), both(up, unknownHealth), "", "11=3 12=0"},
		{"one has failed", www(true, lvs.WeightZero), both(up, down), "", "11=3 12=0"},
		{"one has failed and is to be removed", www(true, lvs.Remove), both(up, down), "", "11=3"},
		{"after a restart the kernel's weights stand", www(true, lvs.WeightZero), nil, "11=3 12=5", "11=3 12=5"},
		{"whatever they were", www(true, lvs.WeightZero), nil, "11=1 12=0", "11=1 12=0"},
		{"until the checks have spoken", www(true, lvs.WeightZero), both(down, up), "11=3 12=0", "11=0 12=5"},
	} {
		s := started(with(c.svc), tableOf(c.svc, c.inherited)...)
		s.Step(noon, c.events...)
		if got := weights(s); got != c.want {
			t.Errorf("%s: got %s, want %s", c.why, got, c.want)
		}
	}
}

func TestDirectorThatIsCutOff(t *testing.T) {
	silent := func(id string, health healthcheck.Health) Event {
		return Verdict{ID: id, Status: healthcheck.TargetStatus{Health: health, Silent: true}}
	}
	nobody, somebody := Neighbours{Silence: 1}, Neighbours{Silence: 1, Answer: true}
	noCarrier := Report{message.Report{Links: map[string]string{"eth0": "no carrier"}}}
	lone := www(true, lvs.WeightZero)
	lone.Servers = lone.Servers[:1]
	for _, c := range []struct {
		why    string
		svc    configs.Service
		events []Event
		want   string
	}{
		{"all are silent", www(true, lvs.WeightZero), []Event{silent(first, down), silent(second, down)}, "11=0 12=0"},
		{"the neighbours too: it is the director", www(true, lvs.WeightZero), []Event{silent(first, down), silent(second, down), nobody}, "11=3 12=5"},
		{"the neighbours answer: it is the servers", www(true, lvs.WeightZero), []Event{silent(first, down), silent(second, down), somebody}, "11=0 12=0"},
		{"an interface has no carrier", www(true, lvs.WeightZero), []Event{silent(first, down), silent(second, down), somebody, noCarrier}, "11=3 12=5"},
		{"an answer to an earlier question", www(true, lvs.WeightZero), []Event{silent(first, down), silent(second, down), Neighbours{Silence: 7}}, "11=0 12=0"},
		{"one refuses: it is the servers", www(true, lvs.WeightZero), []Event{silent(first, down), is(second, down)}, "11=0 12=0"},
		// One lost probe is no failure.
		{"one is healthy still", www(true, lvs.WeightZero), []Event{silent(first, down), silent(second, up)}, "11=0 12=5"},
		{"one server cannot tell", lone, []Event{silent(first, down)}, "11=0"},
		{"also where servers are removed", www(true, lvs.Remove), []Event{silent(first, down), silent(second, down), nobody}, "11=3 12=5"},
	} {
		cfg := with(c.svc)
		cfg.Routers = []configs.Router{{Config: vrrp.Config{Name: "web", Interface: "eth0"}}}
		s := started(cfg)
		for _, ev := range c.events {
			s.Step(noon, ev)
		}
		if got := weights(s); got != c.want {
			t.Errorf("%s: got %s, want %s", c.why, got, c.want)
		}
	}
	if s := started(with(www(false, lvs.WeightZero))); s.silence.cutOff {
		t.Error("servers without a check say that the director is cut off")
	}
}

func TestInheritForgetsWhatIsKnownOrGone(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	s := started(with(svc), tableOf(svc, "11=3 12=5")...)

	// A verdict ends the inheritance for good. If a reload makes the server unknown again, the wanted table decides.
	s.Step(noon, is(first, down))
	s.Step(noon, is(first, unknownHealth))
	if got := weights(s); got != "11=0 12=5" {
		t.Errorf("after a verdict on the first: %s", got)
	}
	// A reload adds a check to a server that serves. The server continues to serve until the check has a result.
	s = started(with(www(false, lvs.WeightZero)))
	s.Step(noon, Reload{Config: with(svc)})
	if got := weights(s); got != "11=3 12=5" {
		t.Errorf("after a check was added: %s", got)
	}
	if s.Step(noon, Reload{Config: with()}); len(s.formerServers().inherited) != 0 {
		t.Errorf("a service that is gone leaves %v", s.formerServers())
	}
}

func TestWeightsFollowOrders(t *testing.T) {
	five := 5
	for _, c := range []struct {
		why    string
		orders map[string]Override
		want   string
	}{
		{"none", nil, "11=3 12=5"},
		{"drained", map[string]Override{first: {Drained: true}}, "11=0 12=5"},
		{"disabled", map[string]Override{first: {Disabled: true}}, "12=5"},
		{"another weight", map[string]Override{first: {Weight: &five}}, "11=5 12=5"},
		{"a drain is above a weight", map[string]Override{second: {Drained: true, Weight: &five}}, "11=3 12=0"},
	} {
		s := New()
		s.Step(noon, Start{Config: with(www(true, lvs.WeightZero)), Overrides: c.orders})
		s.Step(noon, append(both(up, up), TableRead{})...)
		if got := weights(s); got != c.want {
			t.Errorf("%s: got %s, want %s", c.why, got, c.want)
		}
	}
}

func TestOverridesLeaveADrainThatIsNotTheirs(t *testing.T) {
	in := lvs.WeightInput{Configured: 3, Health: lvs.HealthUp, Draining: true}
	Override{}.apply(&in)
	if weight, _ := lvs.Weight(in); weight != 0 {
		t.Errorf("a server that asks to be drained has weight %d", weight)
	}
}

func TestSeveralVirtualsWithASorryServer(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	https := svc.Virtuals[0]
	https.Port = 443
	svc.Virtuals = append(svc.Virtuals, https)
	svc.Sorry = &configs.Server{Mapped: true, Server: lvs.Server{
		ServerID: lvs.ServerID{Addr: netip.MustParseAddr("192.0.2.20"), Port: 8080}, Method: lvs.NAT,
	}}
	show := func(s *State) string {
		var all []string
		for _, e := range s.Wanted() {
			for _, s := range e.Servers {
				all = append(all, fmt.Sprintf("%d/%s=%d", e.Port, s.ServerID, s.Weight))
			}
		}
		return strings.Join(all, " ")
	}
	s := started(with(svc))
	s.Step(noon, both(up, down)...)
	if got, want := show(s), "80/192.0.2.11:80=3 80/192.0.2.12:80=0 443/192.0.2.11:443=3 443/192.0.2.12:443=0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.Step(noon, both(down, down)...)
	want := "80/192.0.2.11:80=0 80/192.0.2.12:80=0 80/192.0.2.20:8080=1 443/192.0.2.11:443=0 443/192.0.2.12:443=0 443/192.0.2.20:8080=1"
	if got := show(s); got != want {
		t.Errorf("without quorum: got  %s\nwant %s", got, want)
	}
	if pool := s.services[0].pool; !pool.Sorry || pool.Up != 0 {
		t.Errorf("pool %+v", pool)
	}
}

// Whether the quorum is lost depends on whether it was lost in the plan before.
func TestTheQuorumIsRemembered(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	svc.Quorum, svc.Hysteresis = 4, 1
	s := started(with(svc))
	for _, c := range []struct {
		why    string
		events []Event
		lost   bool
	}{
		{"8 of 8", both(up, up), false},
		{"3 is not below 4 - 1", both(up, down), false},
		{"0 is", both(down, down), true},
		{"3 is not 4 + 1", both(up, down), true},
		{"5 is", both(down, up), false},
	} {
		if s.Step(noon, c.events...); s.services[0].pool.State.QuorumLost != c.lost {
			t.Errorf("%s: lost is %t", c.why, !c.lost)
		}
	}
}

func TestSlowStarts(t *testing.T) {
	upSince := func(id string, since time.Time) Event {
		return Verdict{ID: id, Status: healthcheck.TargetStatus{Health: up, Since: since}}
	}
	svc := www(true, lvs.WeightZero)
	svc.Servers[0].Weight, svc.Servers[1].Weight, svc.SlowStart = 20, 20, 20*time.Second

	// The first served before the director started. The second becomes healthy for the first time.
	s := started(with(svc), tableOf(svc, "11=20 12=0")...)
	s.Step(noon, upSince(first, noon), upSince(second, noon))
	for _, c := range []struct {
		after time.Duration
		want  string
		next  time.Duration
	}{
		{0, "11=20 12=1", 2 * time.Second},
		{10 * time.Second, "11=20 12=10", 11 * time.Second},
		{20 * time.Second, "11=20 12=20", 0},
	} {
		out := s.Step(noon.Add(c.after), Tick{})
		if got := weights(s); got != c.want {
			t.Errorf("after %s: got %s, want %s", c.after, got, c.want)
		}
		if next := out.Next.Sub(noon); c.next != next && !(c.next == 0 && out.Next.IsZero()) {
			t.Errorf("after %s: the next change is at %s, want %s", c.after, next, c.next)
		}
	}
	// A reload that makes the health unknown does not start the slow start again. A failure does.
	s.Step(noon, is(second, unknownHealth))
	s.Step(noon.Add(time.Minute), upSince(second, noon.Add(time.Minute)))
	if got := weights(s); got != "11=20 12=20" {
		t.Errorf("after a reload: %s", got)
	}
	s.Step(noon.Add(time.Minute), is(second, down))
	s.Step(noon.Add(time.Minute), upSince(second, noon.Add(time.Minute)))
	if got := weights(s); got != "11=20 12=1" {
		t.Errorf("after a failure: %s", got)
	}
}

// A server whose drain or disable ends starts slowly, as one that has become healthy does.
func TestServersThatAreGivenBackStartSlowly(t *testing.T) {
	for _, c := range []struct {
		away, back api.Action
		meanwhile  string
	}{
		{api.Drain, api.Undrain, "11=0 12=20"},
		{api.Disable, api.Enable, "12=20"},
	} {
		svc := www(true, lvs.WeightZero)
		svc.Servers[0].Weight, svc.Servers[1].Weight, svc.SlowStart = 20, 20, 20*time.Second
		s := started(with(svc), tableOf(svc, "11=20 12=20")...)
		s.Step(noon, is(first, up), is(second, up))
		s.Step(noon.Add(time.Minute), ServerOrder{Server: first, Action: c.away})
		if got := weights(s); got != c.meanwhile {
			t.Errorf("%s: %s", c.away, got)
		}
		for after, want := range map[time.Duration]string{0: "11=1 12=20", 10 * time.Second: "11=10 12=20", 20 * time.Second: "11=20 12=20"} {
			s.Step(noon.Add(2*time.Minute), ServerOrder{Server: first, Action: c.away})
			s.Step(noon.Add(2*time.Minute), ServerOrder{Server: first, Action: c.back})
			s.Step(noon.Add(2*time.Minute+after), Tick{})
			if got := weights(s); got != want {
				t.Errorf("%s, %s later: %s, want %s", c.back, after, got, want)
			}
		}
	}
}

// When the cable of a director is plugged in again, its servers must not all start slowly.
func TestWeightsAfterACutOff(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	svc.SlowStart = time.Minute
	silent := healthcheck.TargetStatus{Health: down, Silent: true, Since: noon}
	healthy := healthcheck.TargetStatus{Health: up, Since: noon}
	s := started(with(svc))
	s.Step(noon, Verdict{first, silent}, Verdict{second, silent})
	s.Step(noon, Neighbours{Silence: 1})
	s.Step(noon, Verdict{first, healthy}, Verdict{second, healthy})
	if got := weights(s); got != "11=3 12=5" {
		t.Errorf("got %s", got)
	}
}
