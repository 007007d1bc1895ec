// SPDX-License-Identifier: Apache-2.0

// Package web serves a page about the pair to browsers. It shows, and takes no command.
//
// Anybody who reaches the port may be a reader. However many there are, the director is asked for its state only while somebody
// reads, and rarely enough: see pauseAfter. All readers of that time share one rendering.
package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/web/page"
)

// A Source tells what the page shows.
type Source interface {
	Status() api.Status
	// History returns the selected events of this director, the oldest first.
	History(api.HistoryQuery) ([]api.Event, error)
	// PeerHistory asks the other director for its events. Their times are those of its clock.
	PeerHistory(context.Context, api.HistoryQuery) ([]api.Event, error)
}

const (
	// shared is the time for which readers share a rendering. A reader who asks twice a second sees what is new within a second.
	shared = 400 * time.Millisecond
	// maxPause is the longest time for which they do.
	maxPause = 5 * time.Second
	// readTimeout is how long a reader waits for a rendering.
	readTimeout = 8 * time.Second
	// peerPause is the pause between two questions for the other director's events, peerTimeout the maximum time of one.
	peerPause, peerTimeout = 2 * time.Second, 10 * time.Second
)

// pauseAfter returns how long a rendering serves, if it took so long to make: so that readers cost the director at most a fifth of
// a processor.
func pauseAfter(took time.Duration) time.Duration { return min(max(shared, 4*took), maxPause) }

var (
	// errBusy is the error of a reader who waited in vain.
	errBusy = errors.New("the director does not answer, or is leaving")
	// errPanicked is the error of a reader for whom the page could not be made.
	errPanicked = errors.New("the page cannot be made, which is a fault of tandem: its log says more")
)

// A Site is the page, for as many readers as come.
type Site struct {
	log      hclog.Logger
	source   Source
	instance string
	wants    chan chan *sheet
	ended    chan struct{}
	names    atomic.Pointer[[]string]
}

// New returns the site of a director.
func New(log hclog.Logger, source Source) *Site {
	s := &Site{log: log, source: source, instance: rand.Text(), wants: make(chan chan *sheet), ended: make(chan struct{})}
	s.SetNames(nil)
	return s
}

// SetNames sets the names under which browsers may open the page: see serves.
func (s *Site) SetNames(names []string) { s.names.Store(&names) }

// Run renders for readers until ctx ends.
func (s *Site) Run(ctx context.Context) error {
	defer close(s.ended)
	g, ctx := errgroup.WithContext(ctx)
	r := renderer{source: s.source, instance: s.instance, asks: make(chan api.HistoryQuery, 1), heard: make(chan heard, 1)}
	g.Go(func() error { return r.askPeer(ctx) })
	g.Go(func() error {
		var now, last *sheet // last is now, unless the page could not be made
		var until time.Time
		for {
			select {
			case <-ctx.Done():
				return nil
			case answer := <-s.wants:
				if began := time.Now(); !began.Before(until) {
					if now = s.render(&r, began, last); now != nil {
						last = now
					}
					until = time.Now().Add(pauseAfter(time.Since(began)))
				}
				answer <- now // has room for it
			}
		}
	})
	return g.Wait()
}

// render makes a rendering. The page is not worth a director: a panic is logged, and the readers of that time get no page.
func (s *Site) render(r *renderer, now time.Time, last *sheet) (is *sheet) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("making the web page panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			is = nil
		}
	}()
	return r.render(now, last)
}

// sheet returns the present rendering.
func (s *Site) sheet(ctx context.Context) (*sheet, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	answer := make(chan *sheet, 1)
	select {
	case s.wants <- answer:
	case <-s.ended:
		return nil, errBusy
	case <-ctx.Done():
		return nil, errBusy
	}
	select {
	case is := <-answer:
		if is == nil {
			return nil, errPanicked
		}
		return is, nil
	case <-s.ended:
		return nil, errBusy
	case <-ctx.Done():
		return nil, errBusy
	}
}

// A renderer makes renderings, one after the other. It does not wait for the other director.
type renderer struct {
	source   Source
	instance string
	asks     chan api.HistoryQuery // of the other director
	heard    chan heard

	// The fields below belong to render.
	ours, theirs eventLog
	asking       bool
	asked        time.Time
	since        time.Time // of the question, by our clock
	missing      string    // why events of the other director are missing
}

// A heard is an answer of the other director.
type heard struct {
	events []api.Event
	err    error
}

// askPeer asks the other director, one question at a time.
func (r *renderer) askPeer(ctx context.Context) error {
	for {
		var q api.HistoryQuery
		select {
		case <-ctx.Done():
			return nil
		case q = <-r.asks:
		}
		one, cancel := context.WithTimeout(ctx, peerTimeout)
		events, err := r.source.PeerHistory(one, q)
		cancel()
		r.heard <- heard{events, err} // has room for it: render asks again only after it has taken it
	}
}

// render makes a rendering, after an earlier one; nil: it is the first.
func (r *renderer) render(now time.Time, last *sheet) *sheet {
	v := page.View{At: now, Status: r.source.Status()}
	since := r.ours.since()
	if events, err := r.source.History(api.HistoryQuery{Since: since}); err == nil { // else the director is leaving
		r.ours.take(since, events)
	}
	v.Events = r.ours.events
	if p := v.Status.Peer; p != nil {
		r.hearPeer(now, p)
		v.Events, v.Missing = history.Merge(r.ours.events, r.theirs.events), r.missing
	}
	var edition *page.Edition
	if last != nil {
		edition = last.Edition
	}
	return newSheet(r.instance, edition.Next(page.Render(v)))
}

// hearPeer takes an answer of the other director, and asks it again from time to time.
func (r *renderer) hearPeer(now time.Time, p *api.Peer) {
	select {
	case h := <-r.heard:
		r.asking, r.missing = false, ""
		if h.err != nil {
			r.missing = h.err.Error()
			break
		}
		events := history.Shift(h.events, ahead(p))
		for i := range events {
			events[i].Director = summary.PeerName(p)
		}
		r.theirs.take(r.since, events)
	default:
	}
	switch {
	case !p.To.Up || !p.From.Up:
		r.missing = fmt.Sprintf("the channel to %s is lost", summary.PeerName(p))
	case slices.Contains(p.Lacks(), "history"):
		r.missing = fmt.Sprintf("%s is older and cannot tell them", summary.PeerName(p))
	case !r.asking && now.Sub(r.asked) >= peerPause:
		r.asking, r.asked, r.since = true, now, r.theirs.since()
		q := api.HistoryQuery{Since: r.since}
		if !q.Since.IsZero() {
			q.Since = q.Since.Add(ahead(p))
		}
		r.asks <- q // has room for it
	}
}

// ahead returns how far the clock of the other director is ahead of ours. The measured difference changes a little all the time: the
// times on the page need not.
func ahead(p *api.Peer) time.Duration {
	if p.Clock == nil {
		return 0
	}
	return time.Duration(p.Clock.AheadSeconds * float64(time.Second)).Round(10 * time.Millisecond)
}

const (
	// maxEvents is how many events of a director are kept.
	maxEvents = 2000
	// overlap is how much later than another event of the same time an event can become known.
	overlap = time.Minute
)

// An eventLog has the latest events of a director, the oldest first.
type eventLog struct{ events []api.Event }

// since returns from when on events can be new; zero: all.
func (l *eventLog) since() time.Time {
	if len(l.events) == 0 {
		return time.Time{}
	}
	return l.events[len(l.events)-1].Time.Add(-overlap)
}

// take takes all events since a time.
func (l *eventLog) take(since time.Time, events []api.Event) {
	keep := l.events
	if i := slices.IndexFunc(keep, func(ev api.Event) bool { return !ev.Time.Before(since) }); i >= 0 {
		keep = keep[:i]
	}
	all := history.Merge(keep, events)
	l.events = all[max(0, len(all)-maxEvents):]
}
