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

// report sends the present state after every change and when the director asks. It passes on each sign of life of the serving
// goroutine. To the director every message is a sign of life: so while the serving goroutine is silent, nothing is sent. If
// the director does not read, only this goroutine waits.
func (p *Process) report(ctx context.Context) {
	out := json.NewEncoder(p.conn)
	alive, untold := time.Now(), false
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-p.lives:
			alive = time.Now()
			if !untold {
				_, err = io.WriteString(p.conn, message.SignOfLife)
			}
		case <-p.tell:
			untold = true
		}
		if untold && time.Since(alive) < maxBeats*p.beatInterval() {
			untold = false
			err = out.Encode(p.snapshot())
		}
		if err != nil {
			return // the reader notices that the director is gone, and acts
		}
	}
}

// maxBeats is how many beat intervals the serving goroutine may be silent before reports wait for its next sign of life.
const maxBeats = 3

// giveSignOfLife asks the reporter to send a sign of life, unless a loop hangs: its router is silent, so the election must be
// replaced. After a stop of the whole process a loop is late once, until it has run.
func (p *Process) giveSignOfLife() {
	name, late := p.latestLoop()
	if late <= hungLoop {
		p.hung = 0
		nudge(p.lives)
		return
	}
	switch p.hung++; p.hung {
	case 1:
		nudge(p.lives)
	case 2:
		p.log.Error("the VRRP loop hangs: no more signs of life", "interface", name, "since", late.Round(time.Millisecond))
	}
}

// latestLoop returns the interface of the loop that is latest.
func (p *Process) latestLoop() (iface string, late time.Duration) {
	for name, u := range p.units {
		if l := u.loop.Hung(); l > late {
			iface, late = name, l
		}
	}
	return iface, late
}

// hungLoop is how late the thread of a loop may be.
const hungLoop = 2 * time.Second

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

// beatInterval is that of the order that was carried out last.
func (p *Process) beatInterval() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beat
}

// snapshot is the present state.
func (p *Process) snapshot() message.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := message.Report{
		Sequence: p.sequence, Problem: p.problem,
		Routers: []vrrp.Status{}, Interfaces: []message.Interface{}, Links: make(map[string]string),
	}
	for name, l := range p.links {
		r.Links[name] = l.Fault()
	}
	for _, u := range p.units {
		r.Routers = append(r.Routers, u.loop.Status()...)
	}
	slices.SortFunc(r.Routers, func(a, b vrrp.Status) int { return strings.Compare(a.Name, b.Name) })
	// While a virtual MAC address changes, an interface has two address units, one after the other.
	interfaces := make(map[string]message.Interface)
	for key, u := range p.addressUnits {
		i := interfaces[key.iface]
		interfaces[key.iface] = message.Interface{
			Name: key.iface, Announce: i.Announce.Add(u.announcer.Stats()), AddressWrites: i.AddressWrites + u.reconciler.Writes(),
			Trouble: cmp.Or(i.Trouble, u.reconciler.Trouble()),
			Rivals:  append(i.Rivals, u.watcher.Rivals()...), Claims: i.Claims + u.watcher.Claims(),
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
