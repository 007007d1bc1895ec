// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/report"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

var (
	_ control.Director     = (*Director)(nil)
	_ prometheus.Collector = (*Director)(nil)
)

// readTimeout is how long a status waits for the kernel's counters. readLimit is the maximum time of one reading.
const (
	readTimeout = 5 * time.Second
	readLimit   = 10 * time.Second
)

var errEnded = errors.New("this director is leaving")

// ask posts an event and waits for the loop's answer.
func (d *Director) ask(event func(core.Request) core.Event) core.Reply {
	select {
	case <-d.begun:
	case <-d.ended:
	}
	r := request{event, make(chan core.Reply, 1)}
	if !d.post(r) {
		return core.Reply{Err: errEnded}
	}
	select {
	case reply := <-r.answer:
		return reply
	case <-d.ended:
		return core.Reply{Err: errEnded}
	}
}

// snapshot asks the loop for a snapshot. It is nil if the loop has ended.
func (d *Director) snapshot() *core.Snapshot { return d.snapshotWithin(context.Background()) }

// snapshotWithin asks the loop for a snapshot. It is nil if the loop has ended, or has not answered when ctx ends.
func (d *Director) snapshotWithin(ctx context.Context) *core.Snapshot {
	q := make(question, 1)
	select {
	case d.inbox <- q:
	case <-d.ended:
		return nil
	case <-ctx.Done():
		return nil
	}
	select {
	case shot := <-q:
		return shot
	case <-d.ended:
		return nil
	case <-ctx.Done():
		return nil
	}
}

// Failover hands the named virtual routers over to the peer, and puts them into standby until Release. Without names, it
// hands over those of which this director is master. The error names those that nobody took over: this director is still
// their master.
func (d *Director) Failover(by string, names []string) (control.RoutersDone, error) {
	reply := d.ask(func(r core.Request) core.Event { return core.Failover{Request: r, By: by, Routers: names} })
	return control.RoutersDone{Routers: reply.Routers, NotRemembered: reply.NotRemembered, Notes: reply.Notes}, reply.Err
}

// Release ends the standby of the named virtual routers. Without names, it ends the standby of all.
func (d *Director) Release(by string, names []string) (control.RoutersDone, error) {
	reply := d.ask(func(r core.Request) core.Event { return core.Release{Request: r, By: by, Routers: names} })
	return control.RoutersDone{Routers: reply.Routers, NotRemembered: reply.NotRemembered}, reply.Err
}

// CommandServer runs an operator's command about a real server. It returns the server's state when the kernel's table agrees
// and the order is stored. If the order cannot be stored, the answer says why.
func (d *Director) CommandServer(by string, c control.ServerCommand) (control.ServerState, error) {
	reply := d.ask(func(r core.Request) core.Event { return serverOrder(r, by, c) })
	if reply.Err != nil {
		return control.ServerState{}, reply.Err
	}
	s, err := d.Server(reply.Server)
	s.NotRemembered = reply.NotRemembered
	if p := reply.Peer; p != nil {
		s.Peer = &control.PeerReply{Name: p.Name, InForce: p.Problem == "", Problem: p.Problem}
	}
	return s, err
}

// serverOrder is the event of a command.
func serverOrder(r core.Request, by string, c control.ServerCommand) core.ServerOrder {
	return core.ServerOrder{Request: r, By: by, Server: c.Server, Action: c.Action, Weight: c.Weight, Local: c.Local, Drill: c.Drill}
}

// Server returns the state of a real server. It reads the kernel's table in the cheap way.
func (d *Director) Server(name string) (control.ServerState, error) {
	shot := d.snapshot()
	if shot == nil {
		return control.ServerState{}, errEnded
	}
	i, _, err := core.FindServer(shot.Config.Services, name)
	if err != nil {
		return control.ServerState{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readLimit)
	defer cancel()
	rows, err := d.reader.Look(ctx)
	if err != nil {
		return control.ServerState{}, err
	}
	s, err := report.Server(shot, name, rows, d.halfOpen.look)
	if err != nil || !report.TemplatesBind(shot.Config, shot.Config.Services[i]) {
		return s, err
	}
	counted, err := d.counted()
	if err == nil {
		s.PersistentClients = report.PersistentClients(shot, name, counted)
	}
	return s, err
}

// A halfOpen finds connections without a client. A drain does not wait for them.
type halfOpen struct {
	read func() (look []traffic.Connection, whole bool, cost time.Duration, err error)

	mu    sync.Mutex
	found traffic.HalfOpen
}

// look returns the connections that are half open. If the table is large or cannot be read, some are missing.
func (h *halfOpen) look() []traffic.Connection {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, _, _, err := h.read()
	if err != nil {
		return nil
	}
	return h.found.See(time.Now(), all)
}

// TellDrill takes the news about a drill.
func (d *Director) TellDrill(n control.DrillNews) error {
	return d.ask(func(r core.Request) core.Event { return core.DrillTold{Request: r, News: n} }).Err
}

// History returns the selected events, the oldest first.
func (d *Director) History(q control.HistoryQuery) ([]control.Event, error) {
	s, err := d.events.Subscribe(q, false)
	return s.Before, err
}

// Events returns the selected events, and then those that happen.
func (d *Director) Events(q control.HistoryQuery) (control.EventStream, error) {
	return d.events.Subscribe(q, true)
}

// Status returns the present status of the director.
func (d *Director) Status() control.Status {
	s, _ := d.status()
	return s
}

func (d *Director) status() (control.Status, *core.Snapshot) {
	d.elections.Refresh()
	shot := d.snapshot()
	if shot == nil || shot.Config == nil {
		return control.Status{Name: d.first.Name, Version: d.version, Warnings: []string{"this director is starting or leaving"}}, nil
	}
	in := report.Input{Version: d.version, State: shot, Checks: d.checks.Status(), Metrics: d.metrics.problem(), Web: d.web.problem(), Control: d.permissions.Problem()}
	if len(shot.Config.Services) > 0 {
		var err error
		if in.Kernel, err = d.counted(); err != nil {
			in.Problem = err.Error()
		}
	}
	s := report.Status(in)
	s.Upgraded = d.upgraded()
	return s, shot
}

// counted returns the kernel's counters. Callers at the same time share one reading. A reading that hangs is not waited for.
func (d *Director) counted() ([]lvs.ServiceStatus, error) {
	read := d.reads.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), readLimit)
		defer cancel()
		return d.count(ctx)
	})
	select {
	case result := <-read:
		rows, _ := result.Val.([]lvs.ServiceStatus)
		return rows, result.Err
	case <-time.After(readTimeout):
		return nil, errors.New("the kernel does not answer")
	}
}

// Describe implements prometheus.Collector. The director is an unchecked collector: its metrics depend on its configuration.
func (d *Director) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (d *Director) Collect(ch chan<- prometheus.Metric) {
	status, shot := d.status()
	if shot == nil {
		return
	}
	m := report.Metrics{
		Status: status, State: shot, Probes: d.checks.Stats(),
		ElectionRunning: d.elections.Running(), ElectionRestarts: d.elections.Restarts(),
	}
	table := d.table.Counters()
	m.TableWrites, m.TablePasses, m.TableRepairs, m.TableErrors = d.table.ipvs.Writes(), table.Reconciles, table.Repairs, table.Errors
	report.Collect(ch, m)
}
