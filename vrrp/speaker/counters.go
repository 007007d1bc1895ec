// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// counters are Counters that one thread changes and any thread may read.
type counters struct {
	sent, received, zeroSent, zeroReceived, sendErrors, becameMaster, withheld atomic.Uint64

	lateness   [len(vrrp.LatenessBounds) + 1]atomic.Uint64
	latePowers [len(vrrp.Powers{})]atomic.Uint64
	late       atomic.Int64
	longestGap atomic.Int64

	takeovers      [len(vrrp.TakeoverBounds) + 1]atomic.Uint64
	takeoverPowers [len(vrrp.Powers{})]atomic.Uint64
	takeoverTime   atomic.Int64

	drops dropCounters
}

func (c *counters) snapshot() vrrp.Counters {
	s := vrrp.Counters{
		AdvertsSent: c.sent.Load(), AdvertsReceived: c.received.Load(),
		PriorityZeroSent: c.zeroSent.Load(), PriorityZeroReceived: c.zeroReceived.Load(),
		SendErrors: c.sendErrors.Load(), BecameMaster: c.becameMaster.Load(), AnswersWithheld: c.withheld.Load(),
		Lateness:   vrrp.Lateness{Sum: time.Duration(c.late.Load())},
		Takeovers:  vrrp.Takeovers{Sum: time.Duration(c.takeoverTime.Load())},
		LongestGap: time.Duration(c.longestGap.Load()),
		Drops:      c.drops.snapshot(),
	}
	// The finer classes come last, and are counted first: they have at least what the others have.
	load(s.Lateness.Counts[:], c.lateness[:])
	load(s.Lateness.Powers[:], c.latePowers[:])
	load(s.Takeovers.Counts[:], c.takeovers[:])
	load(s.Takeovers.Powers[:], c.takeoverPowers[:])
	return s
}

func load(to []uint64, from []atomic.Uint64) {
	for i := range from {
		to[i] = from[i].Load()
	}
}

type dropCounters [len(vrrp.Drops{})]atomic.Uint64

func (c *dropCounters) snapshot() (s vrrp.Drops) {
	for i := range c {
		s[i] = c[i].Load()
	}
	return s
}
