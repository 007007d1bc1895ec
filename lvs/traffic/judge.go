// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"math"
	"net/netip"
	"time"
)

const (
	// MinUnanswered is the minimum number of credible connections without an answer.
	MinUnanswered = 8
	// MinExpected is how many connections the server would have answered meanwhile, had it answered like the others. By chance
	// none of 16 is answered once in nine million times (e^16).
	MinExpected = 16
	// Memory is how long outcomes count.
	Memory = 10 * time.Minute

	minClients = 3
	minShare   = 0.9 // of all connections of the others, where no connection is credible
	kept       = 24  // outcomes of a server
	maxClients = 2048
)

// A Judge compares the real servers of one service. The zero value knows nothing.
type Judge struct {
	servers map[string]*record
	clients map[netip.Addr]time.Time // start of the latest connection that was answered
}

// A record is what is known of one server.
type record struct {
	recent []result // the latest, at most kept
	at     int      // the place of the oldest, if recent is full
	// The server has answered no connection that started after answered. Since then, unanswered connections were not, the
	// first of which started at since.
	answered   time.Time
	since      time.Time
	unanswered int
}

// A result is an outcome without its server.
type result struct {
	start    time.Time
	client   netip.Addr
	answered bool
}

// A Peer is a server of the service that gets new connections.
type Peer struct {
	Name   string
	Weight int
}

// A Finding says that a server does not answer clients.
type Finding struct {
	Since         time.Time // start of the first of the unanswered connections
	Unanswered    int
	OthersPercent int // the share of connections that the others answered meanwhile
}

// Add takes the outcome of one connection.
func (j *Judge) Add(server string, o Outcome, answered bool) {
	if j.servers == nil {
		j.servers, j.clients = make(map[string]*record), make(map[netip.Addr]time.Time)
	}
	r := j.servers[server]
	if r == nil {
		r = new(record)
		j.servers[server] = r
	}
	r.keep(result{o.Start, o.Client, answered})
	switch {
	case answered:
		j.proven(o)
		if o.Start.After(r.answered) {
			r.answered = o.Start
		}
		if r.unanswered > 0 && !o.Start.Before(r.since) {
			r.recount()
		}
	case o.Start.After(r.answered):
		if r.unanswered == 0 || o.Start.Before(r.since) {
			r.since = o.Start
		}
		r.unanswered++
	}
}

// proven records that a client gets answers.
func (j *Judge) proven(o Outcome) {
	if was, ok := j.clients[o.Client]; ok && was.After(o.Start) {
		return
	}
	if len(j.clients) >= maxClients {
		clear(j.clients) // the next answers fill it again
	}
	j.clients[o.Client] = o.Start
}

func (r *record) keep(x result) {
	if len(r.recent) < kept {
		r.recent = append(r.recent, x)
		return
	}
	r.recent[r.at] = x
	r.at = (r.at + 1) % kept
}

// recount counts the unanswered connections after the last answered one.
func (r *record) recount() {
	r.unanswered = 0
	for _, x := range r.recent {
		if x.answered || !x.start.After(r.answered) {
			continue
		}
		if r.unanswered == 0 || x.start.Before(r.since) {
			r.since = x.start
		}
		r.unanswered++
	}
}

// Forget drops the records of a server. It is for a server that gets new connections again.
func (j *Judge) Forget(server string) { delete(j.servers, server) }

// Answers reports whether a server has answered a connection that started after a moment.
func (j *Judge) Answers(server string, since time.Time) bool {
	r := j.servers[server]
	return r != nil && r.answered.After(since)
}

// Suspect reports whether a server does not answer clients. The others are the servers of the service that get new connections.
func (j *Judge) Suspect(now time.Time, server Peer, others []Peer) (f Finding, suspect bool) {
	r := j.servers[server.Name]
	if r == nil || r.unanswered < MinUnanswered || server.Weight <= 0 || now.Sub(r.since) > Memory {
		return f, false
	}
	f.Since, f.Unanswered = r.since, r.unanswered
	credible, clients := 0, make(map[netip.Addr]bool)
	for _, x := range r.recent {
		if x.answered || x.start.Before(r.since) {
			continue
		}
		clients[x.client] = true
		if j.credible(x, r.since) {
			credible++
		}
	}
	var sum tally
	weight := 0
	for _, o := range others {
		weight += o.Weight
		if is := j.servers[o.Name]; is != nil && o.Weight > 0 {
			is.tally(&sum, now, r.since, j)
		}
	}
	if sum.answered == 0 {
		return f, false
	}
	f.OthersPercent = 100 * sum.answered / (sum.answered + sum.credible)
	if credible >= MinUnanswered && float64(credible)*sum.surprise() >= MinExpected {
		return f, true
	}
	if sum.expected*float64(server.Weight) < float64(MinExpected*weight) {
		return f, false
	}
	if credible >= MinUnanswered {
		return f, true
	}
	return f, len(clients) >= minClients && float64(sum.answered) >= minShare*float64(sum.answered+sum.unanswered)
}

// credible reports whether the client of an unanswered connection has got an answer since.
func (j *Judge) credible(x result, since time.Time) bool {
	at, ok := j.clients[x.client]
	return ok && !at.Before(since)
}

// A tally counts connections of the other servers.
type tally struct {
	answered, unanswered, credible int // credible ones are among the unanswered
	expected                       float64
}

// surprise returns how much a credible connection without an answer says against a server, compared with the other servers: the
// natural logarithm of how seldom one has no answer. To be careful, one more of theirs is taken to have none.
func (t tally) surprise() float64 {
	without := float64(t.credible + 1)
	return math.Log((float64(t.answered) + without) / without)
}

// tally adds the connections of a server that have started since. Where only the latest of many are known, expected is their
// number at the same rate.
func (r *record) tally(sum *tally, now, since time.Time, j *Judge) {
	answered, oldest := 0, now
	for _, x := range r.recent {
		if x.start.Before(oldest) {
			oldest = x.start
		}
		switch {
		case x.start.Before(since):
		case x.answered:
			answered++
		default:
			sum.unanswered++
			if j.credible(x, since) {
				sum.credible++
			}
		}
	}
	sum.answered += answered
	expected := float64(answered)
	if known := now.Sub(oldest); len(r.recent) == kept && oldest.After(since) && known > 0 {
		expected *= float64(now.Sub(since)) / float64(known)
	}
	sum.expected += expected
}
