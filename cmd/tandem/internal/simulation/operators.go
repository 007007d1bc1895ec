// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/netip"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// operate runs an operator's action.
func (w *world) operate(h *host, f Fault) {
	d := h.director
	if d == nil {
		return
	}
	switch f.Kind {
	case Drain:
		server := w.servers[int(f.Amount*float64(len(w.servers)))%len(w.servers)].addr
		h.order(api.Drain, server)
		w.after(f.For, func() { h.order(api.Undrain, server) })
	case Failover:
		d.ask("failover", func(r core.Request) core.Event { return core.Failover{Request: r} }, w.watch.asks(h, ""))
		w.after(f.For, h.release)
	case Reload:
		c := change{raised: f.Amount < 0.3, removed: f.Amount > 0.6, weight: 1 + int(f.Amount*10)%4}
		h.cfg = w.watch.scenario.config(h.node, c)
		clear(w.watch.remembered[h.node]) // orders about servers that are not in the file are forgotten, and so are they here
		w.reload(h)
		w.after(f.For, func() {
			h.cfg = w.watch.scenario.config(h.node, change{})
			w.reload(h)
		})
	}
}

// order gives a command about a real server.
func (h *host) order(action api.Action, server netip.Addr) {
	d := h.director
	if d == nil {
		return
	}
	id := netip.AddrPortFrom(server, 80).String()
	noted := h.watch.asks(h, id)
	if action != api.Drain {
		noted = nil
	}
	d.ask(string(action)+" "+id, func(r core.Request) core.Event {
		return core.ServerOrder{Request: r, Server: "www/" + id, Action: action}
	}, noted)
}

// release ends the standby of all virtual routers.
func (h *host) release() {
	if d := h.director; d != nil {
		h.watch.asks(h, "")
		d.ask("release", func(r core.Request) core.Event { return core.Release{Request: r} }, nil)
	}
}

func (w *world) reload(h *host) {
	if d := h.director; d != nil {
		cfg := h.cfg
		d.ask("reload", func(r core.Request) core.Event { return core.Reload{Request: r, Config: cfg} }, nil)
	}
}

// giveBack undoes the orders of operators as soon as a director listens.
func (h *host) giveBack() {
	d := h.director
	if h.other {
		return
	}
	if d == nil || !d.ready || d.child == nil {
		h.after(time.Second, h.giveBack)
		return
	}
	h.release()
	for _, s := range h.servers {
		h.order(api.Undrain, s.addr)
	}
}
