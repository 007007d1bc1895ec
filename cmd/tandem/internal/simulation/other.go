// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/netip"
	"time"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// An otherMake is a peer that does not run tandem. It follows RFC 9568 and behaves as keepalived does: it sends several
// announcements at once and again after five seconds, and more when it hears a lower master. If it is killed, its addresses
// stay until it is started again. If it is stopped, it sends priority 0 and removes the addresses at once. It tracks nothing.
type otherMake struct {
	process
	host     *host
	config   vrrp.Config
	priority uint8
	master   bool
	due      time.Time
}

// The announcements of keepalived: garp_master_repeat, and garp_master_delay.
const (
	bunch      = 5
	laterBunch = 5 * time.Second
)

// startOther starts the peer's process.
func (h *host) startOther() {
	if !h.powered || h.peer != nil {
		return
	}
	if h.paused {
		h.after(100*time.Millisecond, h.startOther)
		return
	}
	o := &otherMake{
		process: process{world: h.world, alive: true, since: h.now},
		host:    h, config: h.cfg.Routers[0].Config, priority: h.cfg.Routers[0].Priority,
	}
	h.peer = o
	h.say(h.name, "another make's director starts")
	o.later(h.between(50*time.Millisecond, 300*time.Millisecond), func() {
		o.drop()
		o.fillTable()
		o.wait(o.down())
	})
}

func (o *otherMake) down() time.Duration {
	return vrrp.DownAdverts*o.config.AdvertInterval + o.skew()
}

func (o *otherMake) skew() time.Duration { return vrrp.Skew(o.priority, o.config.AdvertInterval) }

// wait sets the one timer.
func (o *otherMake) wait(d time.Duration) {
	at := o.now.Add(d)
	o.due = at
	o.later(d, func() {
		if o.due.Equal(at) {
			o.timer()
		}
	})
}

func (o *otherMake) timer() {
	if !o.host.carrier[outside] {
		o.drop()
		o.wait(o.down())
		return
	}
	o.advertise(o.priority)
	o.wait(o.config.AdvertInterval)
	if o.master {
		return
	}
	o.master = true
	o.say(o.host.name, "is master, of another make")
	o.later(o.between(100*time.Microsecond, 3*time.Millisecond), func() {
		if o.master {
			o.host.setAddress(vip, true)
			o.announce()
		}
	})
	o.later(laterBunch, o.announce)
}

// drop ends the role of master.
func (o *otherMake) drop() {
	o.master = false
	o.host.setAddress(vip, false)
}

func (o *otherMake) announce() {
	for i := range bunch {
		o.later(time.Duration(i)*time.Millisecond, func() {
			if o.master {
				o.broadcast(outside, o.host, announcement(vip, garp.Request, hardware(o.host)))
			}
		})
	}
}

func (o *otherMake) advertise(priority uint8) {
	p := vrrp.Packet{Version: 3, VRID: o.config.VRID, Priority: priority, Interval: o.config.AdvertInterval, Checksum: vrrp.ChecksumPseudoHeader}
	p.VIPs = []netip.Addr{vip}
	h := vrrp.Header{Source: o.host.addrs[outside], Destination: vrrp.Group4, TTL: vrrp.TTL}
	o.host.sendDatagram(datagram{h, p.AppendTo(nil, h.Source, h.Destination), outside})
}

// hear handles an advertisement.
func (o *otherMake) hear(d datagram) {
	var p vrrp.Packet
	if p.Parse(d.message, d.header.Source, d.header.Destination) != 0 {
		return
	}
	higher := p.Priority > o.priority || p.Priority == o.priority && o.host.addrs[outside].Less(d.header.Source)
	switch {
	case o.master && p.Priority == 0:
		o.advertise(o.priority)
	case o.master && higher:
		o.say(o.host.name, "is backup, of another make")
		o.drop()
		o.wait(o.down())
	case o.master:
		o.advertise(o.priority)
		o.announce()
	case p.Priority == 0:
		o.wait(o.skew())
	case higher || !o.config.Preempt:
		o.wait(vrrp.DownAdverts*p.Interval + o.skew())
	}
}

// fillTable puts the real servers that answer into the table.
func (o *otherMake) fillTable() {
	h := o.host
	e := lvs.Entry{Service: h.cfg.Services[0].Virtuals[0]}
	for _, s := range h.servers {
		if s.is == serving && o.passes(h.serverSide, h.node, s.node) && o.passes(h.serverSide, s.node, h.node) {
			e.Servers = append(e.Servers, lvs.Server{ServerID: lvs.ServerID{Addr: s.addr, Port: 80}, Method: lvs.DR, Weight: 1})
		}
	}
	if sorry := h.cfg.Services[0].Sorry; len(e.Servers) == 0 && sorry != nil {
		last := sorry.In(e.Service)
		last.Weight = 1
		e.Servers = []lvs.Server{last}
	}
	if !h.kernel.refuses {
		h.kernel.table[www] = e
	}
	o.later(checkInterval, o.fillTable)
}

// dies ends the process; its addresses stay. systemd starts it again.
func (o *otherMake) dies() {
	o.say(o.host.name, "another make's director is gone")
	o.alive, o.host.peer = false, nil
	o.world.after(restartPause, o.host.startOther)
}

// leaves is a clean stop.
func (o *otherMake) leaves() {
	if o.master {
		o.advertise(vrrp.PriorityLeaving)
	}
	o.drop()
	o.dies()
}

// hardware returns the Ethernet address of a host.
func hardware(h *host) garp.Hardware { return garp.Hardware{5: byte(1 + h.node)} }
