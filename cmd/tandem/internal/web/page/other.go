// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"math"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// other tells about the other director: whether it is heard, and what differs. Then it tells about the drills, which prove that it
// takes over.
func other(v *View) Part {
	s := &v.Status
	var m markup
	m.open("section", "id", "other", "aria-labelledby", "other-title")
	m.element("h2", "The other director", "id", "other-title")
	if s.Peer == nil {
		m.element("p", "There is no channel to another director: the configuration has no [peer].")
	} else {
		m.peer(v, s.Peer)
	}
	for _, sync := range s.Sync {
		m.element("p", fmt.Sprintf("Connection sync: %s on %s, id %d", sync.Role, sync.Interface, sync.ID))
	}
	if d := s.Drill; d != nil {
		m.open("p")
		m.text("A drill is under way since ")
		m.moment(v.At, d.Began)
		m.text(": " + d.Kind)
		m.end("p")
	}
	for _, d := range s.Drills[:min(len(s.Drills), 1)] {
		m.open("p")
		m.text("Last drill, ")
		m.moment(v.At, d.Ended)
		m.text(": " + d.Kind + ": " + drill.Words(d))
		m.end("p")
	}
	m.end("section")
	return Part{"other", string(m.b)}
}

// peer tells about the other director.
func (m *markup) peer(v *View, p *api.Peer) {
	s := &v.Status
	name := summary.PeerName(p)
	m.open("p")
	m.element("strong", name)
	m.text(" · tandem " + summary.Dash(p.Version) + " · " + p.Address)
	m.end("p")
	m.half(v, "The channel to it", &p.To)
	m.half(v, "The channel from it", &p.From)
	if !p.HeardAt.IsZero() && !p.From.Up {
		m.open("p")
		m.text("What it told is of ")
		m.moment(v.At, p.HeardAt)
		m.end("p")
	}
	if c := p.Clock; c != nil && math.Abs(c.AheadSeconds) >= clockTold {
		which := "ahead of"
		if c.AheadSeconds < 0 {
			which = "behind"
		}
		m.element("p", fmt.Sprintf("Its clock is %.1f s %s ours", math.Abs(c.AheadSeconds), which))
	}
	if p.Version != "" && p.Version != s.Version {
		m.element("p", "The versions differ: what only one of them knows is not compared.")
	}
	if len(p.Drift) > 0 {
		m.element("h3", "The configurations differ")
		m.open("ul")
		for _, d := range p.Drift {
			word, class := "differs", "plain"
			if d.Wrong {
				word, class = "wrong", "warning"
			}
			m.open("li")
			m.element("strong", word, "class", class)
			m.text(" " + d.Text)
			m.end("li")
		}
		m.end("ul")
	}
	m.differences("Servers that the directors see differently", []string{"Server", "On " + s.Name, "On " + name}, len(p.Servers), func(i int) []string {
		return []string{p.Servers[i].Name, p.Servers[i].Here, p.Servers[i].There}
	})
	m.differences("Orders that differ", []string{"Server", "On " + s.Name, "On " + name, "Why"}, len(p.Orders), func(i int) []string {
		return []string{p.Orders[i].Name, p.Orders[i].Here, p.Orders[i].There, p.Orders[i].Why}
	})
	silent := "Servers that do not answer clients of " + name
	m.differences(silent, []string{"Server", "Connections without answer"}, len(p.Unanswered), func(i int) []string {
		return []string{p.Unanswered[i].Server, fmt.Sprint(p.Unanswered[i].Connections)}
	})
	switch {
	case p.ServersNotTold > 0:
		m.element("p", fmt.Sprintf("The health of %d real servers is not compared: they are too many.", p.ServersNotTold))
	case p.HeardAt.IsZero():
		m.element("p", "It has not told anything yet.")
	case len(p.Drift)+len(p.Servers)+len(p.Orders) == 0:
		m.element("p", "Configurations, real servers and orders: no difference.")
	}
}

// clockTold is the difference of the clocks, in seconds, from which on it is told. The measured one changes a little all the time.
const clockTold = 0.1

// half tells about one direction of the channel.
func (m *markup) half(v *View, what string, h *api.PeerHalf) {
	m.open("p")
	m.text(what + ": ")
	if h.Up {
		m.element("span", "connected", "class", "good")
	} else {
		m.element("span", "lost", "class", "critical")
	}
	if !h.Since.IsZero() {
		m.text(" since ")
		m.moment(v.At, h.Since)
	}
	if !h.Up && h.Problem != "" {
		m.text(": " + h.Problem)
	}
	m.end("p")
}

// maxDifferences is how many differences of a kind are shown.
const maxDifferences = 50

// differences writes a table below a title, unless it has no rows.
func (m *markup) differences(title string, columns []string, n int, row func(int) []string) {
	if n == 0 {
		return
	}
	m.element("h3", title)
	m.open("table", "aria-label", title)
	m.open("thead")
	m.open("tr")
	for _, c := range columns {
		m.element("th", c, "scope", "col")
	}
	m.end("tr", "thead")
	m.open("tbody")
	for i := range min(n, maxDifferences) {
		m.line()
		m.open("tr")
		for j, cell := range row(i) {
			if j == 0 {
				m.element("th", cell, "scope", "row")
			} else {
				m.element("td", cell)
			}
		}
		m.end("tr")
	}
	m.end("tbody", "table")
	if n > maxDifferences {
		m.element("p", fmt.Sprintf("and %d more: see tandem status --pair", n-maxDifferences))
	}
}
