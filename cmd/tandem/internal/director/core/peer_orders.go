// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// The latest order about a real server is in force on both directors. Each order has a number: the time in milliseconds when it
// was given, or one more than the largest number of an order about this server that the director has seen, if that is larger. The
// order with the larger number is the later one; of two equal numbers, it is that of the director whose name comes later. So an
// order that an operator gives in the knowledge of another one always counts as the later one, whatever the clocks say; of two that
// were given on both sides while the channel was lost, the clocks decide. An order that undoes another one is kept with its number,
// so that the other one does not come back from the other director.

// A PeerReply says whether a command is in force on the other director.
type PeerReply struct {
	Name    string // of the other director
	Problem string // why it is not known to be in force there; empty: it is
}

// nextNumber returns the number of a new order about a server.
func (s *State) nextNumber(id string) uint64 {
	n := max(s.overrides[id].Number, s.peer.orders[id].Number) + 1
	return min(message.MaxNumber, max(n, uint64(max(0, s.now.UnixMilli()))))
}

// supersedes reports whether an order of the other director is later than ours.
func supersedes(theirs message.Order, ours Override) bool {
	if theirs.Number != ours.Number {
		return theirs.Number > ours.Number
	}
	return theirs.By > ours.By
}

// mergeOrders takes over the later orders of the other director.
func (s *State) mergeOrders() {
	p := &s.peer
	if p.view == nil {
		return
	}
	var all map[string]Override
	unknown := make(map[string]uint64)
	for _, o := range p.view.Orders {
		at, known := p.servers[o.Server]
		was := s.overrides[o.Server]
		if all != nil {
			was = all[o.Server]
		}
		if !known && o.Unknown == "" {
			unknown[o.Server] = o.Number
			p.urgent = p.urgent || o.Number > p.unknown[o.Server] // who gave the order waits for an answer
		}
		if o.Local || o.Unknown != "" || o.Number == 0 || !known || !supersedes(o, was) {
			continue
		}
		if all == nil {
			if all = maps.Clone(s.overrides); all == nil {
				all = make(map[string]Override)
			}
		}
		now := Override{Drained: o.Drained, Disabled: o.Disabled, Weight: o.Weight, Number: o.Number, By: o.By}
		all[o.Server] = now
		p.owes = true
		if was.same(now) {
			continue
		}
		if was.keepsAway() && !now.keepsAway() {
			s.release(at.server)
		}
		what, by := now.words(at.server.Weight), o.By
		s.log(Info, "ordered on the other director", "server", o.Server, "order", what, "director", by)
		s.recordServer(api.EventOrder, o.Server, "is "+what, "an operator ordered it on "+by)
		s.touchServer(at)
	}
	p.unknown = unknown
	if all != nil {
		s.overrides = all
		s.store(OverridesFile, all)
	}
}

// same reports whether two overrides have the same effect.
func (o Override) same(other Override) bool {
	weights := o.Weight == nil && other.Weight == nil || o.Weight != nil && other.Weight != nil && *o.Weight == *other.Weight
	return o.Drained == other.Drained && o.Disabled == other.Disabled && weights
}

// words returns the override in words, also if nothing is ordered.
func (o Override) words(configured int) string {
	if note := o.Note(configured); note != "" {
		return note
	}
	return "as configured"
}

// overrideOf returns an order of the other director as our own would be.
func overrideOf(o message.Order) Override {
	return Override{Drained: o.Drained, Disabled: o.Disabled, Weight: o.Weight, Number: o.Number, By: o.By, Local: o.Local}
}

// peerOrders are the orders for the other director: ours, and those of it that this director cannot carry out.
func (s *State) peerOrders() (all []message.Order, left int) {
	for _, id := range slices.Sorted(maps.Keys(s.overrides)) {
		o := s.overrides[id]
		all = append(all, message.Order{
			Server: id, Drained: o.Drained, Disabled: o.Disabled, Weight: o.Weight, Number: o.Number, By: o.By, Local: o.Local,
		})
	}
	for _, id := range slices.Sorted(maps.Keys(s.peer.orders)) {
		if o := s.peer.orders[id]; s.peer.servers[id].server == nil && o.Unknown == "" {
			o.Unknown = s.cfg.Name + " has no such server"
			all = append(all, o)
		}
	}
	if left = len(all) - message.MaxOrders; left > 0 {
		return all[:message.MaxOrders], left
	}
	return all, 0
}

// peerReply says whether the other director has carried out an order. If that is still open, done is false.
func (s *State) peerReply(w *waitingReply) (is PeerReply, done bool) {
	p := &s.peer
	is.Name = s.peerName()
	if theirs, has := p.orders[w.Server]; has && p.channel.From.Up && theirs.Number >= w.number {
		switch {
		case theirs.Unknown != "":
			is.Problem = theirs.Unknown
			return is, true
		case theirs.Local:
			is.Problem = "an order with --local is in force there"
			return is, true
		case !p.view.Behind:
			return is, true
		}
	}
	if since, why := p.lost(); why != "" {
		is.Problem = fmt.Sprintf("the channel is lost since %s: %s; the order is sent when it is back", since.UTC().Format(time.TimeOnly+"Z"), why)
		return is, true
	}
	if s.now.Sub(w.since) < peerAnswer {
		return is, false
	}
	is.Problem = fmt.Sprintf("it has not confirmed the order within %s; it is sent again", peerAnswer)
	if p.view != nil && p.view.Trouble != "" {
		is.Problem = "its IPVS table is not in line: " + p.view.Trouble
	}
	return is, true
}

// OrderComing is the Why of a difference that ends by itself.
const OrderComing = "the later order is on its way"

// An OrderDifference is a real server about which the directors have different orders.
type OrderDifference struct {
	Server, Here, There, Why string
	Meant                    bool // by --local
}

// orderDifferences compares our orders with those of the other director's latest view.
func (s *State) orderDifferences() (all []OrderDifference) {
	p := &s.peer
	if p.view == nil {
		return nil
	}
	ids := slices.Collect(maps.Keys(s.overrides))
	for id := range p.orders {
		if _, ours := s.overrides[id]; !ours {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	name := s.peerName()
	for _, id := range ids {
		ours, told := s.overrides[id], p.orders[id]
		theirs := overrideOf(told)
		if told.Unknown != "" {
			theirs = Override{}
		}
		if ours.same(theirs) {
			continue
		}
		weight := 0
		if at, ok := p.servers[id]; ok {
			weight = at.server.Weight
		}
		d := OrderDifference{Server: id, Here: ours.words(weight), There: theirs.words(weight)}
		switch {
		case ours.Local, theirs.Local:
			d.Why, d.Meant = "--local on "+s.cfg.Name, true
			if !ours.Local {
				d.Why = "--local on " + name
			}
		case told.Unknown != "":
			d.Why = told.Unknown
		case p.servers[id].server == nil:
			d.Why = s.cfg.Name + " has no such server"
		case ours.Number == 0 && theirs.Number == 0:
			d.Why = "ordered before the directors had a channel: order it again"
		case !p.both():
			d.Why = "the channel is lost: the later order is sent when it is back"
		default:
			d.Why = OrderComing
		}
		all = append(all, d)
	}
	return all
}
