// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

// A Prober is a machine that asks the service as clients do, by tandem probe --listen.
type Prober struct {
	Address string // at which it listens
	Problem string // why it cannot be used; empty: it can
}

// A Seen is what the clients at a prober saw.
type Seen struct {
	Address string
	Report  *prober.Report // nil: there is none
	Problem string         // why there is none
}

// Clients are what the clients at a prober saw in a drill. What is null is not known.
type Clients struct {
	Address  string `json:"address"` // at which the prober listens
	Target   string `json:"target,omitempty"`
	Asked    int    `json:"asked"`
	Answered int    `json:"answered"`
	Failed   int    `json:"failed"`
	Resets   int    `json:"resets"`
	NotAsked int    `json:"not_asked"` // by a fault of the prober's machine
	Outages  int    `json:"outages"`   // since the fault
	// Outage is the longest of them. 0: there was none.
	Outage *Seconds `json:"outage_seconds"`
	// FirstAnswer is the time from the fault to the first answer after the first outage; 0: there was none.
	FirstAnswer *Seconds `json:"first_answer_seconds"`
	// Flows are the connections that stayed open, and Broken those of them that did not.
	Flows  int `json:"flows,omitempty"`
	Broken int `json:"broken,omitempty"`
	// Problem is why nothing is known.
	Problem string `json:"problem,omitempty"`
	goesOn  bool
}

// earlier is how much earlier than the fault an outage of the fault can seem to end: the clocks of two machines are compared over the
// network.
const earlier = 50 * time.Millisecond

// clients returns what the clients at a prober saw since the fault.
func (o *Observed) clients(seen Seen) Clients {
	c := Clients{Address: seen.Address, Problem: seen.Problem}
	r := seen.Report
	if r == nil {
		return c
	}
	c.Target, c.Asked, c.Answered, c.Failed, c.Resets, c.NotAsked = r.Target, r.Asked, r.Answered, r.Failed, r.Counts.Resets, r.NotAsked
	if r.Flows != nil {
		c.Flows, c.Broken = r.Flows.Flows, r.Flows.Flows-r.Flows.Unbroken
	}
	began := r.Began
	if r.ClockAhead != nil {
		began = began.Add(-time.Duration(*r.ClockAhead))
	}
	c.Outage, c.FirstAnswer = seconds(0), seconds(0)
	for _, outage := range r.Outages {
		end := began.Add(time.Duration(outage.Start + outage.Length))
		if end.Before(o.Fault.Add(-earlier)) && !outage.GoesOn {
			continue
		}
		if c.Outages++; c.Outages == 1 {
			c.FirstAnswer = seconds(max(0, end.Sub(o.Fault)))
		}
		if length := seconds(time.Duration(outage.Length)); *length > *c.Outage {
			c.Outage = length
		}
		if outage.GoesOn {
			c.goesOn = true
			if c.Outages == 1 {
				c.FirstAnswer = nil
			}
		}
	}
	c.Outages += r.MoreOutages
	return c
}

// judgeClients completes the report with what clients saw.
func (s *Situation) judgeClients(r *Report, o *Observed, fail func(format string, args ...any)) {
	broken, flows := 0, 0
	for _, seen := range o.Seen {
		c := o.clients(seen)
		r.Clients = append(r.Clients, c)
		broken, flows = broken+c.Broken, flows+c.Flows
		switch {
		case c.Problem != "":
			fail("what the clients at %s saw is not known: %s", c.Address, c.Problem)
		case c.Answered == 0:
			fail("the clients at %s got no answer at all", c.Address)
		case c.goesOn:
			fail("the clients at %s get no answer any more", c.Address)
		}
		if c.Outage != nil && (r.ClientsOutage == nil || *c.Outage > *r.ClientsOutage) {
			r.ClientsOutage = c.Outage
		}
	}
	if broken > s.Order.Lose {
		fail("%d of %d connections of the clients broke: --lose %d would allow that", broken, flows, broken)
	}
	if r.ClientsOutage != nil && s.Order.Budget >= 0 && r.ClientsOutage.Duration() > s.Order.Budget {
		fail("clients saw an outage of %s, which is over the budget of %s", r.ClientsOutage, s.Order.Budget)
	}
}

// text says what the clients saw.
func (c *Clients) text() string {
	switch {
	case c.Problem != "":
		return fmt.Sprintf("clients at %s: not known: %s", c.Address, c.Problem)
	case c.Outages == 0:
		return fmt.Sprintf("clients at %s: no outage, %d of %d questions failed%s", c.Address, c.Failed, c.Asked, c.flows())
	}
	text := fmt.Sprintf("clients at %s: outage %s", c.Address, c.Outage)
	if c.Outages > 1 {
		text = fmt.Sprintf("clients at %s: %d outages, the longest %s", c.Address, c.Outages, c.Outage)
	}
	return fmt.Sprintf("%s; first answer %s after the failure; %d of %d questions failed%s", text, orDash(c.FirstAnswer), c.Failed, c.Asked, c.flows())
}

func (c *Clients) flows() string {
	if c.Flows == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of %d connections broke", c.Broken, c.Flows)
}
