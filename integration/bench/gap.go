// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// measureGaps measures the longest silence of the master while every core has two busy loops. It also counts how often the
// backup took over because of that.
func measureGaps(b *bench) {
	span := 8 * time.Second
	if b.options.long {
		span = 3 * time.Minute
	}
	for _, advert := range []time.Duration{100 * time.Millisecond, 10 * time.Millisecond} {
		what := fmt.Sprintf("adverts every %s, %d busy loops, %s", advert, 2*runtime.NumCPU(), span)
		for _, s := range b.subjects(tandem, keepalived, realtime, rtPriority) {
			b.measure(what, s.name, func(t *lab.Attempt) {
				gap(b, newPair(t, s, network{advert: advert, routers: 1}), s, what, span)
			})
		}
	}
}

func gap(b *bench, p *pair, s subject, what string, span time.Duration) {
	heard := p.client.Capture("eth0", lab.Frame.IsVRRP)
	load := p.Host("load")
	for range 2 * runtime.NumCPU() {
		load.Start("busybox", "sh", "-c", "while :; do :; done")
	}
	p.pause(span)
	frames := heard.Frames()
	var longest time.Duration
	var last time.Time
	takeovers, sender := 0, p.a.MAC()
	for _, f := range frames {
		from := f.Source().String()
		if from != sender && from == p.b.MAC() {
			takeovers++
		}
		sender = from
		if from != p.a.MAC() {
			continue
		}
		if !last.IsZero() {
			longest = max(longest, f.When.Sub(last))
		}
		last = f.When
	}
	if len(frames) < 2 {
		p.fail("%d advertisements heard", len(frames))
	}
	b.report(what+": longest silence of the master", s.name, longest.Seconds()*1000, "ms", fmt.Sprintf("of %d advertisements", len(frames)))
	b.report(what+": false failovers", s.name, float64(takeovers), "", "")
}
