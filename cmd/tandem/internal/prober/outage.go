// SPDX-License-Identifier: Apache-2.0

package prober

import "time"

// An outage is a time in which clients were not served. Its bad questions failed, or were answered too slowly.
//
// It begins when the first bad question was sent. If answers to earlier questions were still arriving then, it begins with the
// last of them. It ends with the next answer, of whatever question that was sent in it or after it. So it ends when the service
// answers again, also if the kernel sends the lost packets of earlier questions only a second later.
type outage struct {
	start, end time.Duration
	bad        int           // questions
	notAsked   int           // questions of the same time
	answered   bool          // end is the earliest answer; otherwise there is none yet
	latest     time.Duration // when the last of the bad questions ended
}

func (o outage) length() time.Duration { return o.end - o.start }

// maxOutages is the maximum number of outages that are kept. Others are counted.
const maxOutages = 10_000

// A series finds outages in questions, which it gets in the order in which they were sent.
type series struct {
	slow time.Duration

	done    []outage
	more    int           // outages that are not kept
	longest time.Duration // of them
	now     *outage       // the one that goes on, or that may still change
	timely  time.Duration // the latest answer that was not slow
}

// add judges a question.
func (s *series) add(q question) {
	if s.now != nil && s.now.answered && q.sent >= s.now.end {
		s.close()
	}
	slow := q.ended-q.sent > s.slow
	switch {
	case q.state == notAsked:
		if s.now != nil {
			s.now.notAsked++
		}
		return
	case q.state == answered && !slow:
		s.timely = max(s.timely, q.ended)
		if s.now == nil {
			return
		}
	default:
		if s.now == nil {
			s.begin(q)
		}
		s.now.bad++
		s.now.latest = max(s.now.latest, q.ended)
	}
	switch o := s.now; {
	case q.state == failed && !o.answered:
		o.end = max(o.end, q.ended)
	case q.state == answered && (!o.answered || q.ended < o.end):
		o.answered, o.end = true, q.ended
	}
}

// begin begins an outage. If answers are slow for a long time, it is one outage, although there are answers in it.
func (s *series) begin(q question) {
	if last := len(s.done) - 1; last >= 0 && s.more == 0 && s.done[last].latest >= q.sent && s.timely < s.done[last].end {
		o := s.done[last]
		o.answered = false
		s.done, s.now = s.done[:last], &o
		return
	}
	s.now = &outage{start: max(q.sent, s.timely)}
}

// close ends the outage.
func (s *series) close() {
	switch o := *s.now; {
	case o.length() <= 0: // other questions were answered all the time
	case len(s.done) == maxOutages:
		s.more++
		s.longest = max(s.longest, o.length())
	default:
		s.done = append(s.done, o)
	}
	s.now = nil
}

// sum returns the outages so far that are kept, how many others there are, and the longest of all. The last one may go on.
func (s *series) sum() (kept []outage, more int, longest time.Duration) {
	copied := *s
	copied.done = s.done[:len(s.done):len(s.done)]
	if s.now != nil {
		copied.close()
	}
	longest = copied.longest
	for _, o := range copied.done {
		longest = max(longest, o.length())
	}
	return copied.done, copied.more, longest
}
