// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// A routerKey is the same for a virtual router on both directors.
type routerKey struct {
	name   string
	family uint8
}

// routers tells who holds the VIPs: the virtual routers of both directors side by side.
func routers(v *View) Part {
	s := &v.Status
	var m markup
	m.open("section", "id", "routers", "aria-labelledby", "routers-title")
	m.element("h2", "Virtual routers", "id", "routers-title")
	there := make(map[routerKey]*api.PeerRouter)
	var others []*api.PeerRouter
	if s.Peer != nil {
		for i := range s.Peer.Routers {
			r := &s.Peer.Routers[i]
			there[routerKey{r.Name, r.Family}] = r
			others = append(others, r)
		}
	}
	if len(s.VRRP)+len(others) == 0 {
		m.element("p", "This director has none.")
		m.end("section")
		return Part{"routers", string(m.b)}
	}
	m.open("table", "aria-labelledby", "routers-title")
	m.open("thead")
	m.open("tr")
	columns := []string{"Virtual router", "State on " + s.Name, "Priority"}
	if s.Peer != nil {
		columns = append(columns, "State on "+summary.PeerName(s.Peer), "Priority")
	}
	for _, c := range append(columns, "VIPs", "Since", "Master", "Reason") {
		m.element("th", c, "scope", "col")
	}
	m.end("tr", "thead")
	m.open("tbody")
	for i := range s.VRRP {
		r := &s.VRRP[i]
		key := routerKey{r.Name, r.Family}
		m.router(v, r, there[key])
		delete(there, key)
	}
	for _, r := range others {
		if there[routerKey{r.Name, r.Family}] != nil {
			m.otherRouter(v, r)
		}
	}
	m.end("tbody", "table")
	m.failingTracks(s.VRRP)
	m.end("section")
	return Part{"routers", string(m.b)}
}

// router writes the row of a virtual router. other is the same one on the other director; nil: not known.
func (m *markup) router(v *View, r *api.Router, other *api.PeerRouter) {
	m.line()
	m.open("tr")
	m.open("th", "scope", "row")
	m.text(r.Name)
	m.element("small", fmt.Sprintf(" %s, vrid %d, IPv%d", r.Interface, r.VRID, r.Family))
	m.end("th")
	m.state(summary.State(r), r.State)
	m.element("td", summary.Priority(r))
	if v.Status.Peer != nil {
		m.peerColumns(other)
	}
	m.element("td", vips(r))
	m.open("td")
	m.moment(v.At, r.Since)
	m.end("td")
	m.element("td", summary.Dash(r.Master))
	m.element("td", summary.Dash(r.Reason))
	m.end("tr")
}

// otherRouter writes the row of a virtual router that is on the other director only.
func (m *markup) otherRouter(v *View, r *api.PeerRouter) {
	m.line()
	m.open("tr")
	m.element("th", r.Name, "scope", "row")
	m.element("td", "not configured")
	m.element("td", "-")
	m.peerColumns(r)
	m.element("td", "-")
	m.open("td")
	m.moment(v.At, r.Since)
	m.end("td")
	m.element("td", "-")
	m.element("td", "-")
	m.end("tr")
}

func (m *markup) peerColumns(r *api.PeerRouter) {
	if r == nil {
		m.element("td", "not known")
		m.element("td", "-")
		return
	}
	m.state(summary.PeerState(r), r.State)
	m.number("td", int(r.Priority))
}

// state writes a state. Its colour says nothing that its word does not say.
func (m *markup) state(words, state string) {
	class := "plain"
	switch state {
	case "master":
		class = "good"
	case "fault":
		class = "critical"
	}
	m.open("td")
	m.element("span", words, "class", class)
	m.end("td")
}

// vips writes all VIPs of a virtual router.
func vips(r *api.Router) string {
	all := make([]string, 0, len(r.VIPs)+len(r.ExcludedVIPs))
	for _, vip := range append(r.VIPs[:len(r.VIPs):len(r.VIPs)], r.ExcludedVIPs...) {
		all = append(all, summary.VIP(r, vip))
	}
	return summary.Dash(strings.Join(all, ", "))
}

// failingTracks tells which tracks of the virtual routers fail.
func (m *markup) failingTracks(all []api.Router) {
	open := false
	for i := range all {
		for _, t := range all[i].Track {
			if t.OK {
				continue
			}
			if !open {
				m.element("h3", "Failing tracks")
				m.open("ul")
				open = true
			}
			m.element("li", fmt.Sprintf("%s: %s: %s", all[i].Name, t.Name, t.Reason))
		}
	}
	if open {
		m.end("ul")
	}
}
