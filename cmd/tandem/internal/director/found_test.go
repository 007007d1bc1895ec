// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A loopOnly is a director without workers: nothing of it touches the machine, and no check runs. Its kernel has the given table.
func loopOnly(t *testing.T, cfg *configs.Config, table func() ([]lvs.ServiceStatus, error)) *Director {
	t.Helper()
	d := New(Options{Config: cfg, Log: hclog.NewNullLogger()})
	d.saved = d.openState(cfg.State.Dir)
	d.table, d.settings, d.interfaces = d.saved.table, &workers.Settings{}, &workers.Interfaces{Settings: d.saved.settings}
	d.count = func(context.Context) ([]lvs.ServiceStatus, error) { return table() }
	state := core.New()
	state.Step(time.Now(), core.Start{Config: cfg})
	state.Step(time.Now(), core.TableRead{}, core.TableDone{Generation: 1})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.loop(ctx, state) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := errors.Join(d.table.ipvs.Close(), d.reader.Close()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestReloadReadsTheKernelsTable: a reload reads the kernel's table before it comes into force, so that the servers of a service
// that others have set up keep their weights. If the table cannot be read, the reload says so and goes on.
func TestReloadReadsTheKernelsTable(t *testing.T) {
	id := lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80}
	server := func(last byte, weight int) lvs.Server {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, last})
		return lvs.Server{ServerID: lvs.ServerID{Addr: addr, Port: 80}, Method: lvs.DR, Weight: weight}
	}
	others := []lvs.ServiceStatus{{
		Service: lvs.Service{ServiceID: id, Scheduler: "wrr"}, Servers: []lvs.ServerStatus{{Server: server(11, 7)}, {Server: server(12, 0)}},
	}}
	for _, tt := range []struct {
		name  string
		table []lvs.ServiceStatus
		err   error
		want  map[lvs.ServerID]int
		warns string
	}{
		{"others have set it up", others, nil, map[lvs.ServerID]int{server(11, 0).ServerID: 7, server(12, 0).ServerID: 0}, ""},
		{"nobody has", nil, nil, map[lvs.ServerID]int{server(11, 0).ServerID: 0, server(12, 0).ServerID: 0}, ""},
		{
			"it cannot be read", others, errors.New("the kernel does not answer"),
			map[lvs.ServerID]int{server(11, 0).ServerID: 0, server(12, 0).ServerID: 0}, "the kernel does not answer",
		},
	} {
		dir := t.TempDir()
		cfg := &configs.Config{
			Name: "lb1", File: filepath.Join(dir, "tandem.toml"), Log: configs.Log{Level: "info"}, State: configs.State{Dir: dir},
			Control: configs.Control{Socket: filepath.Join(dir, "s")},
			Routers: []configs.Router{{Config: vrrp.Config{
				Name: "web", Interface: "eth0", VRID: 51, Version: 3, Priority: 150, AdvertInterval: time.Second,
				VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
			}}},
		}
		d := loopOnly(t, cfg, func() ([]lvs.ServiceStatus, error) { return tt.table, tt.err })
		next := *cfg
		next.SHA256 = "another"
		// Only the master checks it, and who is master is not known: no check has results.
		www := configs.Service{Name: "www", CheckWhen: configs.CheckMaster, Virtuals: []lvs.Service{{ServiceID: id, Scheduler: "wrr"}}}
		for _, srv := range []lvs.Server{server(11, 1), server(12, 1)} {
			www.Servers = append(www.Servers, configs.Server{Server: srv, Checks: []healthcheck.Config{healthcheck.DefaultConfig(healthcheck.TCP)}})
		}
		next.Services = []configs.Service{www}
		done, err := d.enforce("", candidate{config: &next, isOwn: true}, core.Change{How: revision.Reloaded})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if said := strings.Join(done.Warnings, "; "); !strings.Contains(said, tt.warns) || tt.warns == "" && strings.Contains(said, "not known") {
			t.Errorf("%s: warnings %q", tt.name, said)
		}
		shot := d.snapshot()
		for id, weight := range tt.want {
			if got := shot.Services[0].Weights[id]; got != weight {
				t.Errorf("%s: %s has weight %d, want %d", tt.name, id, got, weight)
			}
		}
	}
}
