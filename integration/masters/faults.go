// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/tandem-lvs/tandem/integration/lab"

// cross is the switch of the second path.
const cross = "cross"

// A cut is one part of a fault. The carrier stays, so no director sees it by its interface.
type cut struct{ begin, end func(lab.Duo) }

var (
	deafA    = cut{func(d lab.Duo) { d.A.HoldMulticast() }, func(d lab.Duo) { d.A.PassMulticast() }}
	deafB    = cut{func(d lab.Duo) { d.B.HoldMulticast() }, func(d lab.Duo) { d.B.PassMulticast() }}
	awayA    = cut{func(d lab.Duo) { d.A.Isolate() }, func(d lab.Duo) { d.A.Rejoin() }}
	awayB    = cut{func(d lab.Duo) { d.B.Isolate() }, func(d lab.Duo) { d.B.Rejoin() }}
	crossCut = cut{func(d lab.Duo) { d.B.IsolateAt(cross) }, func(d lab.Duo) { d.B.RejoinAt(cross) }}
)

// A fault is a way in which the network between two directors breaks. The client and the witness are one machine of the LAN.
type fault struct {
	name   string
	cuts   []cut
	silent string // the path on which director-b hears nothing; empty: it hears all
	both   bool   // the LAN and the second path are cut
	awayA  bool   // director-a reaches neither the witness nor the client
	awayB  bool   // director-b reaches neither
	second bool   // it needs a second path
}

var faults = []fault{
	{name: "the second path is cut", cuts: []cut{crossCut}, silent: "eth1", second: true},
	{name: "the LAN loses all advertisements", cuts: []cut{deafA, deafB}, silent: "eth0"},
	{name: "the LAN loses those from A to B", cuts: []cut{deafB}, silent: "eth0"},
	{name: "the LAN loses those from B to A", cuts: []cut{deafA}},
	{name: "the LAN loses all, and the second path is cut", cuts: []cut{deafA, deafB, crossCut}, both: true, second: true},
	{name: "the LAN cuts the backup off", cuts: []cut{awayB}, silent: "eth0", awayB: true},
	{name: "the LAN cuts the backup off, and the second path is cut", cuts: []cut{awayB, crossCut}, both: true, awayB: true, second: true},
	{name: "the LAN cuts the master off", cuts: []cut{awayA}, silent: "eth0", awayA: true},
	{name: "the LAN cuts the master off, and the second path is cut", cuts: []cut{awayA, crossCut}, both: true, awayA: true, second: true},
}

// A protection is what a pair has against two masters.
type protection struct{ heartbeat, witness bool }

func (p protection) String() string {
	switch p {
	case protection{heartbeat: true}:
		return "heartbeat"
	case protection{witness: true}:
		return "witness"
	case protection{true, true}:
		return "heartbeat, witness"
	}
	return "none"
}

// A row is a fault of a pair.
type row struct {
	fault
	protection
	keepalived bool
}

func (r row) daemon() string {
	if r.keepalived {
		return "keepalived"
	}
	return "tandem"
}

func (r row) String() string { return r.name + ": " + r.protection.String() + ": " + r.daemon() }

// rows are all that make sense. keepalived has neither a second path nor a witness.
func rows() (all []row) {
	for _, f := range faults {
		for _, p := range []protection{{}, {heartbeat: true}, {witness: true}, {true, true}} {
			if f.second && !p.heartbeat {
				continue
			}
			all = append(all, row{f, p, false})
			if p == (protection{}) {
				all = append(all, row{f, p, true})
			}
		}
	}
	return all
}
