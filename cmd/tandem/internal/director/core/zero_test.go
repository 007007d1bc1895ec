// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// limited returns a configuration whose servers leave the table after 10 s at weight 0.
func limited() *configs.Config {
	cfg := with(www(true, lvs.WeightZero))
	cfg.Services[0].RemoveAfter = 10 * time.Second
	return cfg
}

// A server that has failed, or is drained, leaves the table after its time at weight 0. It returns when it has a weight again, and
// its time then begins anew.
func TestServersLeaveAfterTheirTimeAtZero(t *testing.T) {
	for name, c := range map[string]struct{ out, back Event }{
		"failed":    {is(first, down), is(first, up)},
		"drained":   {ServerOrder{Server: first, Action: "drain"}, ServerOrder{Server: first, Action: "undrain"}},
		"asked for": {advised(first, healthcheck.Weigh(0)), advised(first, healthcheck.Advice{})},
	} {
		s := started(limited())
		s.Step(seconds(0), both(up, up)...)
		out := s.Step(seconds(1), c.out)
		if !out.Next.Equal(seconds(11)) {
			t.Errorf("%s: next %s, want %s", name, out.Next, seconds(11))
		}
		got := []string{weights(s)}
		s.Step(seconds(10), Tick{})
		got = append(got, weights(s))
		out = s.Step(seconds(11), Tick{})
		got = append(got, weights(s))
		if !slices.Contains(lines(out), "server left the table: it had weight 0 for too long") {
			t.Errorf("%s: log %q", name, lines(out))
		}
		if !out.Next.IsZero() && !out.Next.After(seconds(11)) {
			t.Errorf("%s: a tick at %s, again and again", name, out.Next)
		}
		s.Step(seconds(12), c.back)
		got = append(got, weights(s))
		s.Step(seconds(13), c.out)
		s.Step(seconds(22), Tick{})
		got = append(got, weights(s))
		want := []string{"11=0 12=5", "11=0 12=5", "12=5", "11=3 12=5", "11=0 12=5"}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func advised(id string, a healthcheck.Advice) Verdict {
	return Verdict{ID: id, Status: healthcheck.TargetStatus{Health: up, Reason: "as it is", Advice: a}}
}

// A reload does not prolong the time, and without a limit a server stays.
func TestTimeAtZeroAfterReload(t *testing.T) {
	s := started(limited())
	s.Step(seconds(0), both(down, up)...)
	s.Step(seconds(9), Reload{Config: limited()})
	if s.Step(seconds(10), Tick{}); weights(s) != "12=5" {
		t.Errorf("10 s after the failure: %s", weights(s))
	}
	s.Step(seconds(11), Reload{Config: with(www(true, lvs.WeightZero))})
	if weights(s) != "11=0 12=5" {
		t.Errorf("without a limit: %s", weights(s))
	}
}

// While the file of a server exists, the server is drained. A reload and a restart know that at once.
func TestMaintenance(t *testing.T) {
	config := func() *configs.Config {
		cfg := with(www(true, lvs.Remove))
		for i := range cfg.Services[0].Servers {
			cfg.Services[0].Servers[i].MaintenanceFile = "/m/{address}"
		}
		return cfg
	}
	none, one := Maintenance{"/m/192.0.2.11": false, "/m/192.0.2.12": false}, Maintenance{"/m/192.0.2.11": true, "/m/192.0.2.12": false}
	s := started(config())
	s.Step(seconds(0), both(up, up)...)
	for _, c := range []struct {
		what string
		ev   Event
		want string
		line string
	}{
		{"no file", none, "11=3 12=5", ""},
		{"a file", one, "11=0 12=5", "server is drained for maintenance"},
		{"a reload", Reload{Config: config(), Maintenance: one}, "11=0 12=5", "configuration reloaded"},
		{"files of an earlier configuration", Maintenance{"/other": true}, "11=0 12=5", ""},
		{"the file is gone", none, "11=3 12=5", "server is no longer drained for maintenance"},
		{"a drain too", ServerOrder{Server: first, Action: "drain"}, "11=0 12=5", "ordered by command"},
		{"both", one, "11=0 12=5", "server is drained for maintenance"},
		{"the drain remains", none, "11=0 12=5", "server is no longer drained for maintenance"},
	} {
		out := s.Step(seconds(1), c.ev)
		if got := weights(s); got != c.want || c.line != "" && !slices.Contains(lines(out), c.line) || c.line == "" && len(lines(out)) > 0 {
			t.Errorf("%s: %s, log %q; want %s, %q", c.what, got, lines(out), c.want, c.line)
		}
	}
	s = New()
	s.Step(noon, Start{Config: config(), Maintenance: one})
	s.Step(noon, TableRead{Entries: tableOf(www(true, 0), "11=3 12=5")})
	if got := weights(s); got != "11=0 12=5" {
		t.Errorf("after a restart: %s", got)
	}
	if is := s.Snapshot(noon).Services[0].Servers; !is[0].Maintenance || is[1].Maintenance {
		t.Errorf("shown: %+v", is)
	}
}

// A sorry server serves unless its own check has failed. Its health counts for nothing else.
func TestCheckedSorryServer(t *testing.T) {
	const sorry = "www/192.0.2.20:80"
	config := func() *configs.Config {
		cfg := with(www(true, lvs.WeightZero))
		spare := cfg.Services[0].Servers[0]
		spare.Addr = spare.Addr.Next().Next().Next().Next().Next().Next().Next().Next().Next() // 192.0.2.20
		cfg.Services[0].Sorry = &spare
		return cfg
	}
	s := New()
	out := s.Step(noon, Start{Config: config()})
	if n := len(out.Checks.Targets); n != 3 || out.Checks.Targets[2].ID != sorry {
		t.Errorf("%d targets: %+v", n, out.Checks.Targets)
	}
	s.Step(noon, TableRead{})
	for _, c := range []struct {
		what   string
		events []Event
		want   string
	}{
		{"all is well", append(both(up, up), is(sorry, up)), "11=3 12=5"},
		{"the sorry server fails", []Event{is(sorry, down)}, "11=3 12=5"},
		{"and the others too", both(down, down), "11=0 12=0"},
		{"the sorry server is up again", []Event{is(sorry, up)}, "11=0 12=0 20=1"},
		{"a reload", []Event{Reload{Config: config()}}, "11=0 12=0 20=1"},
		{"it fails while it serves", []Event{is(sorry, down)}, "11=0 12=0"},
		{"a server returns", both(up, healthcheck.Unknown), "11=3 12=0"},
	} {
		if s.Step(seconds(1), c.events...); weights(s) != c.want {
			t.Errorf("%s: %s, want %s", c.what, weights(s), c.want)
		}
	}
	if s.census.checked != 2 {
		t.Errorf("the census has %d servers", s.census.checked)
	}
	if is := s.Snapshot(noon).Services[0].Sorry; is == nil || is.ID != sorry || !is.Checked || is.Verdict.Health != down {
		t.Errorf("shown: %+v", is)
	}
}
