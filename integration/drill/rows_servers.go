// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"syscall"
	"time"
)

// noticed is when all new clients must be served again.
const noticed = detection + time.Second

var (
	served     = everyone("from detection + 1 s after the fault on")
	throughout = everyone("asked one after the other, through it all")
	// A connection that is open when the VIP moves is unknown to the new master: too young for the connection sync.
	inFlight = bound{served: clients - 2, why: "all but the requests in flight when the VIP goes and comes back"}
)

// web is the server that fails. The scheduler dh sends all clients there.
const web = webCount - 1

func serverRows() []row {
	off := func(s *site) { s.webs[web].Cut() }
	plug := func(s *site) { s.webs[web].Plug() }
	allOff := func(s *site) {
		for _, w := range s.webs {
			w.Cut()
		}
	}
	allOn := func(s *site) {
		for _, w := range s.webs {
			w.Plug()
		}
	}
	refuses := func(s *site) { s.httpd[web].Stop() }
	listens := func(s *site) { s.httpd[web] = s.webs[web].HTTPServer(s.webs[web].Name) }
	silent := func(s *site) { s.httpd[web].Signal(syscall.SIGSTOP) }
	speaks := func(s *site) { s.httpd[web].Signal(syscall.SIGCONT) }
	slow := func(s *site) { s.webs[web].Impair("delay", "3s") }
	fast := func(s *site) { s.webs[web].Impair() }
	page, sorry := servedAfter(noticed, "web"), servedAfter(noticed, "sorry")
	rows := []row{
		{name: "real server without power", bound: served, fault: off, restore: plug, measure: page},
		{name: "real server refuses (reset)", bound: served, fault: refuses, restore: listens, measure: page},
		{name: "real server accepts and is silent", bound: served, fault: silent, restore: speaks, measure: page},
		{name: "real server answers 3 s late", bound: served, fault: slow, restore: fast, measure: page},
		{name: "health page is gone (404)", bound: served, fault: func(s *site) { s.webs[web].RemoveHealthPage() },
			restore: func(s *site) { s.webs[web].WriteFile("www/health", "web") }, measure: page},
		{name: "real server is back", bound: throughout, before: inTurn(off, wait(noticed)),
			fault: plug, measure: servedThroughout("web")},
		{name: "all real servers without power: sorry server", bound: served, fault: allOff, restore: allOn, measure: sorry},
		{name: "restart under the sorry server", bound: inFlight, before: inTurn(allOff, wait(noticed)),
			fault: inTurn(signal(syscall.SIGTERM, first(master)), start(master)), restore: allOn, measure: servedThroughout("sorry")},
		{name: "weight of a server changed by a reload", bound: throughout,
			fault: reloads(master, func(c *settings) { c.weights = []int{1, 5, 1} }), restore: reloads(master, unchanged),
			measure: servedThroughout("web")},
	}
	for i := range rows {
		rows[i].on, rows[i].beside = pair, true
	}
	return rows
}

func poolRows() []row {
	lost := func(v service) row {
		return row{name: fmt.Sprintf("%s, a server without power", v.name), bound: served, on: pools, beside: true,
			before: func(s *site) { s.converse(v) }, fault: func(s *site) { s.webs[web].Cut() },
			restore: inTurn((*site).hangUp, func(s *site) { s.webs[web].Plug() }), measure: newCalls(v)}
	}
	drained := func(v service) row {
		return row{name: fmt.Sprintf("%s, a server drained: its connections go on", v.name),
			bound: everyone("established connections, 5 s later"),
			on:    pools, beside: true, before: func(s *site) { s.converse(v) },
			fault: drain(v), restore: inTurn((*site).hangUp, undone), measure: oldCalls}
	}
	var rows []row
	for _, v := range poolServices {
		r := lost(v)
		if v.protocol == "udp" {
			// Each client has one socket, and so one port: what is established must move to another server.
			r.name, r.measure = "UDP from one port, a server without power", sameCalls
		}
		rows = append(rows, r)
	}
	for _, v := range poolServices {
		if v.name == "sh" || v.name == "persistent" {
			rows = append(rows, drained(v))
		}
	}
	return rows
}

// converse has every client open a conversation with a service.
func (s *site) converse(v service) {
	s.callers = make([]*caller, clients)
	f := s.count(func(i int) (err error) {
		if s.callers[i], err = s.call(v, i); err == nil {
			err = s.callers[i].ask()
		}
		return err
	})
	if *f.Served != clients {
		s.attempt.Fatalf("%s of the clients are served while all servers live: %s", f, f.Note)
	}
}

// hangUp ends the conversations.
func (s *site) hangUp() {
	for _, c := range s.callers {
		if c != nil {
			c.close()
		}
	}
	s.callers = nil
}

// newCalls counts the clients that are served at their first attempt when the fault must have been noticed.
func newCalls(v service) func(*site, func(*site)) figure {
	return func(s *site, fault func(*site)) figure {
		fault(s)
		s.pause(noticed)
		return s.count(func(i int) error {
			c, err := s.call(v, i)
			if err == nil {
				err = c.ask()
			}
			c.close()
			return err
		})
	}
}

// sameCalls counts the clients that are served on the sockets that they have.
func sameCalls(s *site, fault func(*site)) figure {
	fault(s)
	s.pause(noticed)
	return s.count(func(i int) error { return s.callers[i].ask() })
}

// oldCalls counts the conversations that go on, at the servers where they are.
func oldCalls(s *site, fault func(*site)) figure {
	was := make([]string, clients)
	for i, c := range s.callers {
		was[i] = c.server
	}
	fault(s)
	s.pause(5 * time.Second)
	return s.count(func(i int) error {
		err := s.callers[i].ask()
		if err == nil && s.callers[i].server != was[i] {
			err = fmt.Errorf("was at %s, and is at %s", was[i], s.callers[i].server)
		}
		return err
	})
}

// drain takes new clients from a server: by tandem's command, or by a reload with weight 0.
func drain(v service) step {
	return func(s *site) {
		if s.subject.name == tandem.name {
			server := v.name + "/" + webAddress(web)
			s.a.Run(s.a.Program(), "drain", server, "--socket", s.a.Socket)
			s.undo = func() { s.a.Run(s.a.Program(), "undrain", server, "--socket", s.a.Socket) }
			return
		}
		c := s.settings(s.a)
		c.weights = []int{1, 1, 0}
		s.reload(s.a, c)
		s.undo = func() { s.reload(s.a, s.settings(s.a)) }
	}
}
