// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

func (p *transcript) send(a *party, priority uint8) {
	a.Packet.Priority = priority
	if a.lost > 0 {
		a.lost--
		return
	}
	a.Sign(p.now)
	for path := range a.Config.pathCount() {
		p.sendBy(a, path)
	}
}

// sendBy sends an advertisement by one path.
func (p *transcript) sendBy(a *party, path int) {
	w := a.ways[path]
	message := a.Packet.AppendTo(nil, p.on(a, path), Group4)
	if a.deaf || w.cut {
		return
	}
	a.sent = append(a.sent, message)
	_, channel, dotted := strings.Cut(a.name, ".")
	for _, b := range p.parties {
		_, other, _ := strings.Cut(b.name, ".")
		if b != a && b.deafTo != a && (!dotted || channel == other) && path < b.Config.pathCount() && !b.ways[path].cut && !b.ways[path].deaf {
			p.onTheWay = append(p.onTheWay, delivery{p.now.Add(time.Millisecond + w.delay), a, b, message, path})
		}
	}
}

// A way is how a party is connected on a path.
type way struct {
	cut, deaf bool
	delay     time.Duration // of what it sends
}

// setWay changes how a party is connected: "1 cut", "0 deaf", "1 late 20ms", "1 good".
func (p *transcript) setWay(a *party, args string) {
	f := strings.Fields(args)
	w := &a.ways[p.number(f[0])]
	switch f[1] {
	case "cut":
		w.cut = true
	case "deaf":
		w.deaf = true
	case "late":
		w.delay = p.duration(f[2])
	case "good":
		*w = way{}
	default:
		p.t.Fatalf("unknown way %q", args)
	}
}

// on returns the address of a party on a path. On the paths of a heartbeat the addresses are in the other order.
func (p *transcript) on(a *party, path int) netip.Addr {
	if path == 0 {
		return a.addr
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(path), 100 - a.addr.As4()[3]})
}

func (p *transcript) describePaths(a *party) {
	for i := range a.Config.pathCount() {
		state, since, from := a.Machine.PathStatus(i)
		p.line(a, "path %s is %s since %s, from %s", a.Config.PathName(i), state, since.Sub(epoch).Round(time.Millisecond), from)
	}
}

// announce sends the announcement of the VIPs of a party that has just become master, or announces them again.
func (p *transcript) announce(a *party) {
	_, name, _ := strings.Cut(a.name, ".")
	if len(a.Config.VIPs) == 0 {
		return
	}
	for _, b := range p.parties {
		if _, theirs, _ := strings.Cut(b.name, "."); b != a && !a.deaf && b.deafTo != a && theirs == name {
			p.onTheWay = append(p.onTheWay, delivery{at: p.now.Add(a.slow + time.Millisecond), from: a, to: b})
		}
	}
}

// deliver passes an advertisement to a party, as a Loop does.
func (p *transcript) deliver(l delivery) {
	if l.message == nil {
		if l.to.Machine.Successor().IsValid() && l.from.Machine.State() == Master {
			p.step(l.to, Event{Kind: EventAnnounced})
		}
		return
	}
	a, h := l.to, Header{Source: p.on(l.from, l.path), Destination: Group4, TTL: TTL, Path: uint8(l.path)}
	was, warnings := a.Machine.State(), len(a.Warnings())
	heard, contested := a.RivalHeard(), a.Contested()
	defer func() {
		if a.Contested() != contested {
			p.line(a, "is contested")
		}
		if a.RivalHeard() != heard {
			p.line(a, "announces its addresses again: another master was heard")
			p.announce(a)
		}
	}()
	if d := a.Examine(p.now, h, l.message, &a.heard); d != 0 {
		a.dropped[d]++
		a.DiagnoseDrop(p.now, h, l.message, &a.heard, d)
		if len(a.Warnings()) != warnings {
			p.line(a, "drops an advertisement from %s: %s", h.Source, d)
		}
		return
	}
	p.step(a, Event{Kind: EventAdvert, Path: h.Path, Source: h.Source, Priority: a.heard.Priority, Interval: a.heard.Interval})
	a.DiagnoseAdvert(p.now, h, &a.heard, was == Master && a.Machine.State() == Master)
}

// diagnose lets a party report what it has heard of other masters.
func (p *transcript) diagnose(a *party) {
	before, heard := a.TwoMasters(), a.RivalHeard()
	a.AdvanceDiagnosis(p.now)
	if now := a.TwoMasters(); now.Last != before.Last {
		p.line(a, "was not the only master: %s was heard for %s, %d times in all", now.Last.Peer, now.Last.Length, now.Count)
	}
	if a.RivalHeard() != heard {
		p.line(a, "announces its addresses again: another master was heard")
		p.announce(a)
	}
}

func (p *transcript) thaw(a *party) {
	a.asleep = false
	onTheWay := p.onTheWay
	p.onTheWay = nil
	for _, l := range onTheWay {
		if l.to == a && !l.at.After(p.now) {
			p.deliver(l)
		} else {
			p.onTheWay = append(p.onTheWay, l)
		}
	}
}

// run lets time pass.
func (p *transcript) run(until time.Time) {
	for {
		at, do := until, func() {}
		for _, a := range p.parties {
			if due := a.Machine.Deadline(); !a.asleep && !due.IsZero() && due.Before(at) {
				at, do = due, func() { p.step(a, Event{Kind: EventTimer}) }
			}
			if due := a.DiagnosisDue(); !a.asleep && !due.IsZero() && due.Before(at) {
				at, do = due, func() { p.diagnose(a) }
			}
		}
		found := false
		for i, l := range p.onTheWay {
			if l.to.asleep || l.at.After(at) || found && !l.at.Before(at) {
				continue
			}
			found = true
			at, do = l.at, func() {
				p.onTheWay = slices.Delete(p.onTheWay, i, i+1)
				if !l.to.deaf && !l.from.deaf {
					p.deliver(l)
				}
			}
		}
		if !at.Before(until) {
			p.now = until
			return
		}
		p.now = later(p.now, at)
		do()
	}
}
