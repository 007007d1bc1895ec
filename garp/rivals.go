// SPDX-License-Identifier: Apache-2.0

package garp

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

const (
	// settle is how long a claim must have lasted before it is reported. When a peer takes over, its announcement may arrive
	// here before the order to give the address up. It is also how long claims of a new address do not count: the former master
	// keeps the address for a moment, and answers for it. Then this machine asks, and a rival that is still there answers.
	settle = 300 * time.Millisecond
	// hurriedPause is the minimum time between two questions about one address, when other machines cause them.
	hurriedPause = time.Second
	// quietPause is the time between two questions about an address that no other machine asks for or claims.
	quietPause = 10 * time.Second
	// rivalMemory is how long a rival that is no longer heard still counts as one. Meanwhile its address is asked for
	// every hurriedPause.
	rivalMemory = 5 * time.Second
	// maxRivals limits the memory that an attacker with many hardware addresses can fill.
	maxRivals = 64
)

// A Rival is another machine that claims one of our addresses.
type Rival struct {
	Address  netip.Addr `json:"address"`
	Hardware string     `json:"hardware"`
	// Neighbours holds the other addresses that the neighbour table has for this hardware address.
	Neighbours []netip.Addr `json:"neighbours,omitempty"`
	// How names the frame of the last claim: ARP request, ARP reply, neighbour advertisement.
	How   string    `json:"how"`
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
}

// An Owner is a machine that answered that it has an address.
type Owner struct {
	Address    netip.Addr
	Hardware   string
	Neighbours []netip.Addr // as in Rival
}

// A Hardware is an Ethernet address.
type Hardware [6]byte

// String returns the address as net.HardwareAddr writes it: 02:00:5e:10:20:30.
func (h Hardware) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", h[0], h[1], h[2], h[3], h[4], h[5])
}

// An Observation is what a received frame says about addresses.
type Observation struct {
	Claimed netip.Addr // by the sender; the zero Addr if it claims none
	Asked   netip.Addr // the address that the sender asks for; the zero Addr if it asks for none
	How     Form
	From    Hardware
	// Announced says that the claim is an announcement to all neighbours, not an answer to one.
	Announced bool
	// Router is the address that a VRRP master advertises from; the zero Addr if the frame is no advertisement.
	Router netip.Addr
}

// Claim returns which machine claims which address. It is meaningful only if the observation has a Claimed address.
func (o Observation) Claim() Claim { return Claim{o.Claimed, o.From} }

// A Claim is an address together with a machine that claims it.
type Claim struct {
	Addr netip.Addr
	From Hardware
}

// A RivalTracker decides which machine is a rival, and when to ask who has an address.
type RivalTracker struct {
	questions map[netip.Addr]*question // by our addresses
	claimants map[Claim]*claimant
	claims    uint64
}

// A question holds since when an address is ours and settled, and when this machine asks who has it.
type question struct{ settled, asked, due time.Time }

// A claimant is a rival, or becomes one if it still claims the address after a while.
type claimant struct {
	Rival
	reported bool
}

// NewRivalTracker returns a RivalTracker without addresses.
func NewRivalTracker() *RivalTracker {
	return &RivalTracker{questions: make(map[netip.Addr]*question), claimants: make(map[Claim]*claimant)}
}

// SetAddresses sets the addresses that are ours. This machine asks for a new address when the takeover has settled. The
// rivals of an address that is no longer ours are forgotten.
func (t *RivalTracker) SetAddresses(now time.Time, addrs []netip.Addr) {
	for addr := range t.questions {
		if !slices.Contains(addrs, addr) {
			delete(t.questions, addr)
		}
	}
	for _, addr := range addrs {
		if t.questions[addr] == nil {
			t.questions[addr] = &question{settled: now.Add(settle), due: now.Add(settle)}
		}
	}
	for c := range t.claimants {
		if t.questions[c.Addr] == nil {
			delete(t.claimants, c)
		}
	}
}

// Concerns reports whether an observation is about one of our addresses.
func (t *RivalTracker) Concerns(o Observation) bool {
	return t.questions[o.Claimed] != nil || t.questions[o.Asked] != nil
}

// Observe handles a frame of another machine.
func (t *RivalTracker) Observe(now time.Time, o Observation) {
	if q := t.questions[o.Asked]; q != nil {
		// A rival answers the machine that asked. To hear a rival too, this machine must ask as well.
		q.hasten(now)
	}
	q := t.questions[o.Claimed]
	if q == nil {
		return
	}
	t.claims++
	if now.Before(q.settled) {
		return
	}
	c := t.claimants[o.Claim()]
	if c == nil {
		if len(t.claimants) >= maxRivals {
			return
		}
		c = &claimant{Rival: Rival{Address: o.Claimed, Hardware: o.From.String(), Since: now}}
		t.claimants[o.Claim()] = c
	}
	c.How, c.Last = o.How.String(), now
	q.hasten(now)
}

// hasten makes this machine ask soon. A new address is asked for when it has settled, not before.
func (q *question) hasten(now time.Time) {
	if now.Before(q.settled) {
		return
	}
	soon := q.asked.Add(hurriedPause)
	if soon.Before(now) {
		soon = now
	}
	if soon.Before(q.due) {
		q.due = soon
	}
}

// Step returns the addresses to ask for now, the claims whose machines have just become rivals, and when to call Step
// next.
func (t *RivalTracker) Step(now time.Time) (ask []netip.Addr, found []Claim, next time.Time) {
	next = now.Add(quietPause)
	earlier := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	claimed := make(map[netip.Addr]bool)
	for id, c := range t.claimants {
		if gone := c.Last.Add(rivalMemory); !gone.After(now) {
			delete(t.claimants, id)
			continue
		}
		claimed[id.Addr] = true
		earlier(c.Last.Add(rivalMemory))
		switch certain := c.Since.Add(settle); {
		case c.reported:
		case certain.After(now):
			earlier(certain)
		default:
			c.reported = true
			found = append(found, id)
		}
	}
	for addr, q := range t.questions {
		if !q.due.After(now) {
			ask = append(ask, addr)
			q.asked, q.due = now, now.Add(quietPause)
			if claimed[addr] {
				q.due = now.Add(hurriedPause)
			}
		}
		earlier(q.due)
	}
	slices.SortFunc(ask, netip.Addr.Compare)
	return ask, found, next
}

// SetNeighbours sets the neighbours of a rival that Step has returned, and returns the rival.
func (t *RivalTracker) SetNeighbours(c Claim, neighbours []netip.Addr) Rival {
	one := t.claimants[c]
	one.Neighbours = neighbours
	return one.Rival
}

// Rivals returns the rivals, ordered by address and hardware address.
func (t *RivalTracker) Rivals() []Rival {
	var all []Rival
	for _, c := range t.claimants {
		if c.reported {
			all = append(all, c.Rival)
		}
	}
	slices.SortFunc(all, func(a, b Rival) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Hardware, b.Hardware))
	})
	return all
}

// TakeClaims returns how many frames claimed our addresses since the last call.
func (t *RivalTracker) TakeClaims() uint64 {
	n := t.claims
	t.claims = 0
	return n
}
