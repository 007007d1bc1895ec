// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// chunk is how many servers a part has at most, so that a changed server of a large service does not change all of it.
const chunk = 100

// serviceID is the ID of a service's part from a server on. The name of a service has no slash.
func serviceID(name string, from int) string {
	if from == 0 {
		return "service-" + name
	}
	return "service-" + name + "/" + strconv.Itoa(from)
}

// fragment writes an ID for a link.
func fragment(id string) string { return url.PathEscape(id) }

// judge says in few words what is wrong with a service, and how bad it is; "": nothing is.
func judge(svc *api.Service) (words, class string) {
	switch {
	case !svc.Serves() && len(svc.Servers) > 0:
		return "no server gets clients", "critical"
	case svc.QuorumLost:
		return "quorum lost", "warning"
	case svc.Panic:
		return "too few servers are up: all are treated as healthy", "warning"
	}
	for i := range svc.Servers {
		if srv := &svc.Servers[i]; srv.Health == "unhealthy" || srv.Unanswered != nil {
			return "not all servers are well", "warning"
		}
	}
	return "", ""
}

// service tells about a service and its servers.
func service(svc *api.Service, now time.Time) (all []Part) {
	heaviest, busiest := 0, 0
	for i := range svc.Servers {
		srv := &svc.Servers[i]
		heaviest, busiest = max(heaviest, srv.EffectiveWeight, srv.Weight), max(busiest, srv.Active)
	}
	for from := 0; from == 0 || from < len(svc.Servers); from += chunk {
		servers := svc.Servers[from:min(from+chunk, len(svc.Servers))]
		id := serviceID(svc.Name, from)
		m := markup{b: make([]byte, 0, 1024+512*len(servers))}
		m.open("section", "class", "service", "id", id, "aria-labelledby", id+"-title")
		if from == 0 {
			m.element("h3", svc.Name, "id", id+"-title")
			facts(&m, svc)
		} else {
			m.element("h3", fmt.Sprintf("%s, servers %d to %d of %d", svc.Name, from+1, from+len(servers), len(svc.Servers)), "id", id+"-title")
		}
		if len(servers) > 0 {
			m.open("table", "aria-labelledby", id+"-title")
			m.b = append(m.b, serverHeader...)
			for i := range servers {
				m.server(&servers[i], now, heaviest, busiest)
			}
			m.end("tbody", "table")
		}
		m.end("section")
		all = append(all, Part{id, string(m.b)})
	}
	return all
}

// facts tells what a service is, and its sums.
func facts(m *markup, svc *api.Service) {
	m.open("p")
	if what, class := judge(svc); what != "" {
		m.element("strong", what, "class", class)
		m.text(" · ")
	}
	active := 0
	for i := range svc.Servers {
		active += svc.Servers[i].Active
	}
	m.text(fmt.Sprintf("%s %s · %s · %s · %d of %s up · %s, %d new a second", svc.Protocol, svc.Virtual, svc.Scheduler, svc.Method,
		svc.Up, summary.Counted(svc.Pool(), "server"), summary.Counted(active, "active connection"), svc.Stats.ConnectionRate))
	m.end("p")
}

const serverHeader = `<thead><tr><th scope="col">Server</th><th scope="col">Health</th><th scope="col">Since</th>` +
	`<th scope="col" class="number">Weight</th><th scope="col" class="number">Active</th><th scope="col" class="number">Inactive</th>` +
	`<th scope="col" class="number">New/s</th><th scope="col">Reason</th></tr></thead><tbody>`

// server writes the row of a real server. The bars show the weight and the connections beside the largest of the service.
func (m *markup) server(srv *api.Server, now time.Time, heaviest, busiest int) {
	m.line()
	m.open("tr")
	m.element("th", summary.HostPort(srv), "scope", "row")
	m.open("td")
	m.element("span", srv.Health, "class", healthClass(srv))
	m.end("td")
	m.open("td")
	m.moment(now, srv.Since)
	m.end("td")
	m.open("td", "class", "number")
	m.text(summary.Weight(srv))
	m.bar(srv.EffectiveWeight, heaviest)
	m.end("td")
	m.open("td", "class", "number")
	m.b = strconv.AppendInt(m.b, int64(srv.Active), 10)
	m.bar(srv.Active, busiest)
	m.end("td")
	m.number("td", srv.Inactive, "class", "number")
	m.number("td", int(srv.Stats.ConnectionRate), "class", "number")
	m.element("td", summary.Remark(srv))
	m.end("tr")
}

// barSteps is how many lengths a bar has: style.css has a class for each.
const barSteps = 10

// bar draws a bar for a value from 0 to most. It is for eyes only: the number stands beside it.
func (m *markup) bar(value, most int) {
	if value <= 0 || most <= 0 {
		return
	}
	n := max(1, (value*barSteps+most/2)/most)
	m.open("span", "class", "bar b"+strconv.Itoa(min(n, barSteps)), "aria-hidden", "true")
	m.end("span")
}

func healthClass(s *api.Server) string {
	switch {
	case s.Health == "unhealthy":
		return "critical"
	case s.Drained || s.Disabled || s.Health == "unknown":
		return "warning"
	case s.Health == "healthy":
		return "good"
	}
	return "plain"
}
