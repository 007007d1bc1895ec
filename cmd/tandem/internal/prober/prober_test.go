// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

// usual are the options of most tests.
var usual = Options{Every: ms, For: 3 * time.Second, Timeout: time.Second, Slow: 200 * ms}

// An end is how a service ends a question: after a time, with an answer or with a cause. The zero End never ends it.
type end struct {
	took  time.Duration
	cause Cause
}

// A client is a probe on a simulated clock: no test of this package waits.
type client struct {
	*Ledger
	serve  func(sent time.Duration) end
	frozen []span // in which the prober does not run
	now    time.Duration
}

// An ending is the answer to a question, or its failure.
type ending struct {
	n  int
	at time.Duration
	end
}

// run asks until the end.
func (c *client) run() Report {
	var under []ending
	for steps := 0; !c.Done(); steps++ {
		if steps > 100_000 {
			panic("a question that is due is not asked")
		}
		next, wakes := c.Next()
		if !wakes {
			next = time.Hour
		}
		if at, ok := c.Deadline(); ok {
			next = min(next, at)
		}
		first := -1
		for i, e := range under {
			if e.at < next {
				next, first = e.at, i
			}
		}
		for _, f := range c.frozen {
			if next >= f.start && next < f.start+f.length {
				next, first = f.start+f.length, -1
			}
		}
		c.now = max(c.now, next)
		c.Expire(c.now)
		if first >= 0 {
			e := under[first]
			under = slices.Delete(under, first, first+1)
			if e.cause == 0 {
				c.Answer(e.n, c.now, "one")
			} else {
				c.Fail(e.n, c.now, e.cause, "")
			}
		}
		if n, ok := c.Take(c.now); ok {
			if e := c.serve(c.now); e != (end{}) {
				under = append(under, ending{n, c.now + e.took, e})
			}
		}
	}
	return c.Report()
}

func probe(o Options, serve func(sent time.Duration) end) Report {
	return (&client{Ledger: New(o), serve: serve}).run()
}

// soon is the answer of a service that works.
var soon = end{took: 100 * time.Microsecond}

// between tells whether a time is in a span.
func between(at, from, to time.Duration) bool { return at >= from && at < to }

// pausing answers nothing from one time to another, and everything at its end.
func pausing(from, to time.Duration) func(time.Duration) end {
	return func(sent time.Duration) end {
		if between(sent, from, to) {
			return end{took: to - sent}
		}
		return soon
	}
}

// An interval is when an outage began, how long it was, and how many bad questions it had, in milliseconds.
type interval struct{ start, length, bad int }

func intervals(r Report) (all []interval) {
	for _, o := range r.Outages {
		all = append(all, interval{int(time.Duration(o.Start) / ms), int(time.Duration(o.Length) / ms), o.Bad})
	}
	return all
}

// TestOutages: what clients saw, and no more than that.
func TestOutages(t *testing.T) {
	slowly := usual
	slowly.Every = 10 * ms
	second := Options{Every: time.Second, For: 5 * time.Second, Timeout: 2 * time.Second, Slow: 200 * ms}
	for _, c := range []struct {
		name    string
		options Options
		serve   func(sent time.Duration) end
		want    []interval
	}{
		{"all is well", usual, func(time.Duration) end { return soon }, nil},
		{"a pause of 500 ms", usual, pausing(time.Second, 1500*ms), []interval{{1000, 500, 300}}},
		{"a pause longer than the timeout", usual, pausing(500*ms, 2*time.Second), []interval{{500, 1500, 1300}}},
		{"a pause that is not slow", usual, pausing(time.Second, 1150*ms), nil},
		{"nobody there for 36 ms, lost packets are sent again after 1 s", usual, func(sent time.Duration) end {
			if between(sent, 500*ms, 536*ms) {
				return end{took: 999 * ms}
			}
			return soon
		}, []interval{{500, 36, 36}}},
		{"twice within that second", usual, func(sent time.Duration) end {
			if between(sent, 500*ms, 536*ms) || between(sent, 700*ms, 720*ms) {
				return end{took: 999 * ms}
			}
			return soon
		}, []interval{{500, 36, 36}, {700, 20, 20}}},
		{"nobody there for 360 ms", usual, func(sent time.Duration) end {
			if between(sent, 500*ms, 860*ms) {
				return end{}
			}
			return soon
		}, []interval{{500, 360, 360}}},
		{"refused for 100 ms", usual, func(sent time.Duration) end {
			if between(sent, 500*ms, 600*ms) {
				return end{took: ms / 10, cause: Refused}
			}
			return soon
		}, []interval{{500, 100, 100}}},
		{"one question in three is refused", Options{Every: ms, For: 6 * ms, Timeout: time.Second, Slow: 200 * ms}, func(sent time.Duration) end {
			if sent/ms%3 == 1 {
				return end{took: ms / 10, cause: Refused}
			}
			return soon
		}, []interval{{1, 1, 1}, {4, 1, 1}}},
		{"far away, one reset", slowly, func(sent time.Duration) end {
			if sent == time.Second {
				return end{took: 150 * ms, cause: Reset}
			}
			return end{took: 150 * ms}
		}, []interval{{1140, 20, 1}}},
		{"far away, a pause of 500 ms", slowly, func(sent time.Duration) end {
			if between(sent+150*ms, time.Second, 1500*ms) {
				return end{took: 1500*ms - sent}
			}
			return end{took: 150 * ms}
		}, []interval{{990, 510, 45}}},
		{"one slow answer, asked rarely", second, func(sent time.Duration) end {
			if sent == 2*time.Second {
				return end{took: 250 * ms}
			}
			return soon
		}, []interval{{2000, 250, 1}}},
		{"overloaded: every answer is late", slowly, func(sent time.Duration) end {
			if between(sent, time.Second, 2*time.Second) {
				return end{took: 500 * ms}
			}
			return soon
		}, []interval{{1000, 1000, 100}}},
		{"never there", second, func(time.Duration) end { return end{} }, []interval{{0, 6000, 5}}},
		{"not there any more", usual, func(sent time.Duration) end {
			if sent >= 2*time.Second {
				return end{}
			}
			return soon
		}, []interval{{2000, 1999, 1000}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := probe(c.options, c.serve)
			if got := intervals(r); !slices.Equal(got, c.want) {
				t.Errorf("outages %v, want %v (start, length, bad questions)", got, c.want)
			}
			if asked := int(c.options.For / c.options.Every); r.Asked != asked || r.Answered+r.Failed != asked || r.NotAsked != 0 {
				t.Errorf("%+v, want %d asked", r.Counts, asked)
			}
		})
	}
}

// TestVeryManyOutages: the longest one counts, also if it is not kept: a probe can run for days.
func TestVeryManyOutages(t *testing.T) {
	const each = 10 * ms
	end := (maxOutages + 5) * each
	l := New(Options{Every: 5 * ms, Timeout: time.Minute, Slow: time.Second})
	ask := func(at time.Duration, good bool) {
		n, ok := l.Take(at)
		switch {
		case !ok:
			t.Fatalf("nothing to ask at %s", at)
		case good:
			l.Answer(n, at+ms, "")
		default:
			l.Fail(n, at+ms, Refused, "")
		}
	}
	for at := time.Duration(0); at < end; at += each {
		ask(at, false)
		ask(at+5*ms, true)
	}
	if v := l.Live(end); v.Outages != maxOutages+5 || v.Longest >= Seconds(each) {
		t.Fatalf("%d outages, the longest %s", v.Outages, v.Longest)
	}
	ask(end, false)
	ask(end+3*time.Second, true)
	ask(end+4*time.Second, true)
	r := l.Report()
	if len(r.Outages) != maxOutages || r.MoreOutages != 6 || r.Longest < Seconds(3*time.Second) || r.Longest != l.Live(end+5*time.Second).Longest {
		t.Errorf("%d outages and %d more, the longest %s", len(r.Outages), r.MoreOutages, r.Longest)
	}
}

// TestDisturbances: while one of two servers does not answer, this is told once.
func TestDisturbances(t *testing.T) {
	o := usual
	o.Every, o.For = 10*ms, 20*time.Second
	r := probe(o, func(sent time.Duration) end {
		if sent/o.Every%2 == 0 && between(sent, 5*time.Second, 7*time.Second) || between(sent, 12*time.Second, 12300*ms) {
			return end{took: ms, cause: Refused}
		}
		return soon
	})
	want := []Disturbance{
		{Start: Seconds(5 * time.Second), Length: Seconds(1990*ms + soon.took), Outages: 100, Longest: Seconds(10*ms + soon.took), Bad: 100},
		{Start: Seconds(12 * time.Second), Length: Seconds(300*ms + soon.took), Outages: 1, Longest: Seconds(300*ms + soon.took), Bad: 30},
	}
	if !slices.Equal(r.Disturbed, want) || r.Verdict() != "2 disturbances with 101 outages, the longest 300 ms" {
		t.Errorf("%s: %+v, want %+v", r.Verdict(), r.Disturbed, want)
	}
}

// TestOpenLoopSeesWhatAClosedLoopHides: the same service, asked by a client that waits for each answer.
func TestOpenLoopSeesWhatAClosedLoopHides(t *testing.T) {
	serve := pausing(time.Second, 1500*ms)
	open := probe(usual, serve)
	closed := newLatencies()
	for now := time.Duration(0); now < usual.For; {
		took := serve(now).took
		closed.record(took)
		now += max(ms, took)
	}
	p99 := open.Percentiles[2]
	if p99.Percent != 99 || time.Duration(*p99.Took).Round(ms) < 450*ms || time.Duration(open.Longest) != 500*ms {
		t.Errorf("the open loop: p99 %v, longest outage %v", time.Duration(*p99.Took), time.Duration(open.Longest))
	}
	if got := closed.at(99.9); got > ms {
		t.Errorf("the closed loop sees the pause: p99.9 %v; this test has no contrast", got)
	}
}

// TestSendingDependsOnTheClockAlone: a service that does not answer, or answers at random, changes no time of a question.
func TestSendingDependsOnTheClockAlone(t *testing.T) {
	times := func(serve func(time.Duration) end) (all []time.Duration) {
		probe(usual, func(sent time.Duration) end {
			all = append(all, sent)
			return serve(sent)
		})
		return all
	}
	random := rand.New(rand.NewPCG(1, 2))
	for name, serve := range map[string]func(time.Duration) end{
		"no answer": func(time.Duration) end { return end{} },
		"random": func(time.Duration) end {
			return end{took: time.Duration(random.Int64N(int64(2 * time.Second))), cause: Cause(random.IntN(3))}
		},
	} {
		all := times(serve)
		if len(all) != 3000 {
			t.Fatalf("%s: %d questions, want 3000", name, len(all))
		}
		for i, at := range all {
			if at != time.Duration(i)*ms {
				t.Fatalf("%s: question %d at %s", name, i, at)
			}
		}
	}
}

// TestProberStandsStill: what the prober missed is its own fault, and is told as such.
func TestProberStandsStill(t *testing.T) {
	c := &client{Ledger: New(usual), serve: func(time.Duration) end { return soon }, frozen: []span{{start: 999500 * time.Microsecond, length: 100 * ms}}}
	r := c.run()
	if len(r.Outages) != 0 || r.NotAsked != 99 || r.Asked != 2901 || r.Failed+r.Slow != 0 {
		t.Errorf("%+v, outages %v", r.Counts, r.Outages)
	}
	want := Pause{Start: Seconds(time.Second), Length: Seconds(99500 * time.Microsecond), Missed: 99}
	if len(r.Prober.Pauses) != 1 || r.Prober.Pauses[0] != want {
		t.Errorf("pauses %+v, want %+v", r.Prober.Pauses, want)
	}

	// A question that could not be sent says nothing about the service.
	l := New(Options{Every: ms, For: 3 * ms, Timeout: time.Second, Slow: 200 * ms})
	for i := range 3 {
		now := time.Duration(i) * ms
		n, _ := l.Take(now)
		if i == 1 {
			l.NotSent(n, now, "too many open files")
		} else {
			l.Answer(n, now, "")
		}
	}
	if r := l.Report(); r.Asked != 2 || r.NotAsked != 1 || r.Prober.Reasons["too many open files"] != 1 || len(r.Outages) != 0 {
		t.Errorf("not sent: %+v, %+v", r.Counts, r.Prober)
	}
}
