// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// How the client of the measurement asks, and how long it is served before an outage counts as over.
const (
	askEvery = 10 * time.Millisecond
	steady   = 100             // questions
	lasts    = 8 * time.Second // how long a fault lasts beyond the bound: until the broken director's checks have failed
)

// A Result is what a client saw of a fault of the master: the longest time without a new connection.
type Result struct {
	Topology, Fault string
	Bound           time.Duration
	Outage, Back    lab.Outage // when the master fails, and when the same machine is master again
}

// Measure breaks the master, waits until the client is served again, mends the machine and waits until it is master again.
func (n *Network) Measure(f Fault) Result {
	n.t.Helper()
	r := Result{Topology: n.Name, Fault: f.Name, Bound: n.bound(f)}
	r.Outage = n.watch(r.Bound+lasts, func() { f.Break(n.A) })
	r.Back = n.watch(n.TakeOver(), func() {
		f.Mend(n.A)
		n.AwaitPair()
	})
	return r
}

// bound is how long clients may go without a new connection. A fault that no director hears of is found by the silence of the
// network: for 4 to 8 s no other machine answers. The advertisements say so from then on, and the other director preempts when the
// timer ends that it set at the last one before (RFC 9568, section 6.4.2).
func (n *Network) bound(f Fault) time.Duration {
	const silence = 8 * time.Second
	if f.Silent {
		return silence + n.TakeOver()
	}
	return n.TakeOver()
}

// watch has the client ask for new connections while something happens, until least has passed since and the client is served.
func (n *Network) watch(least time.Duration, happen func()) lab.Outage {
	n.t.Helper()
	p := n.Client.ProbeTCP(n.source, n.VIP, askEvery)
	served := func() error {
		if got := p.Answered(steady); got < steady-2 {
			return fmt.Errorf("%d of the last %d questions answered", got, steady)
		}
		return nil
	}
	n.Eventually(20*time.Second, "the client is served", func() error {
		if p.Outage().Sent < steady {
			return fmt.Errorf("%d questions", p.Outage().Sent)
		}
		return served()
	})
	began := time.Now()
	happen()
	n.Eventually(least+40*time.Second, "the client is served again", func() error {
		if time.Since(began) < least {
			return fmt.Errorf("too early to say")
		}
		return served()
	})
	return p.Stop()
}
