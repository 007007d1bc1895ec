// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"time"
)

// A Duo is a Pair without real servers. The directors themselves answer at the virtual address, by UDP echo at port 7.
// It needs no IPVS, so it works on any kernel.
type Duo struct{ *Pair }

// DuoSettings are the settings of a Duo.
type DuoSettings struct {
	Advert time.Duration // 0 for 100 ms
	Keys   string        // further keys of the virtual router, one a line
	Tables string        // further tables of the configuration
}

func (s DuoSettings) withDefaults() DuoSettings {
	if s.Advert == 0 {
		s.Advert = 100 * time.Millisecond
	}
	return s
}

// Config returns a director's configuration.
func (s DuoSettings) Config(name string, priority int) string {
	s = s.withDefaults()
	return webRouter(name, priority, s.Advert) + s.Keys + "\n" + s.Tables + "\n"
}

// NewDuo makes the network; tandem is not running yet.
func NewDuo(t T, s DuoSettings) Duo {
	t.Helper()
	s = s.withDefaults()
	p := &Pair{Lab: New(t), settings: PairSettings{Advert: s.Advert}}
	p.Client = p.Host("client", "192.0.2.1/24")
	p.A = p.Director("director-a", "192.0.2.2/24", s.Config("director-a", PriorityA))
	p.B = p.Director("director-b", "192.0.2.3/24", s.Config("director-b", PriorityB))
	p.A.EchoServer("0.0.0.0:7")
	p.B.EchoServer("0.0.0.0:7")
	// The test is over: a hand-over would only take time.
	t.Cleanup(func() {
		p.A.killAll()
		p.B.killAll()
	})
	return Duo{p}
}

// Launch starts tandem on both directors and waits until A is master and B is backup.
func (d Duo) Launch() {
	d.t.Helper()
	d.A.Launch()
	d.B.Launch()
	d.AwaitMaster(d.A)
	d.B.AwaitState(10*time.Second, "backup")
}

// Steady starts a client that asks the virtual address every millisecond, and waits until it is answered.
func (p *Pair) Steady() *Prober {
	p.t.Helper()
	probe := p.Client.Probe(VIP + ":7")
	p.Answers(probe)
	return probe
}

// Answers waits until a prober is answered.
func (p *Pair) Answers(probe *Prober) {
	p.t.Helper()
	p.Eventually(10*time.Second, "the virtual address answers the prober", func() error {
		if n := probe.Answered(100); n < 50 {
			return fmt.Errorf("%d of the last 100 probes answered", n)
		}
		return nil
	})
}

// Missed returns the largest number of questions in a row without an answer. That is the outage in milliseconds without the
// prober's own pauses, which Outage.Longest includes. Call it after Stop.
func (p *Prober) Missed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	most, row := 0, 0
	for _, when := range p.answered {
		row++
		if !when.IsZero() {
			row = 0
		}
		most = max(most, row)
	}
	return most
}
