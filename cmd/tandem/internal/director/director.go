// SPDX-License-Identifier: Apache-2.0

// Package director is the process that reads the configuration, checks the real servers, maintains the IPVS table and
// supervises the election.
//
// One goroutine, the loop, owns all state: a core.State. Events come in through one inbox. Effects go out to workers. The
// loop waits for nobody: not for a disk, the kernel, a reader of the log, a scrape or an operator. If a worker hangs, only
// its own work waits, and the status says so.
//
// The result of a probe reaches the weight in the kernel through these functions, each at once:
//
//  1. the runner of the checks ends the probe and notifies (healthcheck)
//  2. Director.seeVerdict posts the status to the inbox
//  3. Director.loop takes it from the inbox, with all other waiting events
//  4. core.State.Step gets it
//  5. core.Verdict.on stores it in its server
//  6. core.State.plan computes the weights of this one service
//  7. Director.carryOut puts the changed service into the mailbox of the table's worker
//  8. workers.Table.write takes it
//  9. kernel.Table.Apply writes the difference to the kernel
package director

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/supervise"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/web"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/runner"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// Options are what a Director needs from its process.
type Options struct {
	Begin   *Beginning
	Config  *configs.Config // if Begin is nil: then there are no revisions until the first reload
	Version string
	Log     hclog.Logger
	// Spawn starts an election process.
	Spawn func() (supervise.Child, error)
	// Replacement replaces this program; nil: nobody can.
	Replacement Replacement
	// Handoff is what the former program in this process has left; nil: there was none.
	Handoff *handoff.Document
}

// A Director runs one configuration at a time: it owns the loop and the workers.
type Director struct {
	log     hclog.Logger
	version string
	first   *configs.Config // the configuration that Run starts with
	begin   *Beginning      // nil: nothing is known about revisions
	file    string          // the director's own
	loader  load.Loader     // for the director's name

	inbox  chan any      // events, and questions for the loop
	begun  chan struct{} // closed when the inbox is read
	ended  chan struct{} // closed by end when nobody reads the inbox any more
	end    func()
	filled chan struct{} // closed when the IPVS table has been written for the first time
	reload chan struct{} // has room for one reload at a time
	plans  chan struct{} // has room for one plan at a time

	candidates candidates

	replacement Replacement
	handoff     *handoff.Document // see Options
	replaced    time.Time         // when this program replaced the former one
	adopted     bool              // the election of the former program goes on for a while
	settled     chan struct{}     // closed when an order has no unclear tracking
	settle      func()            // closes it

	elections *supervise.Supervisor
	checks    *runner.Runner
	metrics   *httpServer
	web       *httpServer
	site      *web.Site                                          // that web serves
	reads     singleflight.Group                                 // of the kernel's counters
	count     func(context.Context) ([]lvs.ServiceStatus, error) // reads them

	table    kernelTable  // of the table's worker
	reader   *kernel.IPVS // for statuses only
	halfOpen halfOpen
	saved    *savedState
	mail     mailboxes

	settings    *workers.Settings
	interfaces  *workers.Interfaces
	events      *workers.Events
	permissions *workers.Permissions[control.Permissions] // of the control socket
	peer        *workers.Peer
}

// mailboxes are the mailboxes of the workers. Only the loop sends to them.
type mailboxes struct {
	table    workers.Mailbox[core.Table]
	checks   workers.Mailbox[core.Checks]
	files    workers.Mailbox[workers.Values]
	settings workers.Mailbox[*configs.Config]
	sync     workers.Mailbox[lvs.Sync]
	drains   workers.Mailbox[bool]
	traffic  workers.Mailbox[bool]
	counters workers.Mailbox[[]lvs.ServiceID]
	tracks   workers.Mailbox[[]configs.Track]
	// maintenance has the paths of the files that drain servers.
	maintenance workers.Mailbox[[]string]
	question    workers.Mailbox[core.Question]
	segments    workers.Mailbox[core.Segments]
	hooks       workers.Mailbox[[]hooks.Run]
	history     workers.Mailbox[core.Recorded]
	events      workers.Mailbox[core.Recorded]
	control     workers.Mailbox[control.Permissions]
	peer        workers.Mailbox[workers.PeerMail]
	drills      workers.Mailbox[core.DrillRun]
}

// New returns a director that has not started.
func New(o Options) *Director {
	if o.Begin != nil {
		o.Config = o.Begin.Config
	}
	d := &Director{
		log: o.Log, version: o.Version, first: o.Config, begin: o.Begin, file: o.Config.File, loader: load.Like(o.Config),
		inbox: make(chan any, inboxSize),
		begun: make(chan struct{}), ended: make(chan struct{}), filled: make(chan struct{}),
		reload: make(chan struct{}, 1), plans: make(chan struct{}, 1),
		replacement: o.Replacement, handoff: o.Handoff, settled: make(chan struct{}),
		reader: kernel.New(o.Log.Named("lvs")),
		mail: mailboxes{
			table: workers.NewMailbox[core.Table](), checks: workers.NewMailbox[core.Checks](),
			files: workers.NewMailbox[workers.Values](), settings: workers.NewMailbox[*configs.Config](),
			sync: workers.NewMailbox[lvs.Sync](), drains: workers.NewMailbox[bool](), traffic: workers.NewMailbox[bool](),
			counters: workers.NewMailbox[[]lvs.ServiceID](),
			tracks:   workers.NewMailbox[[]configs.Track](), maintenance: workers.NewMailbox[[]string](), question: workers.NewMailbox[core.Question](),
			segments: workers.NewMailbox[core.Segments](), hooks: workers.NewMailbox[[]hooks.Run](),
			history: workers.NewMailbox[core.Recorded](), events: workers.NewMailbox[core.Recorded](),
			control: workers.NewMailbox[control.Permissions](),
			peer:    workers.NewMailbox[workers.PeerMail](),
			drills:  workers.NewMailbox[core.DrillRun](),
		},
	}
	if o.Begin != nil {
		d.file, d.loader = o.Begin.file, o.Begin.loader
	}
	d.count, d.halfOpen.read = d.reader.Status, new(kernel.Connections).Look
	d.end = sync.OnceFunc(func() { close(d.ended) })
	d.settle = sync.OnceFunc(func() { close(d.settled) })
	d.elections = supervise.New(o.Log, o.Spawn, d.seeReport)
	d.checks = runner.New(runner.Options{Log: o.Log.Named("check"), Notify: d.seeVerdict})
	d.metrics = newMetricsServer(o.Log, d, newProber(d.snapshotWithin, d.notReady))
	d.site = web.New(o.Log.Named("web"), webSource{d})
	d.web = newWebServer(o.Log, d.site)
	d.events = workers.NewEvents(d.mail.events)
	d.peer = &workers.Peer{Version: d.version, Post: d.postEvent, In: d.mail.peer, Answer: d.answerPeer}
	return d
}

// Run runs the director until ctx ends, and then leaves cleanly: the election hands over and removes its addresses. The
// configuration says whether the IPVS table stays.
func (d *Director) Run(ctx context.Context) error {
	cfg := d.first
	defer d.end()
	defer d.reader.Close()
	if err := d.checkMachine(cfg); err != nil {
		return err
	}
	unlock, unusable, err := lockInstance(cfg)
	if err != nil {
		return err
	}
	defer unlock()
	d.adopt()
	saved := d.openState(cfg.State.Dir)
	if unusable != "" {
		d.log.Warn("the state directory cannot be written: a restart forgets what operators ordered", "dir", cfg.State.Dir, "error", unusable)
	}
	d.table, d.saved = saved.table, saved
	defer d.table.ipvs.Close()
	d.interfaces = &workers.Interfaces{Settings: saved.settings}
	d.settings = &workers.Settings{
		Sysctls:    func(want map[string]string) error { _, err := saved.sysctls.Apply(want); return err },
		Timeouts:   saved.timeouts.Apply,
		Interfaces: d.interfaces.Apply, Log: d.log, Post: d.postEvent, In: d.mail.settings, Prepared: make(chan struct{}),
	}
	socket, err := control.Listen(cfg.Control.Socket)
	if err != nil {
		return err
	}
	d.permissions = &workers.Permissions[control.Permissions]{Allow: socket.Allow, Log: d.log, In: d.mail.control}

	// Leaving takes time. Meanwhile the table is maintained and requests are answered, so the work ends after ctx.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, work := errgroup.WithContext(work)
	state := core.New()
	d.post(d.start(saved, unusable))
	g.Go(func() error { return d.loop(work, state) })
	g.Go(func() error { return control.Serve(work, socket, d) })
	g.Go(func() error { return d.metrics.run(work) })
	g.Go(func() error { return d.web.run(work) })
	g.Go(func() error { return d.feedWatchdog(work) })
	g.Go(func() error { return d.checks.Run(work) })
	d.startWorkers(g, work, saved)
	g.Go(func() error {
		defer stop()
		err := d.elect(ctx, work)
		if ctx.Err() != nil {
			d.ask(func(r core.Request) core.Event { return core.Leave{Request: r} })
		}
		return err
	})
	d.log.Info("started", "name", cfg.Name, "version", d.version, "config", cfg.File,
		"routers", len(cfg.Routers), "services", len(cfg.Services))
	err = g.Wait()
	return errors.Join(err, d.leave(state, saved))
}

// start returns the first event.
func (d *Director) start(saved *savedState, unusable string) core.Start {
	start := core.Start{
		Config: d.first, Numbers: workers.ReadNumbers(d.first.Tracks), Maintenance: workers.ReadMaintenance(d.first.MaintenanceFiles()),
		Overrides: saved.overrides.Value, Standby: saved.standby.Value, Drains: saved.drains.Value, Hooks: saved.hooks.Value,
		LastDrills: saved.drills,
		Unread:     saved.unread, Unusable: unusable,
	}
	if b := d.begin; b != nil {
		start.Origin = &b.origin
		start.Unread = append(start.Unread, b.notes...)
		for _, note := range b.notes {
			d.log.Error("failed to load a revision of the configuration", "error", note)
		}
	}
	return start
}

// startWorkers starts the workers of the loop.
func (d *Director) startWorkers(g *errgroup.Group, work context.Context, saved *savedState) {
	table := &workers.Table{
		Kernel: d.table, Log: d.log, Post: d.postEvent, In: d.mail.table, Prepared: d.settings.Prepared, Beats: d.elections.Beats(),
	}
	read := len(d.first.Services) > 0 || !saved.drains.Value.Empty()
	syncs := &workers.Sync{Kernel: saved.syncs, Log: d.log, Post: d.postEvent, In: d.mail.sync, Filled: d.filled}
	for name, run := range map[string]func(context.Context) error{
		"the IPVS table":           func(ctx context.Context) error { return table.Run(ctx, read) },
		"the kernel's settings":    d.settings.Run,
		"connection sync":          syncs.Run,
		"the state directory":      (&workers.Files{Store: saved.store, Post: d.postEvent, In: d.mail.files}).Run,
		"the tracked files":        (&workers.Numbers{Post: d.postEvent, In: d.mail.tracks}).Run,
		"the files of maintenance": (&workers.Presence{Post: d.postEvent, In: d.mail.maintenance}).Run,
		"the neighbours":           (&workers.Neighbours{Post: d.postEvent, In: d.mail.question}).Run,
		"the segments":             (&workers.Segments{Post: d.postEvent, In: d.mail.segments}).Run,
		"the history":              (&workers.History{File: saved.history, Post: d.postEvent, In: d.mail.history, Loaded: d.events.Seed}).Run,
		"the events":               d.events.Run,
		"the control socket":       d.permissions.Run,
		"the hooks":                (&workers.Hooks{Log: d.log.Named("hook"), Post: d.postEvent, In: d.mail.hooks}).Run,
		"connections":              (&workers.Drains{Look: d.reader.Look, Log: d.log, Post: d.postEvent, In: d.mail.drains}).Run,
		"clients' connections":     (&workers.Traffic{Look: new(kernel.Connections).Look, Log: d.log, Post: d.postEvent, In: d.mail.traffic}).Run,
		"servers' counters":        (&workers.Counters{Status: d.reader.StatusOf, Log: d.log, Post: d.postEvent, In: d.mail.counters}).Run,
		"the channel to the peer":  d.peer.Run,
		"the web page":             d.site.Run,
		"the scheduled drills":     (&workers.Drills{Command: workers.RunTandem, Post: d.postEvent, In: d.mail.drills}).Run,
		"the checks": (&workers.Checks{
			Set: d.checks.Set, Done: func(sequence uint64) { d.post(checksSet(sequence)) }, In: d.mail.checks,
		}).Run,
	} {
		g.Go(func() error { return workers.Bounded(work, workers.EndTimeout, d.log, name, run) })
	}
}

// elect runs the election until ctx ends or something else fails. It fills the table before the first address is added, so
// that a new master has servers for its clients.
func (d *Director) elect(ctx, work context.Context) error {
	select {
	case <-d.filled:
	case <-work.Done():
		return nil
	}
	d.notify(daemon.SdNotifyReady)
	d.awaitSettled(ctx)
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(work, cancel)()
	err := d.elections.Run(both)
	d.notify(daemon.SdNotifyStopping)
	d.log.Info("left", "reason", context.Cause(both))
	return err
}

// seeReport posts a report of the election.
func (d *Director) seeReport(r message.Report) { d.post(core.Report{Report: r}) }

// seeVerdict posts a verdict of the checks.
func (d *Director) seeVerdict(v healthcheck.Verdict) {
	d.post(core.Verdict{ID: v.ID, Status: v.TargetStatus})
}

// notify notifies systemd, if it runs this process.
func (d *Director) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		d.log.Warn("failed to tell systemd", "state", state, "error", err)
	}
}
