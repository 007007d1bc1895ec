// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

func TestFindServer(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	twin := svc.Servers[1]
	twin.Port = 8080
	six := svc.Servers[0]
	six.Addr = netip.MustParseAddr("2001:db8::1")
	svc.Servers = append(svc.Servers, twin, six)
	services := []configs.Service{svc, {Name: "mail"}}
	for name, want := range map[string]string{
		"www/192.0.2.11":         "www/192.0.2.11:80",
		"www/192.0.2.11:80":      "www/192.0.2.11:80",
		"www/192.0.2.12:8080":    "www/192.0.2.12:8080",
		"www/2001:db8::1":        "www/[2001:db8::1]:80",
		"www/[2001:db8::1]":      "www/[2001:db8::1]:80",
		"www/[2001:db8::1]:80":   "www/[2001:db8::1]:80",
		"www":                    `"www" is not SERVICE/SERVER`,
		"web/192.0.2.11":         `there is no service "web": this director has www, mail`,
		"www/192.0.2.13":         `service www has no server "192.0.2.13": it has 192.0.2.11:80, 192.0.2.12:80, 192.0.2.12:8080, [2001:db8::1]:80`,
		"www/192.0.2.12":         `service www has several servers "192.0.2.12": name one of 192.0.2.12:80, 192.0.2.12:8080`,
		"mail/192.0.2.11":        `service mail has no server "192.0.2.11": it has none`,
		"www/192.0.2.11:80/more": `service www has no server "192.0.2.11:80/more"`,
	} {
		got := ""
		i, j, err := FindServer(services, name)
		if err != nil {
			got = err.Error()
		} else {
			got = ServerID(services[i], services[i].Servers[j])
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestOverridesSurviveARestart(t *testing.T) {
	s := started(with(www(true, lvs.WeightZero)))
	var stored map[string]Override
	for _, o := range []ServerOrder{
		{Server: first, Action: api.Drain}, {Server: first, Action: api.SetWeight, Weight: 7},
		{Server: second, Action: api.Disable}, {Server: second, Action: api.Enable},
	} {
		stored = s.Step(noon, o).Files[0].Value.(map[string]Override)
	}
	for _, o := range []ServerOrder{{Action: api.SetWeight, Weight: 65536}, {Action: api.SetWeight, Weight: -1}, {Action: "stop"}} {
		o.Server = first
		if out := s.Step(noon, o); len(out.Replies) != 1 || out.Replies[0].Err == nil || len(out.Files) > 0 {
			t.Errorf("%+v is taken", o)
		}
	}
	s = New()
	s.Step(noon, Start{Config: with(www(true, lvs.WeightZero)), Overrides: stored})
	if len(s.overrides) != 1 {
		t.Errorf("got %+v, want the first server's alone", s.overrides)
	}
	if note, want := s.overrides[first].Note(3), "drained by command; weight 7 by command instead of 3"; note != want {
		t.Errorf("got %q, want %q", note, want)
	}
	// If the server is not configured, nothing is remembered.
	lone := www(true, lvs.WeightZero)
	lone.Servers = lone.Servers[1:]
	s = New()
	out := s.Step(noon, Start{Config: with(lone), Overrides: stored})
	if len(s.overrides) != 0 || len(out.Lines) != 1 || out.Lines[0].Pairs[1] != first {
		t.Errorf("got %+v, log %v", s.overrides, out.Lines)
	}
}

// A command changes the kernel's table first, and is written to the disk next. If the disk hangs or fails, the answer and the
// status say so.
func TestOverridesActBeforeTheyAreRemembered(t *testing.T) {
	for _, c := range []struct {
		why    string
		then   []Event // a second later
		after  time.Duration
		note   string
		warned bool
	}{
		{"the disk is fine", []Event{Stored{OverridesFile, 1, ""}}, time.Second, "", false},
		{"it is read-only", []Event{Stored{OverridesFile, 1, "read-only file system"}}, time.Second, "read-only file system", true},
		{"it hangs", nil, 2 * time.Second, "the disk does not answer", true},
	} {
		s := started(with(www(false, lvs.WeightZero)))
		out := s.Step(noon, ServerOrder{Request: 7, Server: first, Action: api.Drain})
		if out.Table == nil || weightsOf(out.Table.Set) != "11=0 12=5" || len(out.Files) != 1 || len(out.Replies) != 0 {
			t.Fatalf("%s: %+v", c.why, out)
		}
		if out := s.Step(noon, TableDone{Generation: out.Table.Generation}); len(out.Replies) != 0 || out.Next != seconds(2) {
			t.Errorf("%s: it does not wait for the disk: %+v", c.why, out)
		}
		out = s.Step(noon.Add(c.after), c.then...)
		if len(out.Replies) != 1 || out.Replies[0].NotRemembered != c.note || out.Replies[0].Err != nil || out.Replies[0].Server != first {
			t.Errorf("%s: %+v", c.why, out.Replies)
		}
		if got := s.Snapshot(noon.Add(c.after)).StateDir.Unwritten; (len(got) == 1) != c.warned {
			t.Errorf("%s: unwritten %v", c.why, got)
		}
		s.Step(seconds(60), Stored{OverridesFile, 1, ""})
		if got := s.Snapshot(seconds(60)).StateDir.Unwritten; len(got) != 0 {
			t.Errorf("%s: in the end %v", c.why, got)
		}
	}
	s := started(with(www(false, lvs.WeightZero)))
	s.Step(noon, ServerOrder{Request: 7, Server: first, Action: api.Drain})
	if out := s.Step(seconds(15), Tick{}); len(out.Replies) != 1 || out.Replies[0].Err == nil {
		t.Errorf("without the kernel: %+v", out.Replies)
	}
}

// A server without a port of its own keeps its orders when the virtuals of its service change their order.
func TestOverridesOutliveAReorderOfVirtuals(t *testing.T) {
	config := func(virtual string) *configs.Config {
		cfg, err := configs.Parse("t.toml", []byte(`name = "lb1"
[[service]]
name = "www"
virtual = `+virtual+`
scheduler = "wrr"
slow_start = "20s"
[[service.server]]
address = "192.0.2.11"
weight = 20
[[service.server]]
address = "192.0.2.12"
port = 8080
method = "nat"
`))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	one, two := config(`["192.0.2.100:443", "192.0.2.100:80"]`), config(`["192.0.2.100:80", "192.0.2.100:443"]`)
	s := New()
	// As an earlier version named it.
	s.Step(noon, Start{Config: one, Overrides: map[string]Override{"www/192.0.2.11:443": {Drained: true}}})
	s.Step(noon, TableRead{})
	for i, cfg := range []*configs.Config{two, one} {
		s.Step(noon, Reload{Config: cfg})
		for _, e := range s.Wanted() {
			if got := weightsOf([]lvs.Entry{e}); got != "11=0 12=1" {
				t.Errorf("reload %d: %s has %s", i+1, e.ServiceID, got)
			}
		}
	}
	for _, name := range []string{"www/192.0.2.11", "www/192.0.2.11:80", "www/192.0.2.11:443"} {
		if _, j, err := FindServer(one.Services, name); err != nil || j != 0 {
			t.Errorf("%s: server %d, %v", name, j, err)
		}
	}
	// The drain is taken back: the server starts slowly.
	s.Step(noon, ServerOrder{Server: "www/192.0.2.11:443", Action: api.Undrain})
	if got := weights(s); got != "11=1 12=20" && got != "11=1 12=1" {
		t.Errorf("undrained: %s", got)
	}
	s.Step(seconds(20), Tick{})
	if got := weights(s); got != "11=20 12=1" {
		t.Errorf("in the end: %s", got)
	}
}
