// SPDX-License-Identifier: Apache-2.0

// Package page writes the web page of a pair: what is wrong, the virtual routers, the other director, the services, and what has
// happened. It does no input or output.
//
// A Page has parts: elements that change as a whole. An Edition knows when each part has changed, so that a browser that has an
// earlier edition gets only the parts that are new.
package page

import (
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// A View is what a page shows.
type View struct {
	At     time.Time // all times are in its time zone
	Status api.Status
	Events []api.Event // of both directors, the oldest first, by this director's clock
	// Missing says why the events of the other director are missing; empty: they are there, or there is no other director.
	Missing string
}

// A Part is an element of a page. ID is that of the element.
type Part struct{ ID, HTML string }

// A Page is what a browser shows.
type Page struct {
	Title string
	At    string // when it was so
	Zone  string // the time zone of all times
	// The parts that every page has.
	Overview, Wrong, Routers, Other, Timeline Part
	Services                                  []Part // a long one has several parts
}

// parts returns all parts, in their order.
func (p *Page) parts() []Part {
	return append([]Part{p.Overview, p.Wrong, p.Routers, p.Other, p.Timeline}, p.Services...)
}

// Render writes a page.
func Render(v View) Page {
	s := &v.Status
	problems := summary.Problems(*s)
	p := Page{
		At: v.At.Format(time.TimeOnly), Zone: v.At.Format("MST (UTC-07:00)"), Title: title(s.Name, problems),
		Wrong: wrong(s, problems), Routers: routers(&v), Other: other(&v), Timeline: timeline(&v),
	}
	p.Overview = overview(&v, p.Title)
	for i := range s.Services {
		p.Services = append(p.Services, service(&s.Services[i], v.At)...)
	}
	return p
}

// title is the name of the window: a reader of many windows sees there what is wrong.
func title(name string, problems []summary.Problem) string {
	critical := 0
	for _, p := range problems {
		if p.Critical {
			critical++
		}
	}
	switch warnings := len(problems) - critical; {
	case critical > 0:
		return summary.Counted(critical, "critical fault") + ": " + name + " · tandem"
	case warnings > 0:
		return summary.Counted(warnings, "warning") + ": " + name + " · tandem"
	}
	return name + " · tandem"
}

// overview tells which director this is, and the sums.
func overview(v *View, title string) Part {
	s := &v.Status
	var m markup
	m.open("header", "id", "overview", "data-title", title)
	m.element("h1", s.Name)
	m.open("p")
	m.text("tandem " + s.Version)
	if s.Config.File != "" {
		m.text(" · " + s.Config.File + " loaded ")
		m.moment(v.At, s.Config.LoadedAt)
	}
	m.end("p")
	if sums := summary.SumsOf(*s).String(); sums != "" {
		m.element("p", sums)
	}
	m.end("header")
	return Part{"overview", string(m.b)}
}

const (
	// maxProblems is how many problems are shown.
	maxProblems = 50
	// maxTroubled is how many services with a problem are linked.
	maxTroubled = 20
)

// wrong tells what is wrong, the worst first.
func wrong(s *api.Status, problems []summary.Problem) Part {
	var m markup
	m.open("section", "id", "wrong", "aria-labelledby", "wrong-title")
	m.element("h2", "What is wrong", "id", "wrong-title")
	if len(problems) == 0 {
		m.element("p", "Nothing is wrong.", "class", "good")
	} else {
		m.open("ul", "class", "problems")
		for _, p := range problems[:min(len(problems), maxProblems)] {
			word := "warning"
			if p.Critical {
				word = "critical"
			}
			m.line()
			m.open("li", "class", word)
			m.element("strong", word)
			m.text(" " + p.Text)
			m.end("li")
		}
		m.end("ul")
	}
	if more := len(problems) - maxProblems; more > 0 {
		m.element("p", "and "+summary.Counted(more, "other problem")+": see tandem status")
	}
	var troubled []string
	for i := range s.Services {
		if words, _ := judge(&s.Services[i]); words != "" {
			troubled = append(troubled, s.Services[i].Name)
		}
	}
	if len(troubled) > 0 {
		m.open("p")
		m.text("Services to look at:")
		for i, name := range troubled[:min(len(troubled), maxTroubled)] {
			if i > 0 {
				m.text(",")
			}
			m.text(" ")
			m.element("a", name, "href", "#"+fragment(serviceID(name, 0)))
		}
		if more := len(troubled) - maxTroubled; more > 0 {
			m.text(" and " + summary.Counted(more, "other"))
		}
		m.end("p")
	}
	m.end("section")
	return Part{"wrong", string(m.b)}
}
