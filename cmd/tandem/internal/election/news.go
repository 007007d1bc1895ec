// SPDX-License-Identifier: Apache-2.0

package election

import (
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// seeState takes a loop's report. It runs on the loop's thread and does not block.
func (p *Process) seeState(s vrrp.Status) {
	p.newsMu.Lock()
	p.news[message.IDOfStatus(s)] = s
	p.newsMu.Unlock()
	nudge(p.wake)
}

// seeLink passes on a report of the watcher. It runs on the watcher's goroutine.
func (p *Process) seeLink(l vrrp.Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.links[l.Name]
	p.links[l.Name] = l
	if u := p.units[l.Name]; u != nil {
		u.loop.SetLink(l)
	}
	for _, u := range p.units {
		if u.paths[l.Name] {
			u.loop.SetPathLink(l)
		}
	}
	for key, u := range p.addressUnits {
		u.reconciler.Link(l) // the reconciler knows whether the link concerns it
		if key.iface == l.Name {
			u.watcher.LinkChanged()
		}
		if key.link() == l.Name {
			u.linkChanged(before, l)
		}
	}
	nudge(p.wake)
}
