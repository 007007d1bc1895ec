// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

func TestPoolWarnings(t *testing.T) {
	svc := configs.Service{Name: "www", Servers: make([]configs.Server, 2), Sorry: &configs.Server{}}
	svc.Sorry.Addr = netip.MustParseAddr("192.0.2.20")
	for _, c := range []struct {
		pool lvs.PoolOutput
		want []string
	}{
		{lvs.PoolOutput{Up: 2}, nil},
		{lvs.PoolOutput{State: lvs.PoolState{QuorumLost: true}, Sorry: true},
			[]string{"www has lost its quorum, with 0 of 2 servers up: the sorry server, 192.0.2.20, serves its clients"}},
		{lvs.PoolOutput{Up: 1, Panic: true}, []string{"www has only 1 of 2 servers up: all are treated as healthy"}},
	} {
		if got := allPoolWarnings([]configs.Service{svc}, []lvs.PoolOutput{c.pool}); !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %q, want %q", c.pool, got, c.want)
		}
	}
}

// If many services have the same fault, there is one warning for all of them.
func TestManyPoolWarningsAreOne(t *testing.T) {
	services, pools := make([]configs.Service, 200), make([]lvs.PoolOutput, 200)
	for i := range services {
		services[i].Name = fmt.Sprint("s", i)
		pools[i] = lvs.PoolOutput{State: lvs.PoolState{QuorumLost: true}, Sorry: i%2 == 0}
	}
	want := []string{"200 services have lost their quorum: s0, s1, s2 and 197 more; sorry servers serve the clients of 100 of them"}
	if got := allPoolWarnings(services, pools); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
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

// TestPersistentClientsOfADrainedServer: persistent clients count if the configuration lets templates send them to a server
// of weight 0.
func TestPersistentClientsOfADrainedServer(t *testing.T) {
	const service = "name = \"lb1\"\n[[service]]\nname = \"www\"\nvirtual = [\"192.0.2.100:80\", \"192.0.2.100:81\"]\n" +
		"server = [{ address = \"192.0.2.11\" }, { address = \"192.0.2.12\" }]\n"
	const off = "\n[lvs.sysctl]\nexpire_quiescent_template = 0\n"
	for text, want := range map[string]bool{
		service: false, service + off: false, service + "persistence = {}\n": false, service + "persistence = {}\n" + off: true,
	} {
		cfg, err := configs.Parse("t.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := TemplatesBind(cfg, cfg.Services[0]); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
		var kernel []lvs.ServiceStatus
		for i, virtual := range cfg.Services[0].Virtuals {
			row := lvs.ServiceStatus{Service: virtual}
			for j, srv := range cfg.Services[0].Servers {
				row.Servers = append(row.Servers, lvs.ServerStatus{Server: srv.In(virtual), Persistent: 1 + 10*i + 100*j})
			}
			kernel = append(kernel, row)
		}
		if got := PersistentClients(&core.Snapshot{Config: cfg}, "www/192.0.2.12", kernel); got != 101+111 {
			t.Errorf("%d persistent clients, want 212", got)
		}
	}
}

// If many checks cannot run for the same reason, there is one warning.
func TestCheckWarnings(t *testing.T) {
	checks := map[string]healthcheck.TargetStatus{
		"www/192.0.2.11:80": {Trouble: "too many open files"}, "www/192.0.2.12:80": {Trouble: "too many open files"},
		"dns/192.0.2.13:53": {}, "x/192.0.2.14:80": {Trouble: "no such file"},
	}
	got := checkWarnings(checks)
	for i, want := range []string{
		"the check of x/192.0.2.14:80 cannot be run: no such file: ",
		"2 checks, the first of them of www/192.0.2.11:80, cannot be run: too many open files: ",
	} {
		if len(got) != 2 || !strings.HasPrefix(got[i], want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestHalfOpenConnectionsOfADrainedServer: a drain does not wait for connections without a client. One that may be of another service
// counts: the kernel's table does not say which service it is of.
func TestHalfOpenConnectionsOfADrainedServer(t *testing.T) {
	const (
		www  = "[[service]]\nname = \"www\"\nvirtual = [\"192.0.2.100:80\", \"192.0.2.100:81\"]\nserver = [{ address = \"192.0.2.11\" }]\n"
		mark = "[[service]]\nname = \"www\"\nvirtual = { fwmark = 1 }\nserver = [{ address = \"192.0.2.11\" }]\n"
		dns  = "[[service]]\nname = \"www\"\nvirtual = \"192.0.2.100:80\"\nprotocol = \"udp\"\nserver = [{ address = \"192.0.2.11\" }]\n"
		more = "[[service]]\nname = \"other\"\nvirtual = { fwmark = 2 }\nserver = [{ address = \"192.0.2.11\" }]\n"
	)
	at := netip.MustParseAddrPort
	half := func(virtual, server string) traffic.Connection {
		return traffic.Connection{Client: at("198.51.100.7:1024"), Virtual: at(virtual), Server: at(server), State: traffic.Waiting}
	}
	all := []traffic.Connection{
		half("192.0.2.100:80", "192.0.2.11:80"), half("192.0.2.100:81", "192.0.2.11:81"), // those of the server
		half("192.0.2.100:80", "192.0.2.12:80"), half("192.0.2.101:80", "192.0.2.11:80"), half("192.0.2.100:80", "192.0.2.11:81"),
	}
	for _, tt := range []struct {
		name, text string
		active     int // of each virtual
		want       int
	}{
		{"one client is left", www, 2, 2},
		{"none is left", www, 1, 0},
		{"none is active", www, 0, 0},
		{"of a mark", mark, 9, 5},
		{"they may be of another mark", www + more, 1, 2},
		{"datagrams have none", dns, 3, 3},
	} {
		cfg, err := configs.Parse("t.toml", []byte("name = \"lb1\"\n"+tt.text))
		if err != nil {
			t.Fatal(err)
		}
		shot := &core.Snapshot{Config: cfg}
		var rows []lvs.Row
		for _, svc := range cfg.Services {
			is := new(core.Service)
			for range svc.Servers {
				is.Servers = append(is.Servers, core.Server{ID: svc.Name + "/192.0.2.11:80"})
			}
			shot.Services = append(shot.Services, is)
		}
		for _, virtual := range cfg.Services[0].Virtuals {
			rows = append(rows, lvs.Row{Service: virtual, Servers: []lvs.ServerRow{{Server: cfg.Services[0].Servers[0].In(virtual), Active: tt.active}}})
		}
		s, err := Server(shot, "www/192.0.2.11", rows, func() []traffic.Connection { return all })
		if err != nil || s.Connections != tt.want {
			t.Errorf("%s: %d connections, want %d (%v)", tt.name, s.Connections, tt.want, err)
		}
	}
}
