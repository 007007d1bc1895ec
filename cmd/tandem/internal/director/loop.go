// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
)

const (
	// inboxSize is how many events wait while one step is worked out, before their senders wait.
	inboxSize = 1024
	// maxBatch bounds how many events one step takes in.
	maxBatch = 4 * inboxSize
)

// A question asks the loop for a snapshot.
type question chan *core.Snapshot

// A request is an event that is answered. The loop numbers it.
type request struct {
	event  func(core.Request) core.Event
	answer chan core.Reply
}

// A checksSet says that the runner of the checks has the targets of that sequence.
type checksSet uint64

// post puts a message into the inbox; false when nobody reads it any more.
func (d *Director) post(message any) bool {
	select {
	case d.inbox <- message:
		return true
	case <-d.ended:
		return false
	}
}

// postEvent is post for workers.
func (d *Director) postEvent(ev core.Event) { d.post(ev) }

// loop takes events and carries out their effects until ctx ends. It never waits for anything but its inbox.
func (d *Director) loop(ctx context.Context, state *core.State) error {
	defer close(d.ended)
	close(d.begun)
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	waiting := make(map[core.Request]chan core.Reply)
	draining, filled := false, false
	var last core.Request
	for {
		var events []core.Event
		var questions []question
		take := func(message any) {
			switch m := message.(type) {
			case question:
				questions = append(questions, m)
			case request:
				last++
				waiting[last] = m.answer
				events = append(events, m.event(last))
			case checksSet:
				// Verdicts that were posted before are in events already. Those that come later are newer than these.
				events = append(events, core.Statuses{Sequence: uint64(m), All: d.checks.Status()})
			case core.TableDone:
				if !filled {
					filled = true
					close(d.filled)
				}
				events = append(events, m)
			case core.Event:
				events = append(events, m)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case message := <-d.inbox:
			take(message)
		case <-tick.C:
			events = append(events, core.Tick{})
		}
		for more := true; more && len(events) < maxBatch; {
			select {
			case message := <-d.inbox:
				take(message)
			default:
				more = false
			}
		}
		if len(events) > 0 {
			out := state.Step(time.Now(), events...)
			d.carryOut(out)
			if out.Draining != draining {
				draining = out.Draining
				d.mail.drains.Put(draining)
			}
			for _, r := range out.Replies {
				waiting[r.Request] <- r // has room for it
				delete(waiting, r.Request)
			}
			if tick.Stop(); !out.Next.IsZero() {
				tick.Reset(time.Until(out.Next))
			}
		}
		for _, q := range questions {
			q <- state.Snapshot(time.Now()) // has room for it
		}
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
		d.mail.settings.Put(cfg)
		d.mail.sync.Put(cfg.LVS.Sync)
		d.mail.tracks.Put(cfg.Tracks)
	}
	if out.Table != nil {
		d.mail.table.Merge(*out.Table, workers.MergeTables)
	}
	if out.Checks != nil {
		d.mail.checks.Put(*out.Checks)
	}
	if out.Question != nil {
		d.mail.question.Put(*out.Question)
	}
	if out.Election != nil {
		d.elections.Configure(*out.Election)
	}
	if len(out.Files) > 0 {
		values := make(workers.Values)
		for _, f := range out.Files {
			values[f.File] = f
		}
		d.mail.files.Merge(values, workers.MergeValues)
	}
}

// levels are the logger's for those of the core.
var levels = map[core.Level]hclog.Level{core.Info: hclog.Info, core.Warn: hclog.Warn, core.Error: hclog.Error}
