// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"sync/atomic"
	"time"
)

// Counters are the events of one virtual router since it was configured.
type Counters struct {
	// AdvertsSent and AdvertsReceived include those of priority 0; dropped packets are not received ones.
	AdvertsSent          uint64 `json:"adverts_sent"`
	AdvertsReceived      uint64 `json:"adverts_received"`
	PriorityZeroSent     uint64 `json:"priority_zero_sent"`
	PriorityZeroReceived uint64 `json:"priority_zero_received"`
	SendErrors           uint64 `json:"send_errors"`
	// BecameMaster counts the transitions to master.
	BecameMaster uint64 `json:"became_master"`
	// Lateness is that of the advertisements of a master at its interval.
	Lateness Lateness `json:"lateness"`
	// LongestGap is the longest time between two advertisements of a master.
	LongestGap time.Duration `json:"longest_gap"`
	// Drops counts the packets of this VRID that were discarded.
	Drops Drops `json:"drops"`
}

// counters are Counters that one thread advances and any may read.
type counters struct {
	sent, received, zeroSent, zeroReceived, sendErrors, becameMaster atomic.Uint64

	lateness   [len(LatenessBounds) + 1]atomic.Uint64
	late       atomic.Int64
	longestGap atomic.Int64

	drops dropCounters
}

func (c *counters) snapshot() Counters {
	s := Counters{
		AdvertsSent: c.sent.Load(), AdvertsReceived: c.received.Load(),
		PriorityZeroSent: c.zeroSent.Load(), PriorityZeroReceived: c.zeroReceived.Load(),
		SendErrors: c.sendErrors.Load(), BecameMaster: c.becameMaster.Load(),
		Lateness:   Lateness{Sum: time.Duration(c.late.Load())},
		LongestGap: time.Duration(c.longestGap.Load()),
		Drops:      c.drops.snapshot(),
	}
	for i := range c.lateness {
		s.Lateness.Counts[i] = c.lateness[i].Load()
	}
	return s
}

type dropCounters [drops]atomic.Uint64

func (c *dropCounters) snapshot() (s Drops) {
	for i := range c {
		s[i] = c[i].Load()
	}
	return s
}
