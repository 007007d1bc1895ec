// SPDX-License-Identifier: Apache-2.0

package main

import (
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
		{name: "real servers reachable from the backup only", bound: served, fault: unreachable, restore: reachable, measure: page},
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
