// SPDX-License-Identifier: Apache-2.0

package top

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
)

// A counts has the kernel's counters of a service or server.
type counts struct{ connections, in, out uint64 }

// A row is a service, a server or a virtual router.
type row struct {
	key              string // its name in commands
	state            string
	style            screen.Style
	weight, active   int
	connections      float64 // new ones a second
	in, out          float64 // bytes a second
	known            bool    // the rates
	priority, reason string  // of a virtual router
}

// countsOf returns the counters of a status by key.
func countsOf(s api.Status) map[string]counts {
	all := make(map[string]counts)
	for _, svc := range s.Services {
		all[svc.Name] = countsIn(svc.Stats)
		for _, srv := range svc.Servers {
			all[serverKey(svc, srv)] = countsIn(srv.Stats)
		}
	}
	return all
}

func countsIn(s api.Stats) counts { return counts{s.Connections, s.InBytes, s.OutBytes} }

func serverKey(svc api.Service, srv api.Server) string {
	return svc.Name + "/" + netip.AddrPortFrom(srv.Address, srv.Port).String()
}

// allRows returns the rows of the view.
func (m *Model) allRows() (all []row) {
	switch m.view {
	case Services:
		for _, svc := range m.status.Services {
			all = append(all, m.service(svc))
		}
	case Servers:
		for _, svc := range m.status.Services {
			for _, srv := range svc.Servers {
				all = append(all, m.server(svc, srv))
			}
		}
	case Routers:
		for _, r := range m.status.VRRP {
			all = append(all, routerRow(r))
		}
	}
	return all
}

func (m *Model) service(svc api.Service) row {
	ought := svc.Pool()
	r := row{key: svc.Name, state: fmt.Sprintf("%d of %d up", svc.Up, ought), style: screen.Green}
	switch {
	case svc.QuorumLost:
		r.state, r.style = r.state+", quorum lost", screen.Red
	case svc.Up < ought:
		r.style = screen.Yellow
	}
	for _, srv := range svc.Servers {
		r.weight, r.active = r.weight+srv.EffectiveWeight, r.active+srv.Active
	}
	m.rates(&r, svc.Stats)
	return r
}

func (m *Model) server(svc api.Service, srv api.Server) row {
	r := row{key: serverKey(svc, srv), state: srv.Health, weight: srv.EffectiveWeight, active: srv.Active}
	switch {
	case srv.Disabled:
		r.state, r.style = r.state+", disabled", screen.Yellow
	case srv.Drained:
		r.state, r.style = r.state+", drained", screen.Yellow
	case srv.Health == "unhealthy":
		r.style = screen.Red
	case srv.Health == "healthy":
		r.style = screen.Green
	}
	m.rates(&r, srv.Stats)
	return r
}

func routerRow(is api.Router) row {
	r := row{key: is.Name, state: strings.ToUpper(is.State), priority: fmt.Sprint(is.EffectivePriority), reason: is.Reason, weight: int(is.EffectivePriority)}
	if is.EffectivePriority != is.Priority {
		r.priority += fmt.Sprintf(" (of %d)", is.Priority)
	}
	switch {
	case is.HandingOver:
		r.state += " (handing over)"
	case is.Standby:
		r.state += " (standby)"
	case is.Waits != nil:
		r.reason = is.Waits.Text
	}
	switch is.State {
	case "master":
		r.style = screen.Green
	case "fault":
		r.style = screen.Red
	}
	return r
}

// rates sets the rates of a row. They are unknown at first, and after the kernel's counters began anew.
func (m *Model) rates(r *row, now api.Stats) {
	before, known := m.before[r.key]
	is, seconds := countsIn(now), m.passed.Seconds()
	if !known || seconds <= 0 || is.connections < before.connections || is.in < before.in || is.out < before.out {
		return
	}
	r.known = true
	r.connections = float64(is.connections-before.connections) / seconds
	r.in, r.out = float64(is.in-before.in)/seconds, float64(is.out-before.out)/seconds
}

// compare sorts by a column: names upwards, numbers downwards.
func (c Column) compare(a, b row) int {
	switch c {
	case ByName:
		return cmp.Compare(a.key, b.key)
	case ByActive:
		return cmp.Compare(b.active, a.active)
	case ByConnections:
		return cmp.Compare(b.connections, a.connections)
	case ByBytes:
		return cmp.Compare(b.in+b.out, a.in+a.out)
	case ByWeight:
		return cmp.Compare(b.weight, a.weight)
	}
	return 0
}
