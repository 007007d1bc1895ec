// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/netip"

	"github.com/tandem-lvs/tandem/vrrp"
)

// seeLink passes on a change that the watcher of links sees.
func (e *election) seeLink(segment int) {
	up := e.host.carrier[segment]
	l := vrrp.Link{Name: [...]string{"eth0", "eth1"}[segment], Index: 2 + segment, Up: true, Carrier: up}
	l.Addrs = []netip.Prefix{netip.PrefixFrom(e.host.addrs[segment], 24)}
	was := e.links[segment]
	e.links[segment] = &l
	for _, r := range e.routers {
		if r.segment == segment {
			e.assess(r)
		}
		e.setPathSources(r)
	}
	if was != nil && !was.Carrier && up {
		e.schedule.Reannounce(e.now, nil)
		e.announce()
	}
	e.settleSoon()
}

// setPathSources tells a router its addresses on the paths of its heartbeat.
func (e *election) setPathSources(r *router) {
	for i, p := range r.Config.Heartbeat {
		if segment := segmentOf(p.Interface); e.links[segment] != nil {
			r.Machine.SetPathSource(i+1, e.host.addrs[segment])
		}
	}
}

// assess tells a router whether it can take part.
func (e *election) assess(r *router) {
	l := e.links[r.segment]
	if l == nil {
		return
	}
	m, hard := r.Machine, l.FaultCause()
	why := hard
	if why.Kind == 0 {
		why = r.tracking.Cause()
	}
	source := e.host.addrs[r.segment]
	switch isHard := hard.Kind != 0; {
	case why.Kind != 0:
		if m.State() != vrrp.Fault || m.Cause() != why || isHard && m.Holding() {
			e.step(r, vrrp.Event{Kind: vrrp.EventFault, Cause: &why, Gentle: !isHard})
		}
	case r.leaving:
	case r.resume && (r.before == 0 || e.monotonic(e.now) < r.before):
		e.step(r, vrrp.Event{Kind: vrrp.EventResume, Source: source})
	case m.State() == vrrp.Initialize || m.State() == vrrp.Fault || m.Leaving() || m.Source() != source:
		e.step(r, vrrp.Event{Kind: vrrp.EventUp, Source: source})
	}
	r.resume = false
}
