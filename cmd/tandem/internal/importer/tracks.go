// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"cmp"
	"math"
	"net/netip"
	"path"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// A weight is a weight, which may be reversed.
type weight struct {
	n       int64
	reverse bool
	at      Place
}

// A script is a vrrp_script.
type script struct {
	at         Place
	cmd        *command
	interval   time.Duration
	timeout    time.Duration
	weight     weight
	rise, fall int64
	used       bool
}

var scriptHandlers = map[string]func(*converter, *script, *statement){
	"script": func(c *converter, x *script, s *statement) {
		user := ""
		if x.cmd != nil {
			user = x.cmd.user
		}
		x.cmd = c.tracked(s)
		x.cmd.user = user
	},
	"interval": func(c *converter, x *script, s *statement) {
		if d, ok := c.seconds(s); ok {
			x.interval = d
		}
	},
	"timeout": func(c *converter, x *script, s *statement) {
		if d, ok := c.seconds(s); ok {
			x.timeout = d
		}
	},
	"weight": func(c *converter, x *script, s *statement) { x.weight = c.weight(s.at, s.values()) },
	"rise":   func(c *converter, x *script, s *statement) { x.rise, _ = c.integer(s, 1, math.MaxInt32) },
	"fall":   func(c *converter, x *script, s *statement) { x.fall, _ = c.integer(s, 1, math.MaxInt32) },
	"user": func(c *converter, x *script, s *statement) {
		if x.cmd == nil {
			x.cmd = &command{at: s.at}
		}
		x.cmd.user = s.value()
		c.refuseGroup(s, s.value(), s.valueAt(2))
	},
}

func (c *converter) readScript(s *site, st *statement) {
	x := &script{at: st.at, interval: time.Second, rise: 1, fall: 1}
	walk(c, "vrrp_script", x, scriptHandlers, st.block)
	s.scripts[st.value()] = x
}

// A trackedFile is a track_file.
type trackedFile struct {
	at     Place
	path   string
	weight weight
}

var fileHandlers = map[string]func(*converter, *trackedFile, *statement){
	"file":   func(c *converter, f *trackedFile, s *statement) { f.path = s.value() },
	"weight": func(c *converter, f *trackedFile, s *statement) { f.weight = c.weight(s.at, s.values()) },
}

func (c *converter) readFile(s *site, st *statement) {
	f := &trackedFile{at: st.at, weight: weight{n: 1}}
	walk(c, "track_file", f, fileHandlers, st.block)
	s.files[st.value()] = f
}

// A process is a vrrp_track_process.
type process struct {
	at         Place
	name       string
	weight     weight
	rise, fall time.Duration
}

var processHandlers = map[string]func(*converter, *process, *statement){
	"process":         func(c *converter, p *process, s *statement) { p.name = s.value() },
	"weight":          func(c *converter, p *process, s *statement) { p.weight = c.weight(s.at, s.values()) },
	"fork_delay":      func(c *converter, p *process, s *statement) { p.rise, _ = c.seconds(s) },
	"terminate_delay": func(c *converter, p *process, s *statement) { p.fall, _ = c.seconds(s) },
	"delay": func(c *converter, p *process, s *statement) {
		p.rise, _ = c.seconds(s)
		p.fall = p.rise
	},
}

func (c *converter) readProcess(s *site, st *statement) {
	p := &process{at: st.at, weight: weight{n: 1}}
	walk(c, "vrrp_track_process", p, processHandlers, st.block)
	s.processes[st.value()] = p
}

// weight reads NUMBER [reverse|noreverse].
func (c *converter) weight(at Place, words []string) (w weight) {
	w.at = at
	for i, word := range words {
		if row, ok := c.option(at, "track", word); ok && i > 0 {
			w.reverse = row.fate == missing
			continue
		}
		n, ok := integer(word, -math.MaxInt32, math.MaxInt32)
		if !ok {
			c.note(at, "", "weight: %s is not a number", abbreviate(word))
			continue
		}
		w.n = n
	}
	return w
}

// A reference is a line of a track_… block: what is tracked, and perhaps with which weight.
type reference struct {
	at     Place
	kind   string // interface, script, file or process
	name   string
	weight *weight
}

// references reads a track_… block.
func (c *converter) references(kind string, s *statement) (all []reference) {
	for _, st := range s.block {
		r := reference{at: st.at, kind: kind, name: st.keyword()}
		rest := st.values()
		if len(rest) > 0 {
			if _, ok := c.option(st.at, "track", rest[0]); ok && rest[0] == "weight" {
				w := c.weight(st.at, rest[1:])
				r.weight = &w
			} else {
				c.note(st.at, "", "%s: %s is not understood", s.keyword(), abbreviate(rest[0]))
			}
		}
		all = append(all, r)
	}
	return all
}

// maxWeight is the highest weight of tandem: no difference of priorities is larger.
const maxWeight = 253

// A track is a [[vrrp.track]]. Its name says what is tracked: no virtual router has two with the same name.
type track struct {
	name string
	*table
}

// track translates a reference, for the virtual routers that are in the group or not.
func (c *converter) track(r reference, grouped bool) (track, bool) {
	t := &table{key: "track", array: true, at: r.at}
	w := weight{}
	name := r.name
	switch r.kind {
	case "interface":
		t.set(r.at, "interface", tomlString(r.name))
		if at, down, up, ok := c.delaysOf(r.name); ok {
			t.set(at, "down_delay", down)
			t.set(at, "up_delay", up)
		}
	case "script":
		x := c.scripts[r.name]
		if x == nil || x.cmd == nil || len(x.cmd.args) == 0 {
			c.note(r.at, "", "track_script: there is no vrrp_script %s with a script, and keepalived ignores this line",
				abbreviate(r.name))
			return track{}, false
		}
		x.used = true
		name, w = c.emitScript(t, x), x.weight
	case "file":
		f := c.site.files[r.name]
		if f == nil {
			c.note(r.at, "", "track_file: there is no track_file %s, and keepalived ignores this line", abbreviate(r.name))
			return track{}, false
		}
		t.set(f.at, "file", tomlString(f.path))
		name, w = f.path, f.weight
	default:
		p := c.processes[r.name]
		if p == nil || p.name == "" {
			c.note(r.at, "", "track_process: there is no vrrp_track_process %s with a process, and keepalived ignores this line",
				abbreviate(r.name))
			return track{}, false
		}
		c.emitProcess(t, p)
		name, w = path.Base(p.name), p.weight
	}
	if r.weight != nil {
		w = *r.weight
	}
	return track{r.kind + " " + name, t}, c.emitWeight(t, r, w, grouped)
}

// emitWeight writes the weight of a track. A reversed one can only be kept for a file, whose number is multiplied by it.
func (c *converter) emitWeight(t *table, r reference, w weight, grouped bool) bool {
	if w.at.File == "" {
		w.at = r.at
	}
	if w.reverse && r.kind == "file" {
		w.n = -w.n
	} else if w.reverse {
		c.note(w.at, byKeyword[[2]string{"track", "reverse"}].text, "track_%s: reverse has no equivalent: %s is not tracked now",
			r.kind,
			abbreviate(r.name))
		return false
	}
	if w.n != 0 && grouped {
		c.note(w.at, "set it again if you know that all members keep the same priority",
			"track_%s: keepalived makes the weight of %s 0, "+
				"because the virtual router is in a vrrp_sync_group: a failure is a fault", r.kind, abbreviate(r.name))
		w.n = 0
	}
	if w.n > maxWeight || w.n < -maxWeight {
		n := max(min(w.n, maxWeight), -maxWeight)
		c.note(w.at, "", "track_%s: weight %d is out of range: it is %d now", r.kind, w.n, n)
		w.n = n
	}
	if w.n != 0 {
		t.set(w.at, "weight", tomlInt(w.n))
	}
	return true
}

// The limits of a [[vrrp.track]].
const (
	leastInterval = 100 * time.Millisecond
	mostInterval  = time.Hour
	leastTimeout  = 10 * time.Millisecond
	mostRise      = 100
)

// emitScript writes what a script is: a program, or a process or unit that a program only looks for. It returns its name.
func (c *converter) emitScript(t *table, x *script) string {
	interval := c.within(x.at, "interval", x.interval, leastInterval, mostInterval)
	switch key, value := configs.LooksFor(x.cmd.args); key {
	case "process", "unit":
		t.set(x.cmd.at, key, tomlString(value)).because("instead of " + x.cmd.args[0])
		c.emitPace(t, x, interval)
		return key + " " + value
	case "check":
		return c.emitConnection(t, x, netip.MustParseAddrPort(value), interval)
	}
	value, list := x.cmd.value()
	e := t.set(x.cmd.at, "script", value)
	e.list = list
	timeout := cmp.Or(x.timeout, interval)
	if timeout > interval {
		c.note(x.at, "lower the timeout or raise the interval",
			"vrrp_script: the timeout %s is longer than the interval %s: it is %s now",
			timeout, interval, interval)
		timeout = interval
	}
	c.emitPace(t, x, interval)
	t.set(x.at, "timeout", span(max(timeout, leastTimeout)))
	t.set(x.at, "user", tomlString(c.userOf(x.cmd)))
	return value
}

// emitConnection writes a script that only connects as a check.
func (c *converter) emitConnection(t *table, x *script, to netip.AddrPort, interval time.Duration) string {
	check := t.child(x.cmd.at, "check", false)
	check.set(x.cmd.at, "type", `"tcp"`)
	check.set(x.cmd.at, "address", tomlString(to.Addr().String()))
	check.set(x.cmd.at, "port", tomlInt(int64(to.Port())))
	c.emitPace(check, x, interval)
	check.set(x.at, "timeout", span(max(cmp.Or(x.timeout, interval), leastTimeout)))
	for _, n := range []string{"rise", "fall"} {
		if check.get(n) == "" {
			check.set(x.at, n, "1")
		}
	}
	return "check " + to.String()
}

func (c *converter) emitPace(t *table, x *script, interval time.Duration) {
	t.set(x.at, "interval", span(interval))
	for _, n := range []struct {
		key string
		n   int64
	}{{"rise", x.rise}, {"fall", x.fall}} {
		if n.n > mostRise {
			c.note(x.at, "", "vrrp_script: %s %d is out of range: it is %d now", n.key, n.n, mostRise)
			n.n = mostRise
		}
		if n.n > 1 {
			t.set(x.at, n.key, tomlInt(n.n))
		}
	}
}

// within returns a duration in a range. It notes that it was out of it.
func (c *converter) within(at Place, what string, d, least, most time.Duration) time.Duration {
	if d >= least && d <= most {
		return d
	}
	n := max(min(d, most), least)
	c.note(at, "", "%s %s is out of range: it is %s now", what, d, n)
	return n
}

// emitProcess writes a process, with its delays as numbers of looks.
func (c *converter) emitProcess(t *table, p *process) {
	const usual = 200 * time.Millisecond
	t.set(p.at, "process", tomlString(path.Base(p.name)))
	interval := usual
	if longest := max(p.rise, p.fall); longest > (mostRise-1)*usual {
		interval = min((longest+mostRise-2)/(mostRise-1), mostInterval).Round(usual) + usual
		t.set(p.at, "interval", span(interval))
	}
	for _, d := range []struct {
		key string
		d   time.Duration
	}{{"rise", p.rise}, {"fall", p.fall}} {
		if n := int64((d.d+interval-1)/interval) + 1; n > 1 {
			t.set(p.at, d.key, tomlInt(min(n, mostRise)))
		}
	}
}
