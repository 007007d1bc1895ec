// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"maps"
	"math"
	"time"
)

// Counters are the kernel's counters of a real server with method nat. They grow only.
type Counters struct {
	Connections uint64 // new ones: by a new address or port of a client
	In, Out     uint64 // packets of clients, and of the server
}

const (
	// minRequests is the minimum of new connections that the server would have answered, had it answered like the others.
	minRequests = 24
	// From one reading to the next, the packets of each other server may differ from its new connections by this share, and by
	// one.
	tolerance = 0.1
	// minReadings is for how many readings this must be so. Where there is only one other server, it is loneReadings, and the
	// number of its connections must vary as much as variation.
	minReadings, loneReadings = 3, 8
	variation                 = 1.5

	maxReadings = 64
)

// Replies compares the real servers of one service for UDP by the kernel's counters. The zero value knows nothing.
//
// The counters are sums: they do not say which of the clients have got an answer. Packets of servers may all belong to one old
// connection, and the new ones may be noise that nobody answers. So a server is suspect only if each of the others sends one
// packet for each new connection, at all times. Such are DNS, RADIUS and NTP. Where connections are longer, nobody is suspect.
type Replies struct {
	readings []reading // in the order of time
}

type reading struct {
	at      time.Time
	servers map[string]Counters
}

// Add takes the counters of all servers at a moment.
func (r *Replies) Add(now time.Time, servers map[string]Counters) {
	r.readings = append(r.readings, reading{now, maps.Clone(servers)})
	first := 0
	for first < len(r.readings)-maxReadings || now.Sub(r.readings[first].at) > Memory {
		first++
	}
	r.readings = append(r.readings[:0], r.readings[first:]...)
}

// Forget drops what is known of a server. It is for a server that gets new connections again.
func (r *Replies) Forget(server string) {
	for _, is := range r.readings {
		delete(is.servers, server)
	}
}

// Answers tells whether a server has sent a packet since a moment.
func (r *Replies) Answers(server string, since time.Time) bool {
	for i := len(r.readings) - 1; i > 0 && !r.readings[i-1].at.Before(since); i-- {
		is, ok := r.readings[i].servers[server]
		if was, known := r.readings[i-1].servers[server]; ok && known && is.Out > was.Out {
			return true
		}
	}
	return false
}

// Suspect tells whether a server does not answer clients. The others are the servers of the service that get new connections.
func (r *Replies) Suspect(now time.Time, server Peer, others []Peer) (f Finding, suspect bool) {
	last := len(r.readings) - 1
	if last < 1 || server.Weight <= 0 || now.Sub(r.readings[last].at) > Memory {
		return f, false
	}
	first := r.silentSince(server.Name)
	own, ok := r.grown(server.Name, first)
	if !ok || own.Connections < MinUnanswered || own.In < own.Connections {
		return f, false
	}
	sum, weight, peers := Counters{}, 0, 0
	for _, o := range others {
		if o.Weight <= 0 {
			continue
		}
		is, ok := r.grown(o.Name, first)
		if !ok {
			continue
		}
		if !r.tracks(o.Name, first) {
			return f, false
		}
		peers, weight = peers+1, weight+o.Weight
		sum.Connections, sum.Out = sum.Connections+is.Connections, sum.Out+is.Out
	}
	switch {
	case peers == 0, last-first < minReadings, sum.Connections*uint64(server.Weight) < minRequests*uint64(weight):
		return f, false
	case peers == 1 && (last-first < loneReadings || !r.varied(others, first)):
		return f, false
	}
	f = Finding{Since: r.readings[first].at, Unanswered: int(own.Connections), OthersPercent: int(100 * sum.Out / sum.Connections)}
	f.OthersPercent = min(100, f.OthersPercent)
	return f, true
}

// tracks tells whether a server has sent one packet for each new connection, from each reading to the next.
func (r *Replies) tracks(server string, first int) bool {
	near := func(a, b uint64) bool { return math.Abs(float64(a)-float64(b)) <= 1+tolerance*float64(b) }
	for i := first; i < len(r.readings)-1; i++ {
		by, ok := r.between(server, i, i+1)
		if !ok || !near(by.Out, by.Connections) {
			return false
		}
	}
	return true
}

// varied tells whether the new connections of the others vary from one reading to the next.
func (r *Replies) varied(others []Peer, first int) bool {
	least, most := uint64(math.MaxUint64), uint64(0)
	for i := first; i < len(r.readings)-1; i++ {
		sum := uint64(0)
		for _, o := range others {
			by, _ := r.between(o.Name, i, i+1)
			sum += by.Connections
		}
		least, most = min(least, sum), max(most, sum)
	}
	return float64(most) >= variation*float64(least)
}

// silentSince is the first of the last readings between which a server has sent nothing.
func (r *Replies) silentSince(server string) int {
	i := len(r.readings) - 1
	for ; i > 0; i-- {
		is, ok := r.readings[i].servers[server]
		if was, known := r.readings[i-1].servers[server]; !ok || !known || was.Out != is.Out || was.Connections > is.Connections {
			break
		}
	}
	return i
}

// grown is how much the counters of a server have grown since a reading.
func (r *Replies) grown(server string, since int) (by Counters, ok bool) {
	return r.between(server, since, len(r.readings)-1)
}

// between is how much the counters of a server have grown. It is not ok if they are not known, or began anew.
func (r *Replies) between(server string, from, to int) (by Counters, ok bool) {
	was, known := r.readings[from].servers[server]
	is, knows := r.readings[to].servers[server]
	if !known || !knows || is.Connections < was.Connections || is.In < was.In || is.Out < was.Out {
		return by, false
	}
	return Counters{is.Connections - was.Connections, is.In - was.In, is.Out - was.Out}, true
}
