// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"net/netip"
	"time"
)

// A State is how far a TCP connection has come, as the director sees it.
type State uint8

// The states. Waiting: the client has sent a SYN, and no ACK. Answered: the client has sent an ACK. Closed: a reset ended the
// connection.
const (
	Waiting State = iota + 1
	Answered
	Closed
)

// A Connection is a TCP connection in the kernel's table.
type Connection struct {
	Client, Virtual, Server netip.AddrPort
	State                   State
}

// An Outcome says whether a new connection was answered. Its state is Waiting if the client's ACK has not come in time. It is
// Closed if a reset ended the connection before a look saw it answered.
type Outcome struct {
	Virtual, Server netip.AddrPort
	Client          netip.Addr
	Start           time.Time // when the connection was first seen
	State           State
}

// Patience is how long a connection may wait for its client's ACK. A client's second SYN comes after 1 s.
const Patience = 3 * time.Second

// maxMissed is how many looks may miss a connection. While the table changes, the kernel's text of it repeats and leaves out
// single rows.
const maxMissed = 3

// maxOutcomes is the maximum number of outcomes of one server and state that one look returns. More prove nothing more.
const maxOutcomes = 32

// A Sampler finds the new connections among those that a look at the table shows. A look may show only the beginning of the
// table. The kernel keeps connections by a hash of the client's address and port, so the beginning is a fair sample.
type Sampler struct {
	known map[flow]*progress
	looks int
	whole bool // the last look showed the whole table
	count map[quota]int
}

// A flow identifies a connection. It has no pointers, which makes a large map of them cheap.
type flow struct {
	client, virtual         [16]byte
	clientPort, virtualPort uint16
}

func flowOf(c *Connection) flow {
	return flow{c.Client.Addr().As16(), c.Virtual.Addr().As16(), c.Client.Port(), c.Virtual.Port()}
}

// A progress is what is known of a connection.
type progress struct {
	start time.Time // zero: it is older than the first look
	seen  int       // the last look that had it
	told  bool      // that it was not answered in time
	done  bool
}

type quota struct {
	server, virtual netip.AddrPort
	state           State
}

// See compares a look at the table with the one before. The look has the first connections of the table, in its order; whole
// says that it has all of them.
func (s *Sampler) See(now time.Time, look []Connection, whole bool) (all []Outcome) {
	if s.known == nil {
		s.known, s.count = make(map[flow]*progress), make(map[quota]int)
	}
	clear(s.count)
	for i, end := 0, s.newEnd(look); i < len(look); i++ {
		c := &look[i]
		key := flowOf(c)
		p := s.known[key]
		if p == nil {
			p = new(progress)
			if s.known[key] = p; i < end {
				p.start = now
			}
		}
		if outcome, ok := p.outcome(now, c); ok && s.grant(outcome) {
			all = append(all, outcome)
		}
		p.seen = s.looks
	}
	for key, p := range s.known {
		if s.looks-p.seen >= maxMissed {
			delete(s.known, key)
		}
	}
	s.whole = whole
	s.looks++
	return all
}

// newEnd returns the end of the part of a look in which an unknown connection is new. Beyond it, an unknown connection may be an
// old one that the last look did not reach.
func (s *Sampler) newEnd(look []Connection) int {
	switch {
	case s.looks == 0:
		return 0
	case s.whole:
		return len(look)
	}
	for i := len(look) - 1; i >= 0; i-- {
		if _, known := s.known[flowOf(&look[i])]; known {
			return i
		}
	}
	return 0
}

// outcome returns the outcome of a connection, if it is new since the last look that had the connection.
func (p *progress) outcome(now time.Time, c *Connection) (o Outcome, ok bool) {
	if p.start.IsZero() || p.done {
		return o, false
	}
	o = Outcome{Virtual: c.Virtual, Server: c.Server, Client: c.Client.Addr(), Start: p.start, State: c.State}
	switch c.State {
	case Answered:
		p.done = true
		return o, true
	case Closed:
		p.done = true
		return o, !p.told
	case Waiting:
		if !p.told && now.Sub(p.start) >= Patience {
			p.told = true
			return o, true
		}
	}
	return o, false
}

// grant reports whether an outcome is within the maximum of its server.
func (s *Sampler) grant(o Outcome) bool {
	q := quota{o.Server, o.Virtual, o.State}
	s.count[q]++
	return s.count[q] <= maxOutcomes
}
