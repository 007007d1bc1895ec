// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	up   = healthcheck.Healthy
	down = healthcheck.Unhealthy

	first  = "www/192.0.2.11:80"
	second = "www/192.0.2.12:80"
)

// www returns a service with two servers of weights 3 and 5.
func www(checked bool, onFailure lvs.OnFailure) configs.Service {
	svc := configs.Service{Name: "www", OnFailure: onFailure, Quorum: 1, Virtuals: []lvs.Service{{
		ServiceID: lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80},
		Scheduler: "wrr",
	}}}
	for i, weight := range []int{3, 5} {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})
		svc.Servers = append(svc.Servers, configs.Server{Server: lvs.Server{
			ServerID: lvs.ServerID{Addr: addr, Port: 80}, Method: lvs.DR, Weight: weight,
		}})
	}
	if checked {
		check := healthcheck.DefaultConfig(healthcheck.TCP)
		for i := range svc.Servers {
			svc.Servers[i].Checks = []healthcheck.Config{check}
		}
	}
	return svc
}

// with returns a configuration with these services.
func with(services ...configs.Service) *configs.Config {
	return &configs.Config{LVS: configs.LVS{ProbeMark: 100}, Services: services}
}

// started returns a state at noon. The kernel has this table.
func started(cfg *configs.Config, table ...lvs.Entry) *State {
	s := New()
	s.Step(noon, Start{Config: cfg})
	s.Step(noon, TableRead{Entries: table})
	s.Step(noon, TableDone{Generation: s.generation})
	return s
}

// is returns a verdict.
func is(id string, health healthcheck.Health) Verdict {
	return Verdict{ID: id, Status: healthcheck.TargetStatus{Health: health, Reason: "as it is"}}
}

// both returns verdicts about the two servers of www.
func both(a, b healthcheck.Health) []Event {
	var all []Event
	for id, h := range map[string]healthcheck.Health{first: a, second: b} {
		if h != healthcheck.Unknown {
			all = append(all, is(id, h))
		}
	}
	return all
}

// roles returns a report of the election.
func roles(states map[string]vrrp.State) Report {
	var r message.Report
	for name, state := range states {
		r.Routers = append(r.Routers, vrrp.Status{Name: name, State: state})
	}
	return Report{r}
}

// weights writes the first service of the wanted table as "11=3 12=5".
func weights(s *State) string { return weightsOf(s.Wanted()) }

func weightsOf(table []lvs.Entry) string {
	var all []string
	for _, srv := range table[0].Servers {
		all = append(all, fmt.Sprintf("%d=%d", srv.Addr.As4()[3], srv.Weight))
	}
	return strings.Join(all, " ")
}

// tableOf is the inverse of weights, for a service's own servers.
func tableOf(svc configs.Service, text string) []lvs.Entry {
	entry := lvs.Entry{Service: svc.Virtuals[0]}
	for _, word := range strings.Fields(text) {
		var last byte
		var srv lvs.Server
		if _, err := fmt.Sscanf(word, "%d=%d", &last, &srv.Weight); err != nil {
			panic(err)
		}
		srv.ServerID = lvs.ServerID{Addr: netip.AddrFrom4([4]byte{192, 0, 2, last}), Port: 80}
		entry.Servers = append(entry.Servers, srv)
	}
	return []lvs.Entry{entry}
}

// lines returns the messages of a step's log.
func lines(out Effects) (all []string) {
	for _, l := range out.Lines {
		all = append(all, l.Message)
	}
	return all
}

func sameDrains(a, b map[lvs.ServiceID][]drainingServer) bool {
	if len(a) != len(b) {
		return false
	}
	for id, all := range a {
		if !slices.Equal(all, b[id]) {
			return false
		}
	}
	return true
}

func seconds(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
