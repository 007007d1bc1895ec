// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	peermessage "github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// syncSaid is what a conversation about connections has said last.
type syncSaid struct {
	status, told string
	events       int
}

// playSync plays the events about the connections of both directors. Numbers are "11=150 12=50", by the last part of the server's
// address.
func (c *conversation) playSync(verb string, args []string) bool {
	switch verb {
	case "hears": // web held: what a backup hears; or other: it hears nobody whom it would preempt
		routers := slices.DeleteFunc(slices.Clone(c.p.s.report.Routers), func(r vrrp.Status) bool { return r.Name == args[0] })
		held, preempts := args[1] == "held", args[1] == "held" || args[1] == "lower"
		c.p.step(c.now, Report{message.Report{Links: c.p.s.report.Links, Routers: append(routers, vrrp.Status{
			Name: args[0], Interface: "eth0", State: vrrp.Backup, Held: held, Preempts: preempts,
		})}})
	case "channel": // works, or does not
		c.p.step(c.now, channelTo("lb2", map[bool]string{false: "it fell silent"}[args[0] == "works"]))
	case "peer": // counts its connections, or does not count; or waits for 3 of 4
		v := &peermessage.View{Counted: args[0] == "counts"}
		if args[0] == "waits" {
			v.Routers = []peermessage.Router{{Name: "web", Waits: &peermessage.Waits{Have: c.number(args[2]), Of: c.number(args[4])}}}
		}
		if v.Counted {
			for last, n := range c.numbers(args[1:]) {
				v.Servers = append(v.Servers, peermessage.Server{Name: "www/192.0.2." + last + ":80", Established: n})
			}
		}
		c.p.step(c.now, PeerHeard{Message: peermessage.Message{Kind: peermessage.KindView, View: v}})
	case "here": // the kernel's table has these connections
		numbers := c.numbers(args)
		var rows []lvs.Row
		for _, e := range c.p.outcome().Table {
			row := lvs.Row{Service: e.Service}
			for _, s := range e.Servers {
				row.Servers = append(row.Servers, lvs.ServerRow{Server: s, Active: numbers[fmt.Sprint(s.Addr.As4()[3])], Inactive: 7})
			}
			rows = append(rows, row)
		}
		c.p.connections(c.now, rows)
	case "failover":
		c.p.step(c.now, Failover{Request: 1, Routers: args})
	default:
		return false
	}
	return true
}

func (c *conversation) numbers(args []string) map[string]int {
	all := make(map[string]int)
	for _, arg := range args {
		name, n, _ := strings.Cut(arg, "=")
		all[name] = c.number(n)
	}
	return all
}

// syncAnswers returns what has changed in the status, in what the other director is told, and in the history.
func (c *conversation) syncAnswers() (all []string) {
	status := fmt.Sprintf("counting %t", c.p.counting)
	for _, w := range c.p.s.SyncWaits() {
		status += fmt.Sprintf("; %s waits until %s, known %t, blind %t: %s", w.Router, w.Until.Format(time.TimeOnly), w.Known, w.Blind, w.Missing)
	}
	if status != c.status {
		all, c.status = append(all, "status "+status), status
	}
	told := ""
	if v := c.p.told; v != nil {
		told = fmt.Sprintf("counted %t", v.Counted)
		for _, r := range v.Routers {
			if r.Waits != nil {
				told += fmt.Sprintf("; %s waits, has %d of %d", r.Name, r.Waits.Have, r.Waits.Of)
			}
		}
		for _, srv := range v.Servers {
			if srv.Established > 0 {
				told += fmt.Sprintf("; %s %d", srv.Name, srv.Established)
			}
		}
	}
	if told != c.told {
		all, c.told = append(all, "peer is told "+told), told
	}
	for _, ev := range c.p.recorded[c.events:] {
		if ev.On == "router" {
			all = append(all, fmt.Sprintf("history %s %s: %s", ev.Name, ev.What, ev.Cause))
		}
	}
	c.events = len(c.p.recorded)
	return all
}
