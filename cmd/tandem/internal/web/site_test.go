// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/web/page"
)

// A source is a director for tests. Those above mu are not changed while somebody reads.
type source struct {
	status api.Status
	events []api.Event

	mu     sync.Mutex
	took   time.Duration               // to make a status
	peer   func() ([]api.Event, error) // nil: it hangs
	asked  int                         // for the status
	peered []api.HistoryQuery
	since  []time.Time // of the questions for the history
}

func (s *source) Status() api.Status {
	s.mu.Lock()
	s.asked++
	took := s.took
	s.mu.Unlock()
	time.Sleep(took)
	return s.status
}

func (s *source) History(q api.HistoryQuery) (all []api.Event, err error) {
	s.mu.Lock()
	s.since = append(s.since, q.Since)
	s.mu.Unlock()
	for _, ev := range s.events {
		if q.Matches(ev) {
			all = append(all, ev)
		}
	}
	return all, nil
}

func (s *source) PeerHistory(ctx context.Context, q api.HistoryQuery) ([]api.Event, error) {
	s.mu.Lock()
	s.peered = append(s.peered, q)
	answer := s.peer
	s.mu.Unlock()
	if answer == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return answer()
}

// queries returns what the other director was asked for.
func (s *source) queries() []api.HistoryQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.peered)
}

// start runs a site until the test ends.
func start(t *testing.T, s *source) *Site {
	site := New(hclog.NewNullLogger(), s)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- site.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return site
}

// get reads a path. more are headers, names and values by turns.
func get(site *Site, path string, more ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "lb1"
	for i := 0; i+1 < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	w := httptest.NewRecorder()
	site.Handler().ServeHTTP(w, r)
	return w.Result()
}

func text(r *http.Response) string {
	var b strings.Builder
	_ = r.Write(&b)
	_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	return body
}

func newsOf(t *testing.T, r *http.Response) (n page.News) {
	t.Helper()
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReadersShareARendering: however many read, the director is asked rarely; while nobody reads, it is not asked.
func TestReadersShareARendering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{status: api.Status{Name: "lb1"}}
		site := start(t, s)
		time.Sleep(time.Hour)
		if s.asked != 0 {
			t.Errorf("nobody reads, and the director was asked %d times", s.asked)
		}
		const readers, seconds = 200, 10
		var all sync.WaitGroup
		for range readers {
			all.Go(func() {
				for range seconds * 2 {
					if r := get(site, "/parts?after=0"); r.StatusCode != http.StatusOK {
						t.Errorf("status %d", r.StatusCode)
					}
					time.Sleep(500 * time.Millisecond)
				}
			})
		}
		all.Wait()
		if s.asked != seconds*2 {
			t.Errorf("%d readers in %d s: the director was asked %d times", readers, seconds, s.asked)
		}
	})
}

// TestSlowDirectorIsAskedRarely: readers cost a director that takes long for its state at most a fifth of its time.
func TestSlowDirectorIsAskedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{took: 500 * time.Millisecond}
		site := start(t, s)
		for began := time.Now(); time.Since(began) < 20*time.Second; {
			get(site, "/parts?after=0")
			time.Sleep(20 * time.Millisecond)
		}
		if s.asked < 7 || s.asked > 9 { // 20 s, and 2.5 s each
			t.Errorf("asked %d times in 20 s", s.asked)
		}
	})
	for took, want := range map[time.Duration]time.Duration{0: shared, 100 * time.Millisecond: shared, time.Second: 4 * time.Second, time.Minute: maxPause} {
		if got := pauseAfter(took); got != want {
			t.Errorf("after %s: %s, want %s", took, got, want)
		}
	}
}

// TestHangingDirector: readers of a director that hangs get an answer, and do not wait longer when they are many.
func TestHangingDirector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{took: time.Minute}
		site := start(t, s)
		var all sync.WaitGroup
		began := time.Now()
		for range 100 {
			all.Go(func() {
				r := get(site, "/")
				if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || time.Since(began) != readTimeout {
					t.Errorf("status %d after %s", r.StatusCode, time.Since(began))
				}
			})
		}
		all.Wait()
		s.mu.Lock()
		s.took = 0
		s.mu.Unlock()
		time.Sleep(time.Minute)
		if r := get(site, "/"); r.StatusCode != http.StatusOK {
			t.Errorf("when it answers again: status %d", r.StatusCode)
		}
	})
}

// TestPanic: a fault of the page is logged, its readers are told, and the director goes on.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		s := &panicking{source: &source{}}
		site := New(hclog.New(&hclog.LoggerOptions{Output: &text}), s)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = site.Run(ctx) }()
		for range 20 {
			if r := get(site, "/"); r.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("status %d", r.StatusCode)
			}
		}
		if got := text.String(); strings.Count(got, "making the web page panicked: panic=\"no events\"") != 1 || !strings.Contains(got, "panicking).History") {
			t.Errorf("the log has %s", got)
		}
		time.Sleep(shared)
		s.well = true
		first := newsOf(t, get(site, "/parts?after=0"))
		time.Sleep(shared)
		s.well = false
		if r := get(site, "/"); r.StatusCode != http.StatusServiceUnavailable || strings.Count(text.String(), "panicked") != 2 {
			t.Errorf("later: status %d, %s", r.StatusCode, text.String())
		}
		time.Sleep(shared)
		s.well, s.status.Name = true, "lb2"
		if next := newsOf(t, get(site, "/parts?after=1")); first.Edition != 1 || next.Edition != 2 || next.Parts["overview"] == "" {
			t.Errorf("a browser with the page from before: %+v", next)
		}
	})
}

// A panicking is a source with a fault.
type panicking struct {
	*source
	well bool
}

func (p *panicking) History(q api.HistoryQuery) ([]api.Event, error) {
	if !p.well {
		panic("no events")
	}
	return p.source.History(q)
}

// TestLeavingDirector: a site that has ended answers so.
func TestLeavingDirector(t *testing.T) {
	site := New(hclog.NewNullLogger(), &source{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := site.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if r := get(site, "/"); r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text(r), "leaving") {
		t.Errorf("status %d", r.StatusCode)
	}
}

// TestNews: a reader that asks twice a second sees each change within a second, and gets nothing twice.
func TestNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{status: api.Status{Name: "lb1", Services: []api.Service{{Name: "a"}, {Name: "b"}}}}
		site := start(t, s)
		first := newsOf(t, get(site, "/parts?after=0"))
		if first.Edition != 1 || len(first.Parts) != 7 || first.Instance == "" {
			t.Fatalf("the first: %+v", first)
		}
		tag := fmt.Sprintf(`"%s-%d"`, first.Instance, first.Edition)
		for range 10 {
			time.Sleep(500 * time.Millisecond)
			r := get(site, "/parts?after=1", "If-None-Match", tag)
			if body := text(r); r.StatusCode != http.StatusNotModified || r.Header.Get("ETag") != tag || r.Header.Get("As-Of") == "" || body != "" {
				t.Errorf("no change: status %d, %v, %q", r.StatusCode, r.Header, body)
			}
		}
		s.status.Warnings = []string{"the disk is full"}
		time.Sleep(500 * time.Millisecond)
		news := newsOf(t, get(site, "/parts?after=1", "If-None-Match", tag))
		if news.Edition != 2 || len(news.Parts) != 2 || !strings.Contains(news.Parts["wrong"], "the disk is full") || news.Services != nil {
			t.Errorf("a warning: %+v", news)
		}
		if document := text(get(site, "/")); !strings.Contains(document, `data-edition="2"`) || !strings.Contains(document, first.Instance) {
			t.Error("the page does not say which edition it is")
		}
		if r := get(site, "/", "If-None-Match", fmt.Sprintf(`W/"x", "%s-2"`, first.Instance)); r.StatusCode != http.StatusNotModified {
			t.Errorf("the same page: status %d", r.StatusCode)
		}
		// Readers who ask for what never was get the page, and not more of the director's time.
		for after := range 100 {
			if n := newsOf(t, get(site, fmt.Sprintf("/parts?after=%d", after+3))); len(n.Parts) != 7 {
				t.Errorf("after %d: %d parts", after+3, len(n.Parts))
			}
		}
	})
}

// TestPeerEvents: the events of the other director come a little later, and nobody waits for them.
func TestPeerEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := api.PeerHalf{Up: true}
		began := time.Now()
		event := func(after time.Duration, director, name string) api.Event {
			return api.Event{Time: began.Add(after), Director: director, Kind: api.EventReload, On: api.OnDirector, Name: name, What: "reloaded"}
		}
		s := &source{
			status: api.Status{Name: "lb1", Peer: &api.Peer{Name: "lb2", To: up, From: up, Can: api.Questions(), Clock: &api.Clock{AheadSeconds: 60.001}}},
			events: []api.Event{event(-2*time.Hour, "lb1", "early"), event(-time.Hour+30*time.Second, "lb1", "late")},
		}
		site := start(t, s)
		timeline := func() string { return newsOf(t, get(site, "/parts?after=0")).Parts["timeline"] }
		if got := timeline(); !strings.Contains(got, "early") || !strings.Contains(got, "late") || strings.Contains(got, "missing") {
			t.Errorf("while the other director is asked: %s", got)
		}
		time.Sleep(time.Second)
		_ = timeline()
		time.Sleep(peerTimeout)
		if got := timeline(); !strings.Contains(got, "missing") || !strings.Contains(got, "deadline") || len(s.queries()) > 2 {
			t.Errorf("it does not answer: asked %d times, %s", len(s.queries()), got)
		}
		synctest.Wait() // it has the second question, and does not answer that either
		s.mu.Lock()
		s.peer = func() ([]api.Event, error) {
			return []api.Event{event(-time.Hour+time.Minute, "forged", "theirs")}, nil
		}
		s.mu.Unlock()
		for range 20 {
			time.Sleep(time.Second)
			_ = timeline()
		}
		got := timeline()
		late, theirs, early := strings.Index(got, " late "), strings.Index(got, " theirs "), strings.Index(got, " early ")
		if late < 0 || theirs < late || early < theirs || strings.Contains(got, "missing") || strings.Contains(got, "forged") {
			t.Errorf("by our clock it is between ours, and of lb2: %s", got)
		}
		synctest.Wait()
		all := s.queries()
		if q := all[len(all)-1]; !q.Since.Equal(began.Add(-time.Hour)) { // by its clock: a minute before its latest event
			t.Errorf("it was asked for all since %s", q.Since.Sub(began))
		}
		if since := s.since[len(s.since)-1]; !since.Equal(began.Add(-time.Hour - 30*time.Second)) {
			t.Errorf("this director was asked for all since %s", since.Sub(began))
		}
		s.status.Peer.From = api.PeerHalf{Problem: "cut"}
		for range 10 {
			time.Sleep(time.Second)
			_ = timeline()
		}
		if got := timeline(); !strings.Contains(got, "the channel to lb2 is lost") || !strings.Contains(got, " theirs ") || len(s.queries()) > len(all)+1 {
			t.Errorf("the channel is lost: %s", got)
		}
		s.status.Peer.From, s.status.Peer.Can = up, []string{"status"}
		time.Sleep(time.Second)
		if got := timeline(); !strings.Contains(got, "lb2 is older and cannot tell them") {
			t.Errorf("older: %s", got)
		}
		s.status.Peer = nil
		time.Sleep(time.Second)
		if got := timeline(); strings.Contains(got, "missing") || strings.Contains(got, " theirs ") {
			t.Errorf("no [peer] any more: %s", got)
		}
	})
}

// TestPeerRefuses: what the other director says is told, and it is asked again.
func TestPeerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := api.PeerHalf{Up: true}
		s := &source{
			status: api.Status{Name: "lb1", Peer: &api.Peer{Name: "lb2", To: up, From: up, Can: api.Questions()}},
			peer:   func() ([]api.Event, error) { return nil, errors.New("lb2: it answers 4 questions at a time") },
		}
		site := start(t, s)
		for range 10 {
			get(site, "/")
			time.Sleep(time.Second)
		}
		if got := text(get(site, "/")); !strings.Contains(got, "lb2: it answers 4 questions at a time") || len(s.queries()) != 5 && len(s.queries()) != 6 {
			t.Errorf("asked %d times: %s", len(s.queries()), got)
		}
	})
}

func TestEventLog(t *testing.T) {
	began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var l eventLog
	if !l.since().IsZero() {
		t.Error("an empty log asks for all")
	}
	var all []api.Event
	for i := range maxEvents + 10 {
		all = append(all, api.Event{Time: began.Add(time.Duration(i) * time.Second), Name: fmt.Sprint(i)})
	}
	l.take(time.Time{}, all)
	if len(l.events) != maxEvents || l.events[0].Name != "10" {
		t.Errorf("%d events from %s", len(l.events), l.events[0].Name)
	}
	since := l.since()
	l.take(since, append(all[len(all)-61:], api.Event{Time: all[len(all)-5].Time, Name: "late"}))
	if n := len(l.events); n != maxEvents || l.events[n-5].Name != "late" || l.events[n-1].Name != fmt.Sprint(maxEvents+9) {
		t.Errorf("%d events, the last %+v", n, l.events[n-6:])
	}
}
