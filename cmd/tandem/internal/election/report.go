// SPDX-License-Identifier: Apache-2.0

package election

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// report sends the present state after every change and when the director asks, and the signs of life that the serving
// goroutine gives. To the director every message is a sign of life: so a report waits while there is none. If the director does
// not read, only this goroutine waits.
func (p *Process) report(ctx context.Context) {
	out := json.NewEncoder(p.pulse)
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-p.lives:
			if !p.pulse.withheld.Load() {
				_, err = io.WriteString(p.pulse, message.SignOfLife)
			}
		case <-p.tell:
			p.pulse.withheld.Store(true)
		}
		if p.pulse.withheld.Load() && p.pulse.fresh() {
			p.pulse.withheld.Store(false)
			err = out.Encode(p.snapshot())
		}
		if err != nil {
			return // the reader notices that the director is gone, and acts
		}
	}
}

// giveSignOfLife sends a sign of life from the serving goroutine. It sends none while a loop hangs: the router of this loop is
// silent, so the election must be replaced.
func (p *Process) giveSignOfLife() {
	if p.pulse.healthy() {
		p.pulse.sign.Store(int64(p.pulse.now()))
		nudge(p.lives)
	}
}

// seeSignsOfLife sends a sign of life from the serving goroutine when one is due and the loops have not sent it.
func (p *Process) seeSignsOfLife() {
	if !p.pulse.beating() {
		p.giveSignOfLife()
		return
	}
	p.life.Reset(time.Hour)
	if !p.pulse.beating() { // the last loop has ended meanwhile
		p.life.Reset(p.pulse.pause())
	}
}

// latestLoop returns the interface of the loop that is latest.
func (p *Process) latestLoop() (iface string, late time.Duration) {
	for name, u := range *p.loops.Load() {
		if l := u.Hung(); l > late {
			iface, late = name, l
		}
	}
	return iface, late
}

// aliveDuring runs f, which may take long, and gives signs of life meanwhile.
func (p *Process) aliveDuring(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for {
		select {
		case <-done:
			return
		case <-p.life.C:
			p.giveSignOfLife()
		}
	}
}

// snapshot returns the present state.
func (p *Process) snapshot() message.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := message.Report{
		Sequence: p.sequence, Problem: p.problem, HandOff: p.listening, Succeeding: p.succeeds,
		Routers: []vrrp.Status{}, Interfaces: []message.Interface{}, Links: make(map[string]string),
	}
	for name, l := range p.links {
		r.Links[name] = l.Fault()
	}
	for _, u := range p.units {
		r.Routers = append(r.Routers, u.loop.Status()...)
	}
	slices.SortFunc(r.Routers, func(a, b vrrp.Status) int { return strings.Compare(a.Name, b.Name) })
	for _, id := range slices.SortedFunc(maps.Keys(p.asked), message.RouterID.Compare) {
		r.Asked = append(r.Asked, p.asked[id])
	}
	// While a virtual MAC address changes, an interface has two address units, one after the other.
	interfaces := make(map[string]message.Interface)
	for key, u := range p.addressUnits {
		i := interfaces[key.iface]
		n, last := u.reconciler.Repairs()
		interfaces[key.iface] = message.Interface{
			Name: key.iface, Announce: i.Announce.Add(u.announcer.Stats()), AddressWrites: i.AddressWrites + u.reconciler.Writes(),
			Trouble: cmp.Or(i.Trouble, u.reconciler.Trouble()),
			Rivals:  append(i.Rivals, u.watcher.Rivals()...), Claims: i.Claims + u.watcher.Claims(),
			Repairs: i.Repairs + n, Repaired: cmp.Or(last, i.Repaired),
		}
	}
	for name, u := range p.units {
		i := interfaces[name]
		i.Name, i.Stray = name, u.loop.Stray()
		interfaces[name] = i
	}
	for _, name := range slices.Sorted(maps.Keys(interfaces)) {
		r.Interfaces = append(r.Interfaces, interfaces[name])
	}
	return r
}
