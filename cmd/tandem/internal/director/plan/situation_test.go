// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// inForce is the configuration that the tests begin with.
const inForce = `
name = "lb1"
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
priority = 150
vips = ["192.0.2.100/24", "192.0.2.101/24"]

[lvs.sync]
interface = "eth0"
id = 51

[[service]]
name = "www"
virtual = "192.0.2.100:80"
scheduler = "wrr"
  [service.check]
  type = "http"
  path = "/health"
  [[service.server]]
  address = "192.0.2.11"
  [[service.server]]
  address = "192.0.2.12"

[[service]]
name = "dns"
virtual = ["192.0.2.101:53", "192.0.2.101:5353"]
protocol = "udp"
scheduler = "rr"
  [[service.server]]
  address = "192.0.2.21"
`

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func parse(t *testing.T, text string) *configs.Config {
	t.Helper()
	cfg, err := configs.Parse("t.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A situation is a running director, and the kernel beside it.
type situation struct {
	role        vrrp.State
	connections map[string]int // established ones, by real server
	sick        string         // the real server whose check fails
	drained     string         // the real server that an operator has drained
	kernel      func([]lvs.ServiceStatus) []lvs.ServiceStatus
	probes      map[CheckID]Probe
	peer        *core.Peer
}

// input brings a director to a situation, and rehearses a reload.
func (s situation) input(t *testing.T, before, after string) Input {
	t.Helper()
	state, cfg := core.New(), parse(t, before)
	state.Step(noon, core.Start{Config: cfg})
	state.Step(noon, core.TableRead{})
	for _, svc := range cfg.Services {
		for _, srv := range svc.Servers {
			health := healthcheck.Healthy
			if srv.Addr.String() == s.sick {
				health = healthcheck.Unhealthy
			}
			state.Step(noon, core.Verdict{ID: core.ServerID(svc, srv), Status: healthcheck.TargetStatus{Health: health}})
		}
	}
	var routers []vrrp.Status
	for _, r := range cfg.Routers {
		routers = append(routers, vrrp.Status{
			Name: r.Name, Interface: r.Interface, VRID: r.VRID, State: s.role, Holding: s.role == vrrp.Master,
		})
	}
	state.Step(noon, core.Report{Report: message.Report{Routers: routers}})
	if s.drained != "" {
		state.Step(noon, core.ServerOrder{Server: s.drained, Action: api.Drain})
	}
	state.Step(noon, core.TableDone{Generation: 100})
	rehearsal, err := state.Rehearse(noon)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Now: noon, Before: rehearsal.Before(), Routers: routers, Owned: make(map[lvs.ServiceID]bool), Probes: s.probes, Peer: s.peer}
	for _, e := range in.Before.Table {
		row := lvs.ServiceStatus{Service: e.Service}
		for _, srv := range e.Servers {
			row.Servers = append(row.Servers, lvs.ServerStatus{Server: srv, Active: s.connections[srv.Addr.String()]})
		}
		in.Kernel = append(in.Kernel, row)
		in.Owned[e.ServiceID] = true
	}
	if s.kernel != nil {
		in.Kernel = s.kernel(in.Kernel)
	}
	found := core.TableRead{Entries: tableOf(in.Kernel).entries, Owned: in.Owned}
	in.After, in.Fixed = rehearsal.Reload(parse(t, after), nil, nil, found)
	return in
}

// lines writes the lines of a plan as the tables have them.
func lines(all []api.PlanLine) string {
	var b strings.Builder
	for _, l := range all {
		fmt.Fprintf(&b, "%s: %s %s", l.Harm, l.Op, l.Object)
		if l.Change != "" {
			fmt.Fprintf(&b, ": %s", l.Change)
		}
		if l.Later {
			b.WriteString(" (later)")
		}
		if l.Cost != "" {
			fmt.Fprintf(&b, " — %s", l.Cost)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// replaced returns the configuration in force with texts replaced, in pairs of old and new.
func replaced(t *testing.T, pairs ...string) string {
	t.Helper()
	text := inForce
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the configuration in force has no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

const (
	web1 = "  [[service.server]]\n  address = \"192.0.2.11\"\n"
	web2 = "  [[service.server]]\n  address = \"192.0.2.12\"\n"
	web3 = "  [[service.server]]\n  address = \"192.0.2.13\"\n"
	dns  = "  [[service.server]]\n  address = \"192.0.2.21\"\n"
)
