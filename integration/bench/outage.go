// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A fault is an event that makes the master fail.
type fault struct {
	name string
	do   func(p *pair)
	ours bool // only tandem knows it
	cut  bool // nobody can be answered by the master any more
}

var faults = []fault{
	{name: "graceful stop (SIGTERM)", do: func(p *pair) { p.terminate() }},
	{name: "hand-over on command", do: func(p *pair) {
		p.a.Run(p.a.Program(), "failover", "--socket", p.a.Socket)
	}, ours: true},
	{name: "SIGKILL, and the cable cut", do: func(p *pair) {
		// If the first process is killed while the second one runs, the second can still send a last advertisement.
		p.signal(p.a, syscall.SIGSTOP)
		p.signal(p.a, syscall.SIGKILL)
		p.a.Cut()
	}, cut: true},
	{name: "cable cut", do: func(p *pair) { p.a.Cut() }, cut: true},
	{name: "SIGSTOP, then SIGCONT", do: func(p *pair) {
		p.signal(p.a, syscall.SIGSTOP)
		p.pause(p.masterDown() + settling)
		p.signal(p.a, syscall.SIGCONT)
		// The director that woke preempts its successor after as long again.
		p.pause(p.masterDown() + settling)
	}},
}

// settling is the time that a new master gets for its first steps.
const settling = 200 * time.Millisecond

// terminate asks the subject's first process, whose children it leads, to stop.
func (p *pair) terminate() {
	pids := p.a.Pids()
	first := pids[0]
	for _, pid := range pids {
		first = min(first, pid)
	}
	_ = syscall.Kill(first, syscall.SIGTERM)
}

// measureOutages measures the outage that a client sees when the master fails.
func measureOutages(b *bench) {
	for _, advert := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond} {
		for _, f := range faults {
			for _, s := range b.subjects(tandem, keepalived) {
				if f.ours && !s.isTandem() {
					continue
				}
				what := fmt.Sprintf("adverts every %s: %s", advert, f.name)
				b.measure(what, s.name, func(t *lab.Attempt) {
					o := outage(newPair(t, s, network{advert: advert, routers: 1}), f)
					note := fmt.Sprintf("the client's own longest pause %.1f ms, %d of %d questions unanswered",
						o.Gap.Seconds()*1000, o.Lost, o.Sent)
					b.report(what, s.name, o.Longest.Seconds()*1000, "ms", note)
				})
			}
		}
	}
}

// outage causes a fault while a client asks, and waits until the VIP has been served again for a while.
func outage(p *pair, f fault) lab.Outage {
	probe := p.client.Probe(lab.VIP + ":7")
	answered := func() {
		p.Eventually(20*time.Second, "the VIP answers", func() error {
			if n := probe.Answered(100); n < 95 {
				return fmt.Errorf("%d of the last 100 questions answered", n)
			}
			return nil
		})
	}
	answered()
	// On a busy machine the roles may have changed, and the fault would hit the backup.
	p.Eventually(20*time.Second, "director-a is master alone", func() error {
		if p.held(p.a) != 1 || p.held(p.b) != 0 {
			return errors.New("it is not")
		}
		return nil
	})
	f.do(p)
	// An outage may begin late: the backup waits for its master-down interval, and then takes its first steps as master.
	p.pause(p.masterDown() + settling)
	answered()
	o := probe.Stop()
	if f.cut && o.Lost == 0 {
		p.fail("the client missed nothing: the fault has met the backup")
	}
	return o
}
