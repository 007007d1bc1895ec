// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
)

const (
	// historyPortion is the maximum number of events that are written at once.
	historyPortion = 512
	// historyRetryPause is the pause before a failed write is tried again.
	historyRetryPause = 5 * time.Second
)

// A HistoryFile keeps lines.
type HistoryFile interface {
	Append(lines []byte) error
	Lines() ([][]byte, error)
}

// History writes the history to its file. While the disk hangs or is full, the events wait in memory. If they are too many, the
// oldest are lost; the file and the status say so.
type History struct {
	File HistoryFile
	Post Post
	In   Mailbox[core.Recorded]
	// Loaded gets the events of earlier processes, once.
	Loaded func([]api.Event)

	waiting core.Recorded
	lost    uint64 // in all
	gap     uint64 // those that the file does not name yet
	problem string // of the last write
	failed  string // the latest problem
}

// Run writes until ctx ends, and then what is left, once.
func (w *History) Run(ctx context.Context) error {
	lines, err := w.File.Lines()
	earlier, _ := history.Decode(lines)
	w.Loaded(earlier)
	w.Post(core.HistoryLoaded{Killed: history.Killed(earlier)})
	if err != nil {
		w.problem = err.Error()
	}
	var retry <-chan time.Time
	for {
		select {
		case next := <-w.In:
			w.take(next)
			if retry != nil {
				w.post()
				continue // the disk has its pause
			}
		case <-retry:
		case <-ctx.Done():
			select {
			case next := <-w.In:
				w.take(next)
			default:
			}
			w.write()
			return nil
		}
		if retry = nil; !w.write() {
			retry = time.After(historyRetryPause)
		}
	}
}

// take adds events to those that wait.
func (w *History) take(next core.Recorded) {
	w.waiting = core.MergeRecorded(w.waiting, next)
	w.lost, w.gap = w.lost+w.waiting.Lost, w.gap+w.waiting.Lost
	w.waiting.Lost = 0
}

// write writes the events that wait, and posts the result. It returns whether all are written.
func (w *History) write() bool {
	for len(w.waiting.Events) > 0 {
		n := min(len(w.waiting.Events), historyPortion)
		portion := w.waiting.Events[:n]
		if w.gap > 0 {
			portion = append([]api.Event{w.missing(portion[0])}, portion...)
		}
		if err := w.File.Append(history.Encode(portion)); err != nil {
			w.problem, w.failed = err.Error(), err.Error()
			w.post()
			return false
		}
		w.problem, w.gap = "", 0
		w.waiting.Events = w.waiting.Events[n:]
	}
	w.waiting.Events = nil
	w.post()
	return true
}

// missing returns the event that names the gap before the next one.
func (w *History) missing(next api.Event) api.Event {
	cause := w.failed
	if cause == "" {
		cause = "the disk was too slow"
	}
	return api.Event{
		Time: next.Time, Director: next.Director, Kind: api.EventWarning, On: api.OnDirector, Name: next.Director,
		What: fmt.Sprintf("lost %d events of the history", w.gap), Cause: cause,
	}
}

func (w *History) post() {
	result := core.HistoryStored{Upto: w.waiting.Upto, Lost: w.lost, Problem: w.problem}
	if w.problem != "" {
		result.Upto = w.waiting.Upto - uint64(len(w.waiting.Events))
	}
	w.Post(result)
}
