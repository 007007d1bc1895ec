// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"slices"
	"time"
)

// A state is how far a question is.
type state uint8

const (
	open state = iota
	answered
	failed
	notAsked
)

// A question is one that is open, or newer than one that is open.
type question struct {
	sent, ended time.Duration
	state       state
}

// A Ledger says when questions are due, and follows them until they are answered or have failed. Question n is due at n × Every.
// Its memory depends on the timeout and on the number of outages, and not on how long the probe lasts.
type Ledger struct {
	options Options
	stopped bool

	window []question // from the oldest open one
	first  int        // the number of window[0]
	expiry int        // the number of the first question that can still time out

	sum      Counts
	failures map[string]int
	servers  names
	answers  []int // by server
	latency  latencies
	own      ownPauses
	outages  series
	timeline timeline

	silent time.Duration // since when there is a question without an answer; negative: there is none
	last   time.Duration // when something was sent or ended last
}

// Counts count questions.
type Counts struct {
	Asked    int `json:"asked"`
	Answered int `json:"answered"`
	Slow     int `json:"slow"` // of those that were answered
	Failed   int `json:"failed"`
	Resets   int `json:"resets"` // of those that failed
	// NotAsked are the questions that the prober itself could not ask in time. They say nothing about the service.
	NotAsked int `json:"not_asked"`
}

// maxNames is the maximum number of real servers, and of causes of failures, that are told apart.
const maxNames = 64

// others is what has no name of its own any more.
const others = "others"

// New makes the ledger of a probe that begins now.
func New(o Options) *Ledger {
	return &Ledger{
		options: o, failures: make(map[string]int), latency: newLatencies(), own: newOwnPauses(), silent: -1,
		outages: series{slow: o.Slow}, timeline: newTimeline(o.Every),
	}
}

// next returns the number of the question that comes next.
func (l *Ledger) next() int { return l.first + len(l.window) }

// Next returns when the next question is due. ok is false if there is none.
func (l *Ledger) Next() (due time.Duration, ok bool) {
	due = time.Duration(l.next()) * l.options.Every
	return due, !l.stopped && (l.options.For == 0 || due < l.options.For)
}

// Take returns the question to send now. It depends on the clock alone, never on answers. If the prober is late by one interval
// or more, Take leaves out the questions that it has missed: sent all at once, they would be a load that no client makes.
func (l *Ledger) Take(now time.Duration) (n int, ok bool) {
	due, ok := l.Next()
	if !ok || now < due {
		return 0, false
	}
	until := now
	if l.options.For > 0 {
		until = min(until, l.options.For-1)
	}
	missed := int((until - due) / l.options.Every)
	for range missed {
		l.leaveOut(time.Duration(l.next()) * l.options.Every)
	}
	n = l.next()
	l.own.late(due, now, missed)
	l.window = append(l.window, question{sent: now})
	l.sum.Asked++
	l.timeline.at(now).Asked++
	if l.silent < 0 {
		l.silent = now
	}
	l.last = max(l.last, now)
	l.settle()
	return n, true
}

// leaveOut counts a question that the prober does not ask.
func (l *Ledger) leaveOut(due time.Duration) {
	l.window = append(l.window, question{sent: due, ended: due, state: notAsked})
	l.sum.NotAsked++
	l.timeline.at(due).NotAsked++
}

// find returns a question if it is open.
func (l *Ledger) find(n int) *question {
	if i := n - l.first; i >= 0 && i < len(l.window) && l.window[i].state == open {
		return &l.window[i]
	}
	return nil
}

// Answer notes that a question was answered, by the real server with this name; "": not known. A question that is not open any
// more stays as it is.
func (l *Ledger) Answer(n int, now time.Duration, server string) {
	q := l.find(n)
	if q == nil {
		return
	}
	took := now - q.sent
	b := l.timeline.at(q.sent)
	b.Answered++
	b.note(took)
	l.sum.Answered++
	if took > l.options.Slow {
		l.sum.Slow++
		b.Slow++
	}
	l.latency.record(took)
	if server != "" {
		i := l.servers.index(server)
		if i == len(l.answers) {
			l.answers = append(l.answers, 0)
		}
		l.answers[i]++
		b.served(i)
	}
	l.end(q, now, answered)
	l.silent = -1
	if len(l.window) > 0 {
		l.silent = now
	}
}

// Fail notes that a question has failed. detail says more than the cause; "": the cause says it all.
func (l *Ledger) Fail(n int, now time.Duration, cause Cause, detail string) {
	q := l.find(n)
	if q == nil {
		return
	}
	l.sum.Failed++
	l.timeline.at(q.sent).Failed++
	if cause == Reset {
		l.sum.Resets++
	}
	if detail == "" {
		detail = cause.String()
	}
	if _, known := l.failures[detail]; !known && len(l.failures) >= maxNames {
		detail = others
	}
	l.failures[detail]++
	l.end(q, now, failed)
}

// NotSent notes that the prober itself could not send a question, for example for want of a file descriptor.
func (l *Ledger) NotSent(n int, now time.Duration, reason string) {
	q := l.find(n)
	if q == nil {
		return
	}
	l.sum.Asked--
	l.sum.NotAsked++
	b := l.timeline.at(q.sent)
	b.Asked--
	b.NotAsked++
	l.own.trouble(reason)
	l.end(q, now, notAsked)
}

// end ends a question, and settles those that can be settled.
func (l *Ledger) end(q *question, now time.Duration, is state) {
	q.ended, q.state = now, is
	l.last = max(l.last, now)
	l.settle()
}

// settle judges the questions before the oldest open one, in the order in which they were asked.
func (l *Ledger) settle() {
	i := 0
	for ; i < len(l.window) && l.window[i].state != open; i++ {
		l.outages.add(l.window[i])
	}
	l.window = l.window[i:]
	l.first += i
}

// Deadline returns when the next open question times out. ok is false if none is open.
func (l *Ledger) Deadline() (at time.Duration, ok bool) {
	for l.expiry = max(l.expiry, l.first); l.expiry < l.next(); l.expiry++ {
		if q := l.find(l.expiry); q != nil {
			return q.sent + l.options.Timeout, true
		}
	}
	return 0, false
}

// Expire ends the questions that have timed out, and returns their numbers.
func (l *Ledger) Expire(now time.Duration) (all []int) {
	for {
		at, ok := l.Deadline()
		if !ok || at > now {
			return all
		}
		n := l.expiry
		l.Fail(n, at, TimedOut, "")
		all = append(all, n)
	}
}

// Stop ends the asking. Questions that are open stay so.
func (l *Ledger) Stop() { l.stopped = true }

// Done reports whether all questions were asked, and none is open.
func (l *Ledger) Done() bool {
	_, more := l.Next()
	_, waits := l.Deadline()
	return !more && !waits
}

// Abandon ends a probe without waiting for the open questions. Those that are older than Slow have failed. The others do not count.
func (l *Ledger) Abandon(now time.Duration) {
	if l.Done() {
		return
	}
	l.Stop()
	for n, end := l.first, l.next(); n < end; n++ {
		q := l.find(n)
		switch {
		case q == nil:
		case now-q.sent > l.options.Slow:
			l.Fail(n, now, TimedOut, "no answer when the probe ended")
		default:
			l.sum.Asked--
			l.timeline.at(q.sent).Asked--
			l.end(q, now, notAsked)
		}
	}
}

// A Live is a probe under way.
type Live struct {
	Elapsed Seconds `json:"elapsed_seconds"`
	For     Seconds `json:"for_seconds"`
	Counts
	Outages int     `json:"outages"`                // so far
	Longest Seconds `json:"longest_outage_seconds"` // of them
	Silent  Seconds `json:"silent_seconds"`         // how long there has been no answer; 0: the service answers
	Median  Seconds `json:"median_seconds"`         // of the answers; 0: there is none yet
	P99     Seconds `json:"p99_seconds"`
	// Flows are the connections that stay open, and Talked those of them that have had an answer.
	Flows  int `json:"flows,omitempty"`
	Talked int `json:"flows_answered,omitempty"`
}

// Live returns how a probe is going.
func (l *Ledger) Live(now time.Duration) Live {
	v := Live{
		Elapsed: Seconds(now), For: Seconds(l.options.For), Counts: l.sum, Median: Seconds(l.latency.at(50)), P99: Seconds(l.latency.at(99)),
	}
	kept, more, longest := l.outages.sum()
	v.Outages, v.Longest = len(kept)+more, Seconds(longest)
	if l.silent >= 0 && now-l.silent > l.options.Slow {
		v.Silent = Seconds(now - l.silent)
	}
	return v
}

// names gives each name an index, in the order in which they came.
type names []string

func (all *names) index(name string) int {
	if i := slices.Index(*all, name); i >= 0 {
		return i
	}
	if len(*all) >= maxNames-1 {
		if name = others; (*all)[len(*all)-1] == others {
			return len(*all) - 1
		}
	}
	*all = append(*all, name)
	return len(*all) - 1
}
