// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs/kernel"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

const (
	// trafficInterval is the pause between two looks at clients' connections. emptyInterval is the pause while there are none.
	trafficInterval = time.Second
	emptyInterval   = 2 * time.Second
	// trafficPause is the pause after a look as a multiple of its processor time. So the looks, and what is done with them, take
	// at most 1 % of a core. A look is bounded too: if a single one takes longer, the virtual machine lacked a processor. So a
	// pause is at most maxTrafficPause at first, and what is left of it is added to the next ones. Once maxTrafficDebt is left,
	// the pauses grow, up to longestTrafficPause.
	trafficPause        = 150
	maxTrafficPause     = 2 * time.Second
	maxTrafficDebt      = 30 * time.Second
	longestTrafficPause = time.Minute
	// ownInterval is how long the machine's own addresses are valid.
	ownInterval = 30 * time.Second
)

// Traffic reads the clients' connections in the kernel's table, and posts which of the new ones the servers answer.
type Traffic struct {
	// Look returns connections, whether these are all, and the processor time of the look. The next Look overwrites them.
	Look func() (look []traffic.Connection, whole bool, cost time.Duration, err error)
	Log  hclog.Logger
	Post Post
	In   Mailbox[bool]

	sampler traffic.Sampler
	own     map[netip.Addr]bool
	ownAt   time.Time
	failed  bool
	debt    trafficDebt
}

// Run reads the connections at an interval until ctx ends, while the director asks for it.
func (w *Traffic) Run(ctx context.Context) error {
	var tick <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case watch := <-w.In:
			tick = nil
			if w.sampler = (traffic.Sampler{}); watch {
				tick = time.After(0)
			}
		case <-tick:
			tick = time.After(w.look())
		}
	}
}

// look reads the connections once, and returns the pause until the next look.
func (w *Traffic) look() time.Duration {
	look, whole, cost, err := w.Look()
	if errors.Is(err, kernel.ErrAbsent) {
		return w.debt.pause(cost, emptyInterval) // it is loaded with the first service
	}
	if err != nil {
		if !w.failed {
			w.Log.Warn("failed to look at clients' connections: a real server that does not answer clients is not found", "error", err)
		}
		w.failed = true
		return w.debt.pause(cost, ownInterval)
	}
	w.failed = false
	all := w.sampler.See(time.Now(), w.clients(look), whole)
	if len(all) > 0 {
		w.Post(core.Traffic{Outcomes: all})
	}
	if len(look) == 0 {
		return w.debt.pause(cost, emptyInterval)
	}
	return w.debt.pause(cost, trafficInterval)
}

// A trafficDebt is the part of the pauses that the looks so far were too short of.
type trafficDebt time.Duration

// pause returns the pause after a look of a cost, at least that long.
func (d *trafficDebt) pause(cost, least time.Duration) time.Duration {
	debt := min(time.Duration(*d)+trafficPause*cost, maxTrafficDebt+longestTrafficPause)
	pause := max(least, min(debt, maxTrafficPause), debt-maxTrafficDebt)
	*d = trafficDebt(max(0, debt-pause))
	return pause
}

// clients returns the connections without those of this machine, which are probes through the VIP.
func (w *Traffic) clients(look []traffic.Connection) []traffic.Connection {
	if now := time.Now(); len(look) > 0 && now.Sub(w.ownAt) > ownInterval {
		w.ownAt = now
		if addrs, err := net.InterfaceAddrs(); err == nil {
			w.own = make(map[netip.Addr]bool, len(addrs))
			for _, a := range addrs {
				if p, err := netip.ParsePrefix(a.String()); err == nil {
					w.own[p.Addr()] = true
				}
			}
		}
	}
	kept := look[:0]
	for _, c := range look {
		if !w.own[c.Client.Addr()] {
			kept = append(kept, c)
		}
	}
	return kept
}
