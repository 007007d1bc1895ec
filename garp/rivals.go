// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

const (
	// doubt is how long a claim must be wrong before it is told of: when a peer takes over, its announcement may be
	// here before the order to let go is.
	doubt = 300 * time.Millisecond
	// askedPause is the least time between two questions about one address that others cause.
	askedPause = time.Second
	// quietPause is the time between two questions about an address that nobody else asks for or claims.
	quietPause = 10 * time.Second
	// rivalMemory is how long a rival that is not heard any more is still one. It is asked every askedPause.
	rivalMemory = 5 * time.Second
	// maxRivals bounds what an attacker with many hardware addresses can make us remember.
	maxRivals = 64
)

// A Rival is another machine that claims one of our addresses.
type Rival struct {
	Address  netip.Addr `json:"address"`
	Hardware string     `json:"hardware"`
	// Neighbours are the addresses that the neighbour table knows at this hardware address, the claimed one aside.
	Neighbours []netip.Addr `json:"neighbours,omitempty"`
	// How says in what it claimed the address last: ARP request, ARP reply, neighbour advertisement.
	How   string    `json:"how"`
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
}

// A hardware is an Ethernet address.
type hardware [6]byte

// A hearing is what a frame says about addresses.
type hearing struct {
	claimed netip.Addr // by the sender; the zero Addr if it claims none
	asked   netip.Addr // for; likewise
	how     form
	from    hardware
}

type rivalID struct {
	addr netip.Addr
	from hardware
}

// rivals decide who is a rival and when to ask for others; they send nothing and read no clock.
type rivals struct {
	ask    map[netip.Addr]*question // our addresses
	known  map[rivalID]*suspect
	claims uint64
}

// A question is when we ask who has an address.
type question struct{ asked, due time.Time }

// A suspect is a rival, or will be if it still is one after a while.
type suspect struct {
	Rival
	told bool
}

func newRivals() *rivals {
	return &rivals{ask: make(map[netip.Addr]*question), known: make(map[rivalID]*suspect)}
}

// set makes the watched addresses those given. A new one is asked for at once.
func (r *rivals) set(now time.Time, addrs []netip.Addr) {
	for addr := range r.ask {
		if !slices.Contains(addrs, addr) {
			delete(r.ask, addr)
		}
	}
	for _, addr := range addrs {
		if r.ask[addr] == nil {
			r.ask[addr] = &question{due: now.Add(doubt)}
		}
	}
	for id := range r.known {
		if r.ask[id.addr] == nil {
			delete(r.known, id)
		}
	}
}

// concerns tells whether a frame is about one of our addresses.
func (r *rivals) concerns(s hearing) bool { return r.ask[s.claimed] != nil || r.ask[s.asked] != nil }

// see takes note of a frame that is not our own.
func (r *rivals) see(now time.Time, s hearing) {
	if q := r.ask[s.asked]; q != nil {
		// Whoever answers this question answers the one who asked; to hear it, we ask too.
		q.hasten(now)
	}
	q := r.ask[s.claimed]
	if q == nil {
		return
	}
	r.claims++
	id := rivalID{s.claimed, s.from}
	one := r.known[id]
	if one == nil {
		if len(r.known) >= maxRivals {
			return
		}
		one = &suspect{Rival: Rival{Address: s.claimed, Hardware: s.from.String(), Since: now}}
		r.known[id] = one
	}
	one.How, one.Last = s.how.String(), now
	q.hasten(now)
}

func (q *question) hasten(now time.Time) {
	soon := q.asked.Add(askedPause)
	if soon.Before(now) {
		soon = now
	}
	if soon.Before(q.due) {
		q.due = soon
	}
}

// step returns the addresses to ask for now, the rivals that are to be told of now, and when to step next.
func (r *rivals) step(now time.Time) (ask []netip.Addr, found []rivalID, next time.Time) {
	next = now.Add(quietPause)
	earlier := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	haunted := make(map[netip.Addr]bool)
	for id, one := range r.known {
		if gone := one.Last.Add(rivalMemory); !gone.After(now) {
			delete(r.known, id)
			continue
		}
		haunted[id.addr] = true
		earlier(one.Last.Add(rivalMemory))
		switch certain := one.Since.Add(doubt); {
		case one.told:
		case certain.After(now):
			earlier(certain)
		default:
			one.told = true
			found = append(found, id)
		}
	}
	for addr, q := range r.ask {
		if !q.due.After(now) {
			ask = append(ask, addr)
			q.asked, q.due = now, now.Add(quietPause)
			if haunted[addr] {
				q.due = now.Add(askedPause)
			}
		}
		earlier(q.due)
	}
	slices.SortFunc(ask, netip.Addr.Compare)
	return ask, found, next
}

// list returns the rivals that were told of.
func (r *rivals) list() []Rival {
	var all []Rival
	for _, one := range r.known {
		if one.told {
			all = append(all, one.Rival)
		}
	}
	slices.SortFunc(all, func(a, b Rival) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Hardware, b.Hardware))
	})
	return all
}
