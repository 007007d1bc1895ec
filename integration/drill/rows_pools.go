// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// schedulers are those that Debian's kernel has.
var schedulers = []string{"rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "mh", "dh", "lblc", "lblcr", "fo", "ovf"}

// usualScheduler is the scheduler of pools while no row has chosen another.
const usualScheduler = "rr"

// poolWeights are the weights of the servers.
func poolWeights(scheduler string) []int {
	switch scheduler {
	case "lblc", "lblcr":
		return []int{200, 200, 200} // a weight is a number of connections
	case "fo", "ovf":
		return []int{100, 150, 200}
	}
	return []int{1, 1, 1}
}

// poolServices are the services of pools with that scheduler: TCP and UDP, without persistence and with it. Each scheduler has
// ports of its own: at the same ports, what the kernel remembers of clients would outlive a change of the scheduler.
func poolServices(scheduler string) (all []service) {
	port := 8001 + slices.Index(schedulers, scheduler)*4
	for _, protocol := range []string{"tcp", "udp"} {
		for _, persistent := range []bool{false, true} {
			name := protocol
			if persistent {
				name += "-persistent"
			}
			all = append(all, service{name: name, protocol: protocol, scheduler: scheduler, port: port + len(all), persistent: persistent})
		}
	}
	return all
}

func (v service) address() string { return fmt.Sprintf("%s:%d", lab.VIP, v.port) }

func poolRows() (rows []row) {
	for _, scheduler := range schedulers {
		rows = append(rows, row{name: scheduler + ", a server without power", bound: served,
			before: inTurn(scheduled(scheduler), (*site).converse), fault: func(s *site) { s.webs[s.busiest].Cut() },
			restore: inTurn((*site).hangUp, func(s *site) { s.webs[s.busiest].Plug() }, unscheduled), measure: everyCombination})
	}
	for _, c := range []struct {
		scheduler  string
		persistent bool
	}{{"sh", false}, {"rr", true}} {
		v := poolServices(c.scheduler)[0]
		if c.persistent {
			v = poolServices(c.scheduler)[1]
		}
		rows = append(rows, row{name: fmt.Sprintf("%s, %s, a server drained: its connections go on", v.scheduler, v.name),
			bound: everyone("established connections, 5 s later"), before: inTurn(scheduled(c.scheduler), (*site).converse),
			fault: drain(v), restore: inTurn((*site).hangUp, undone, unscheduled), measure: oldCalls(v)})
	}
	for i := range rows {
		rows[i].on, rows[i].beside = pools, true
	}
	return rows
}

// scheduled gives all services of pools a scheduler.
func scheduled(scheduler string) step {
	return func(s *site) {
		s.scheduler = scheduler
		s.reload(s.a, s.settings(s.a))
		s.await(10*time.Second, "all servers are in use with the scheduler "+scheduler, func() error {
			table := s.a.Table()
			services := len(poolServices(scheduler))
			if strings.Count(table, " "+scheduler) != services || strings.Contains(table, " Route 0\n") ||
				strings.Count(table, "->") != webCount*services {
				return errors.New(table)
			}
			return nil
		})
	}
}

func unscheduled(s *site) {
	s.scheduler = usualScheduler
	s.reload(s.a, s.settings(s.a))
}

// clientAddresses are those of the client's host. Before pools each of the 40 clients has its own.
func clientAddresses(n network) []string {
	all := []string{"192.0.2.1/24"}
	for i := 0; n == pools && i < clients; i++ {
		all = append(all, clientAddress(i).String()+"/24")
	}
	return all
}

func clientAddress(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(151 + i)}) }

// callLimit is how long an answer may take. It covers the second attempt of TCP.
const callLimit = 3 * time.Second

// callAll has every client call a service once.
func (s *site) callAll(v service) []*lab.Caller {
	from := make([]netip.Addr, clients)
	for i := range from {
		from[i] = clientAddress(i)
	}
	return s.client.Call(v.protocol, v.address(), callLimit, from...)
}

// answeredCalls counts the callers that have an answer.
func answeredCalls(callers []*lab.Caller) figure {
	errs := make([]error, len(callers))
	for i, c := range callers {
		errs[i] = c.Err
	}
	return tally(errs)
}

// converse has every client open a conversation with each service, and finds the server that has the most of them: schedulers
// such as dh and lblc send all clients to one.
func (s *site) converse() {
	s.callers = map[service][]*lab.Caller{}
	conversations := make([]int, webCount)
	for _, v := range s.settings(s.a).services() {
		s.callers[v] = s.callAll(v)
		if f := answeredCalls(s.callers[v]); *f.Served != clients {
			s.attempt.Fatalf("%s: %s clients are served while all servers live: %s", v.name, f, f.Note)
		}
		for _, c := range s.callers[v] {
			conversations[slices.IndexFunc(s.webs, func(w *lab.Host) bool { return w.Name == c.Server })]++
		}
	}
	s.busiest = slices.Index(conversations, slices.Max(conversations))
}

// hangUp ends the conversations.
func (s *site) hangUp() {
	for _, callers := range s.callers {
		for _, c := range callers {
			c.Close()
		}
	}
	s.callers = nil
}

// A cell is what the clients of one combination of scheduler, protocol and persistence saw.
type cell struct {
	What    string  `json:"what"` // the protocol, persistence, and which sockets
	Served  int     `json:"served"`
	Seconds float64 `json:"seconds,omitempty"` // from the fault until new clients were served from then on; 0: not measured
}

// everyCombination counts the clients of each service that are served when the fault must have been noticed. From the fault on,
// it has one client after the other call, and so finds out when they are served again. The figure is the worst of all.
func everyCombination(s *site, fault func(*site)) figure {
	services := s.settings(s.a).services()
	again := make([]time.Duration, len(services))
	fresh := make([][]*lab.Caller, len(services))
	var calling, counting sync.WaitGroup
	fault(s)
	began := time.Now()
	for i, v := range services {
		calling.Go(func() { again[i] = s.servedAgain(v, began) })
	}
	s.pause(time.Until(began.Add(noticed)))
	for i, v := range services {
		counting.Go(func() { fresh[i] = s.callAll(v) })
	}
	counting.Wait()
	calling.Wait()
	worst := figure{Served: new(int)}
	*worst.Served = clients
	var cells []cell
	add := func(what string, callers []*lab.Caller, after time.Duration) {
		f := answeredCalls(callers)
		cells = append(cells, cell{what, *f.Served, after.Seconds()})
		if *f.Served < *worst.Served {
			worst.Served, worst.Note = f.Served, what+": "+f.Note
		}
	}
	for i, v := range services {
		add(v.name, fresh[i], again[i])
		for _, c := range fresh[i] {
			c.Close()
		}
		if v.protocol == "udp" {
			// Each client has one socket, and so one port: what is established must move to another server.
			lab.AskAgain(s.callers[v], callLimit)
			add(v.name+", same port", s.callers[v], 0)
		}
	}
	worst.Cells = cells
	return worst
}

// servedAgain calls until the fault must have been noticed, from one client after the other. It returns how long after the
// fault the first call of those was that were all answered.
func (s *site) servedAgain(v service, began time.Time) time.Duration {
	const every, limit = 200 * time.Millisecond, 900 * time.Millisecond // before the second attempt of TCP
	var mu sync.Mutex
	var lost time.Duration // the last call without an answer
	var calls sync.WaitGroup
	for i := 0; time.Since(began) < noticed; i++ {
		calls.Go(func() {
			at := time.Since(began)
			c := s.client.Call(v.protocol, v.address(), limit, clientAddress(i%clients))[0]
			defer c.Close()
			if mu.Lock(); c.Err != nil {
				lost = max(lost, at)
			}
			mu.Unlock()
		})
		s.pause(every)
	}
	calls.Wait()
	return lost + every
}

// oldCalls counts the conversations with a service that go on, at the servers where they are.
func oldCalls(v service) func(*site, func(*site)) figure {
	return func(s *site, fault func(*site)) figure {
		callers := s.callers[v]
		was := make([]string, clients)
		for i, c := range callers {
			was[i] = c.Server
		}
		fault(s)
		s.pause(5 * time.Second)
		lab.AskAgain(callers, callLimit)
		errs := make([]error, clients)
		for i, c := range callers {
			if errs[i] = c.Err; c.Err == nil && c.Server != was[i] {
				errs[i] = fmt.Errorf("was at %s, and is at %s", was[i], c.Server)
			}
		}
		return tally(errs)
	}
}

// drain takes new clients from a server: by tandem's command, or by a reload with weight 0.
func drain(v service) step {
	return func(s *site) {
		if s.subject.name == tandem.name {
			server := fmt.Sprintf("%s/%s", v.name, webAddress(web))
			s.a.Run(s.a.Program(), "drain", server, "--socket", s.a.Socket)
			s.undo = func() { s.a.Run(s.a.Program(), "undrain", server, "--socket", s.a.Socket) }
			return
		}
		c := s.settings(s.a)
		c.weights = slices.Clone(c.weights)
		c.weights[web] = 0
		s.reload(s.a, c)
		s.undo = func() { s.reload(s.a, s.settings(s.a)) }
	}
}
