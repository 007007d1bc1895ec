// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/lvs"
)

const (
	// inboxSize is how many events can wait during one step. After that their senders wait.
	inboxSize = 1024
	// maxBatch is the maximum number of events in one step.
	maxBatch = 4 * inboxSize
)

// A question asks the loop for a snapshot.
type question chan *core.Snapshot

// A rehearsing asks the loop for a rehearsal of a reload.
type rehearsing chan rehearsed

// A rehearsed is the answer to a rehearsing.
type rehearsed struct {
	*core.Rehearsal
	err error
}

// A request is an event that is answered. The loop numbers it.
type request struct {
	event  func(core.Request) core.Event
	answer chan core.Reply
}

// A checksSet says that the runner of the checks has the targets of that sequence.
type checksSet uint64

// post puts a message into the inbox. It returns false if nobody reads the inbox any more.
func (d *Director) post(message any) bool {
	select {
	case d.inbox <- message:
		return true
	case <-d.ended:
		return false
	}
}

// postEvent posts an event of a worker.
func (d *Director) postEvent(ev core.Event) { d.post(ev) }

// A batch is the events that the loop takes from the inbox for one step.
type batch struct {
	events     []core.Event
	questions  []question
	rehearsals []rehearsing
}

// loop takes events and carries out their effects until ctx ends. It waits for nothing but its inbox.
func (d *Director) loop(ctx context.Context, state *core.State) error {
	defer d.end()
	close(d.begun)
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	waiting := &requests{answers: make(map[core.Request]chan core.Reply)}
	draining, watch, filled := false, false, false
	var count []lvs.ServiceID
	for {
		var b batch
		select {
		case <-ctx.Done():
			return nil
		case message := <-d.inbox:
			d.take(&b, waiting, message)
		case <-tick.C:
			b.events = append(b.events, core.Tick{})
		}
		for more := true; more && len(b.events) < maxBatch; {
			select {
			case message := <-d.inbox:
				d.take(&b, waiting, message)
			default:
				more = false
			}
		}
		if len(b.events) > 0 {
			out := state.Step(time.Now(), b.events...)
			d.carryOut(out)
			waiting.answer(out.Replies)
			if out.Draining != draining {
				draining = out.Draining
				d.mail.drains.Put(draining)
			}
			if out.Watch != watch {
				watch = out.Watch
				d.mail.traffic.Put(watch)
			}
			if !slices.Equal(out.Count, count) {
				count = out.Count
				d.mail.counters.Put(count)
			}
			if tick.Stop(); !out.Next.IsZero() {
				tick.Reset(time.Until(out.Next))
			}
		}
		if !filled && slices.ContainsFunc(b.events, func(ev core.Event) bool { _, ok := ev.(core.TableDone); return ok }) {
			filled = true
			close(d.filled)
		}
		b.answer(state)
	}
}

// answer answers the questions after the step. Each channel has room for its answer.
func (b *batch) answer(state *core.State) {
	for _, q := range b.questions {
		q <- state.Snapshot(time.Now())
	}
	for _, r := range b.rehearsals {
		var is rehearsed
		is.Rehearsal, is.err = state.Rehearse(time.Now())
		r <- is
	}
}

// take puts a message into the batch.
func (d *Director) take(b *batch, waiting *requests, message any) {
	switch m := message.(type) {
	case question:
		b.questions = append(b.questions, m)
	case rehearsing:
		b.rehearsals = append(b.rehearsals, m)
	case request:
		b.events = append(b.events, m.event(waiting.number(m.answer)))
	case checksSet:
		// Verdicts that were posted before these statuses are in events already. Verdicts that come later are newer.
		b.events = append(b.events, core.Statuses{Sequence: uint64(m), All: d.checks.Status()})
	case core.Event:
		b.events = append(b.events, m)
	}
}

// requests are the requests that wait for an answer.
type requests struct {
	last    core.Request
	answers map[core.Request]chan core.Reply
}

func (r *requests) number(answer chan core.Reply) core.Request {
	r.last++
	r.answers[r.last] = answer
	return r.last
}

func (r *requests) answer(replies []core.Reply) {
	for _, reply := range replies {
		r.answers[reply.Request] <- reply // has room for it
		delete(r.answers, reply.Request)
	}
}

// carryOut hands effects to the workers.
func (d *Director) carryOut(out core.Effects) {
	for _, l := range out.Lines {
		d.log.Log(levels[l.Level], l.Message, l.Pairs...)
	}
	if cfg := out.Config; cfg != nil {
		d.log.SetLevel(hclog.LevelFromString(cfg.Log.Level))
		d.metrics.listen(cfg.Metrics.Listen)
		d.site.SetNames(cfg.WebNames())
		d.web.listen(cfg.Web.Listen)
		d.mail.settings.Put(cfg)
		d.mail.sync.Put(cfg.LVS.Sync)
		d.mail.tracks.Put(cfg.Tracks)
		d.mail.control.Put(control.Permissions{Group: cfg.Control.Group, AdminGroup: cfg.Control.AdminGroup})
		d.mail.peer.Merge(workers.PeerMail{Config: cfg}, workers.MergePeer)
		d.mail.maintenance.Put(cfg.MaintenanceFiles())
	}
	if h := out.History; h != nil {
		d.mail.history.Merge(*h, core.MergeRecorded)
		d.mail.events.Merge(*h, core.MergeRecorded)
	}
	if out.Peer != nil {
		d.mail.peer.Merge(workers.PeerMail{View: out.Peer}, workers.MergePeer)
	}
	if out.Table != nil {
		d.mail.table.Merge(*out.Table, core.MergeTables)
	}
	if out.Checks != nil {
		d.mail.checks.Put(*out.Checks)
	}
	if out.Drill != nil {
		d.mail.drills.Put(*out.Drill)
	}
	if out.Hurry != nil {
		d.checks.Hurry(out.Hurry)
	}
	if out.Question != nil {
		d.mail.question.Put(*out.Question)
	}
	if out.Segments != nil {
		d.mail.segments.Put(out.Segments)
	}
	if len(out.Hooks) > 0 {
		d.mail.hooks.Merge(out.Hooks, workers.MergeRuns)
	}
	if out.Election != nil {
		d.elections.Configure(*out.Election)
		if !slices.ContainsFunc(out.Election.Routers, func(r message.Router) bool { return r.Tracking.Unclear }) {
			d.settle()
		}
	}
	if len(out.Files) > 0 {
		values := make(workers.Values)
		for _, f := range out.Files {
			values[f.File] = f
		}
		d.mail.files.Merge(values, workers.MergeValues)
	}
}

// levels are the log levels of the core's levels.
var levels = map[core.Level]hclog.Level{core.Info: hclog.Info, core.Warn: hclog.Warn, core.Error: hclog.Error}
