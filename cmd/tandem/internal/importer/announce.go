// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"slices"
	"time"
)

// An announce is what keepalived says about gratuitous ARP. What is nil was not given.
type announce struct {
	delay, refresh *time.Duration
	garp, na       *time.Duration // between two frames, over IPv4 and IPv6
	repeat         *int64
	at             Place
}

func (c *converter) duration(s *statement, a *announce) *time.Duration {
	d, ok := c.seconds(s)
	if !ok {
		return nil
	}
	a.at = s.at
	return &d
}

func (c *converter) count(s *statement, a *announce) *int64 {
	n, ok := c.integer(s, 1, 1<<31-1)
	if !ok {
		return nil
	}
	a.at = s.at
	return &n
}

// over returns a with the values of b where a has none.
func (a announce) over(b announce) announce {
	if a.at.File == "" {
		a.at = b.at
	}
	a.delay, a.refresh, a.repeat = either(a.delay, b.delay), either(a.refresh, b.refresh), either(a.repeat, b.repeat)
	a.garp, a.na = either(a.garp, b.garp), either(a.na, b.na)
	return a
}

func either[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// A spacing is a garp_group.
type spacing struct {
	announce
	links []string
}

var spacingHandlers = map[string]func(*converter, *spacing, *statement){
	"garp_interval": func(c *converter, p *spacing, s *statement) { p.garp = c.duration(s, &p.announce) },
	"gna_interval":  func(c *converter, p *spacing, s *statement) { p.na = c.duration(s, &p.announce) },
	"interface":     func(c *converter, p *spacing, s *statement) { p.links = append(p.links, s.value()) },
	"interfaces": func(c *converter, p *spacing, s *statement) {
		for _, link := range s.block {
			p.links = append(p.links, link.words...)
		}
	},
}

func (c *converter) readSpacing(s *site, st *statement) {
	p := spacing{announce: announce{at: st.at}}
	walk(c, "garp_group", &p, spacingHandlers, st.block)
	s.spacings = append(s.spacings, p)
}

// The limits of [vrrp.announce], and keepalived's defaults.
const (
	maxSpacing   = time.Second
	maxAnnounced = 100 // times
	usualDelay   = 5 * time.Second
	usualRepeat  = 5
	betweenTimes = 100 * time.Millisecond // copies in one moment are lost together
)

// emitAnnounce writes the announcements, if the file says anything about them. Otherwise tandem's own schedule is better: it
// spreads the copies, and repeats them every minute.
func (c *converter) emitAnnounce(t *table, i *instance) {
	a := i.announce
	for _, p := range c.spacings {
		if slices.Contains(p.links, i.link()) {
			a = a.over(p.announce)
		}
	}
	a = a.over(c.global.announce)
	if a.at.File == "" {
		return
	}
	n := t.child(a.at, "announce", false)
	if a.delay != nil || a.repeat != nil {
		n.setList(a.at, "repeat", c.times(a))
	}
	if a.refresh != nil {
		switch d := *a.refresh; {
		case d > 0 && d < time.Second:
			n.set(a.at, "refresh", span(time.Second))
		default:
			n.set(a.at, "refresh", span(min(d, 24*time.Hour)))
		}
	}
	gap := a.garp
	if i.ipv6() || gap == nil {
		gap = either(a.na, gap)
	}
	if gap != nil {
		if *gap > maxSpacing {
			c.note(a.at, "", "the interval between two gratuitous ARPs is %s: it is 1 s now, which is the longest spacing", *gap)
		}
		n.set(a.at, "spacing", span(min(*gap, maxSpacing)))
	}
	if len(n.entries) == 0 {
		t.children = t.children[:len(t.children)-1]
	}
}

// times returns when the VIPs are announced: repeat times, and as often again after delay.
func (c *converter) times(a announce) (all []string) {
	delay, repeat := usualDelay, int64(usualRepeat)
	if a.delay != nil {
		delay = min(*a.delay, time.Hour/2)
	}
	if a.repeat != nil {
		repeat = *a.repeat
	}
	most := int64(maxAnnounced)
	if delay > 0 {
		most /= 2
	}
	if repeat > most {
		c.note(a.at, "", "%d announcements at a time: there are %d now", repeat, most)
		repeat = most
	}
	var moments []time.Duration
	for k := range repeat {
		moments = append(moments, time.Duration(k)*betweenTimes)
		if delay > 0 {
			moments = append(moments, delay+time.Duration(k)*betweenTimes)
		}
	}
	slices.Sort(moments)
	for _, m := range slices.Compact(moments) {
		all = append(all, span(m))
	}
	return all
}

func (c *converter) readDelays(s *site, st *statement) { s.delays = append(s.delays, st.block...) }

// emitDelays translates interface_up_down_delays: INTERFACE DOWN [UP], in seconds, for the interface of a virtual router.
func (c *converter) emitDelays(t *table, i *instance) {
	if at, down, up, ok := c.delaysOf(i.link()); ok {
		d := t.child(at, "debounce", false)
		d.set(at, "down_delay", down)
		d.set(at, "up_delay", up)
	}
}

// delaysOf returns the delays of an interface as values of TOML.
func (c *converter) delaysOf(link string) (at Place, down, up string, ok bool) {
	const most = 10 * time.Minute
	for _, s := range c.delays {
		d, isDown := seconds(s.value())
		u, isUp := d, true
		if s.valueAt(2) != "" {
			u, isUp = seconds(s.valueAt(2))
		}
		switch {
		case !isDown || !isUp:
			c.note(s.at, "", "interface_up_down_delays: the delays of %s are not numbers of seconds", abbreviate(s.keyword()))
		case s.keyword() == link:
			at, down, up, ok = s.at, span(min(d, most)), span(min(u, most)), true
		}
	}
	return at, down, up, ok
}
