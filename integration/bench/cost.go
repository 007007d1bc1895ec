// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// measureCosts measures processor time and memory of a pair that only sends its advertisements.
func measureCosts(b *bench) {
	span := 4 * time.Second
	if b.options.long {
		span = 30 * time.Second
	}
	for _, advert := range []time.Duration{time.Second, 100 * time.Millisecond} {
		for _, routers := range []int{20, 200, 1000} {
			what := fmt.Sprintf("%d routers, adverts every %s", routers, advert)
			for _, s := range b.subjects(tandem, keepalived) {
				b.measure(what, s.name, func(t *lab.Attempt) {
					p := newPair(t, s, network{advert: advert, routers: routers})
					cost(b, p, s, what, span)
				})
			}
		}
	}
}

// A usage is the processor time and memory of a director's two processes: the director, and its election.
type usage struct {
	cpu    []time.Duration
	memory []int64 // bytes
}

// cost reports what both directors use in a time.
func cost(b *bench, p *pair, s subject, what string, span time.Duration) {
	// A new master repeats its announcements for five seconds. They do not count.
	p.pause(5 * time.Second)
	directors := []*lab.Director{p.a, p.b}
	before := []usage{p.usage(p.a), p.usage(p.b)}
	began := time.Now()
	p.pause(span)
	took := time.Since(began)
	for i, role := range []string{"master", "backup"} {
		u := p.usage(directors[i])
		var used time.Duration
		var memory int64
		var each []string
		for k := range u.cpu {
			one := u.cpu[k] - before[i].cpu[k]
			used += one
			memory += u.memory[k]
			each = append(each, fmt.Sprintf("%.3f", one.Seconds()))
		}
		b.report(what+": "+role+", processor", s.name, 100*used.Seconds()/took.Seconds(), "% of a core",
			fmt.Sprintf("%s CPU seconds in %.1f s", strings.Join(each, " + "), took.Seconds()))
		b.report(what+": "+role+", memory", s.name, float64(memory)/1e6, "MB", "resident, of all its processes")
		b.report(what+": "+role+", memory of the electing process", s.name, float64(u.memory[len(u.memory)-1])/1e6, "MB", "resident")
	}
	if a, back := p.held(p.a), p.held(p.b); a != p.net.routers || back != 0 {
		p.fail("director-a has %d VIPs and director-b %d after the measurement", a, back)
	}
}

// usage reads what a director's processes have used so far.
func (p *pair) usage(d *lab.Director) usage {
	var u usage
	pids := d.Pids()
	slices.Sort(pids)
	for _, pid := range pids {
		used, err := lab.CPUTime(pid)
		if err != nil {
			p.fail("%v", err)
		}
		memory, err := lab.ResidentMemory(pid)
		if err != nil {
			p.fail("%v", err)
		}
		u.cpu, u.memory = append(u.cpu, used), append(u.memory, memory)
	}
	if len(pids) != 2 {
		p.fail("%s has the processes %v, want two", d.Name, pids)
	}
	return u
}
