// SPDX-License-Identifier: Apache-2.0

package page

import "slices"

// An Edition is a page, and when each of its parts has changed. It never changes itself.
type Edition struct {
	Page
	Number   uint64 // 1 is the first. A page without any change has the number of the one before.
	changed  map[string]change
	arranged uint64 // the edition with this order of the services
}

// A change is a part, and the edition since which it is so.
type change struct {
	html   string
	number uint64
}

// Next returns the edition with a page, after an edition; nil: it is the first.
func (e *Edition) Next(p Page) *Edition {
	parts := p.parts()
	next := &Edition{Page: p, Number: 1, arranged: 1, changed: make(map[string]change, len(parts))}
	if e != nil {
		next.Number, next.arranged = e.Number+1, e.arranged
		if !slices.EqualFunc(e.Services, p.Services, func(a, b Part) bool { return a.ID == b.ID }) {
			next.arranged = next.Number
		}
	}
	same := e != nil && next.arranged == e.arranged
	for _, part := range parts {
		if e != nil {
			if was, ok := e.changed[part.ID]; ok && was.html == part.HTML {
				next.changed[part.ID] = was
				continue
			}
		}
		next.changed[part.ID] = change{part.HTML, next.Number}
		same = false
	}
	if same {
		next.Number = e.Number
	}
	return next
}

// News are the parts that a browser does not have.
type News struct {
	Instance string            `json:"instance"` // of the director's process: another one counts its editions anew
	Edition  uint64            `json:"edition"`
	Parts    map[string]string `json:"parts"`    // by ID
	Services []string          `json:"services"` // the IDs of the services' parts, in their order; null: as before
}

// After returns what is new after an edition.
func (e *Edition) After(number uint64) News {
	n := News{Edition: e.Number, Parts: make(map[string]string)}
	if number > e.Number {
		number = 0 // it was never told
	}
	for id, c := range e.changed {
		if c.number > number {
			n.Parts[id] = c.html
		}
	}
	if e.arranged > number {
		n.Services = make([]string, 0, len(e.Services))
		for _, s := range e.Services {
			n.Services = append(n.Services, s.ID)
		}
	}
	return n
}
