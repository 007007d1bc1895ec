// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// A statusPage is a status for people.
type statusPage struct {
	device  screen.Device
	now     time.Time
	verbose bool // each router's counters and each check get a line
	lines   []screen.Line
}

// statusText returns a status as lines: what is wrong first, the worst of it at the top.
func statusText(s control.Status, device screen.Device, verbose bool, now time.Time) []screen.Line {
	p := &statusPage{device: device, now: now, verbose: verbose}
	p.head(s)
	p.problems(summary.Problems(s))
	p.routers(s.VRRP)
	for _, svc := range s.Services {
		p.service(svc)
	}
	p.sync(s.Sync)
	p.hooks(s.Hooks)
	p.drills(s.Drills)
	p.peer(s.Peer)
	return p.lines
}

// add adds lines that are broken between words.
func (p *statusPage) add(text string, style screen.Style, hang int) {
	for i, part := range screen.Wrap(text, p.device.Width-hang*min(1, p.device.Width)) {
		line := screen.Line{{Text: part, Style: style}}
		if i > 0 {
			line = screen.Line{{Text: strings.Repeat(" ", hang)}, {Text: part, Style: style}}
		}
		p.lines = append(p.lines, line)
	}
}

// blank adds an empty line.
func (p *statusPage) blank() { p.lines = append(p.lines, screen.Line{}) }

// table adds a table below an empty line, unless it has no rows.
func (p *statusPage) table(t screen.Table) {
	if t.Len() > 0 {
		p.blank()
		p.lines = append(p.lines, t.Lines(p.device.Width)...)
	}
}

// head tells which director this is, and the sums.
func (p *statusPage) head(s control.Status) {
	p.add(fmt.Sprintf("%s · tandem %s · %s loaded %s ago", s.Name, s.Version, s.Config.File, ago(p.now, s.Config.LoadedAt)), screen.Bold, 2)
	p.add(summary.Dash(summary.SumsOf(s).String()), screen.Plain, 2)
}

// problems tells what is wrong.
func (p *statusPage) problems(all []summary.Problem) {
	for _, is := range all {
		if is.Critical {
			p.add("critical: "+is.Text, screen.Red, 2)
		} else {
			p.add("warning: "+is.Text, screen.Yellow, 2)
		}
	}
}

// roomForVIPs is the width from which the VIPs have a column of their own.
const roomForVIPs = 130

func (p *statusPage) routers(routers []control.Router) {
	narrow := p.device.Width > 0 && p.device.Width < roomForVIPs
	t := screen.Table{Header: []string{"ROUTER", "INTERFACE", "VRID", "STATE", "FOR", "PRIORITY", "MASTER", "VIPS", "REASON"}}
	if narrow {
		t.Header = slices.Delete(t.Header, 7, 8)
	}
	for _, r := range routers {
		cells := []screen.Span{{Text: r.Name, Style: screen.Bold}, cell(r.Interface), cell(r.VRID), {Text: summary.State(&r), Style: stateStyle(r)},
			cell(ago(p.now, r.Since)), cell(summary.Priority(&r)), cell(summary.Dash(r.Master))}
		if held := vips(r, p.device.Terminal); narrow {
			t.Row(append(cells, cell(held+": "+r.Reason))...)
		} else {
			t.Row(append(cells, cell(held), cell(r.Reason))...)
		}
	}
	p.table(t)
	p.syncWaits(routers)
	p.failingTracks(routers)
	p.paths(routers)
	p.asked(routers)
	if p.verbose {
		p.counters(routers)
		p.twoMasters(routers)
		p.signing(routers)
	}
}

// barCells is the length of a bar.
const barCells = 6

// service tells about a service and its servers. The bars are relative to the largest value of the service.
func (p *statusPage) service(svc control.Service) {
	p.blank()
	title := screen.Line{{Text: svc.Name, Style: screen.Bold}, {Text: fmt.Sprintf("  %s %s  %s  %s", svc.Protocol, svc.Virtual, svc.Scheduler, svc.Method)}}
	if svc.QuorumLost {
		title = append(title, screen.Span{Text: "  quorum lost", Style: screen.Red})
	}
	p.lines = append(p.lines, title.Clip(p.device.Width))
	heaviest, busiest := 0, 0
	for _, srv := range svc.Servers {
		heaviest, busiest = max(heaviest, srv.EffectiveWeight, srv.Weight), max(busiest, srv.Active)
	}
	bar := func(value, most int) string {
		return strings.TrimRight(screen.Bar(value, most, barCells, p.device.Mark()), " ")
	}
	t := screen.Table{Indent: 2, Header: []string{"SERVER", "HEALTH", "FOR", "WEIGHT", "", "ACTIVE", "", "INACTIVE", "REASON"}}
	for _, srv := range svc.Servers {
		t.Row(cell(summary.HostPort(&srv)), screen.Span{Text: srv.Health, Style: healthStyle(srv)}, cell(ago(p.now, srv.Since)),
			cell(summary.Weight(&srv)), screen.Span{Text: bar(srv.EffectiveWeight, heaviest), Style: screen.Green},
			cell(srv.Active), screen.Span{Text: bar(srv.Active, busiest), Style: screen.Green}, cell(srv.Inactive), cell(summary.Remark(&srv)))
	}
	p.lines = append(p.lines, t.Lines(p.device.Width)...)
	if p.verbose {
		p.checks(svc)
	}
}

func (p *statusPage) sync(syncs []control.Sync) {
	for i, sync := range syncs {
		if i == 0 {
			p.blank()
		}
		p.add(fmt.Sprintf("connection sync  %s on %s  id %d", sync.Role, sync.Interface, sync.ID), screen.Plain, 2)
	}
}

// hooks tells about hooks. Without verbose, about those that run, wait or fail.
func (p *statusPage) hooks(hooks []control.Hook) {
	t := screen.Table{Header: []string{"HOOK", "RUNNING", "WAITING", "FAILING", "TOLD", "FAILED", "REPLACED", "LAST", "TOOK", "EVENT", "RESULT"}}
	for _, h := range hooks {
		if !p.verbose && h.Running+h.Waiting+h.Failing == 0 {
			continue
		}
		last, took, event, result := "-", "-", "-", "-"
		if h.Last != nil {
			last, took = ago(p.now, h.Last.EndedAt), fmt.Sprintf("%.1fms", 1000*h.Last.TookSeconds)
			event, result = h.Last.Event+" of "+h.Last.Subject, cmp.Or(h.Last.Error, "ok")
		}
		t.Row(cell(h.Name), cell(h.Running), cell(h.Waiting), cell(h.Failing), cell(h.Succeeded), cell(h.Failed), cell(h.Superseded),
			cell(last), cell(took), cell(event), cell(result))
	}
	p.table(t)
}

// syncWaits tells which routers do not take over yet, because this director lacks connections of the other one.
func (p *statusPage) syncWaits(routers []control.Router) {
	for _, r := range routers {
		if w := r.Waits; w != nil {
			p.blank()
			p.add(fmt.Sprintf("%s %s; takes over in %s at the latest", r.Name, w.Text, ago(w.Until, p.now)), screen.Yellow, 2)
		}
	}
}

// failingTracks tells about the failing tracks of the routers.
func (p *statusPage) failingTracks(routers []control.Router) {
	t := screen.Table{Header: []string{"ROUTER", "FAILING TRACK", "REASON"}}
	for _, r := range routers {
		for _, track := range r.Track {
			if !track.OK {
				t.Row(cell(r.Name), cell(track.Name), cell(track.Reason))
			}
		}
	}
	p.table(t)
}

// counters tells the routers' counters. GAP is the longest time between two advertisements of a master.
func (p *statusPage) counters(routers []control.Router) {
	t := screen.Table{Header: []string{"ROUTER", "SENT", "RECEIVED", "ERRORS", "BECAME MASTER", "GAP", "DROPPED"}}
	for _, r := range routers {
		c := r.Counters
		gap := "-"
		if c.LongestGapSeconds > 0 {
			gap = fmt.Sprintf("%.1fms", 1000*c.LongestGapSeconds)
		}
		dropped := make([]string, 0, len(c.AdvertsDropped))
		for _, why := range slices.Sorted(maps.Keys(c.AdvertsDropped)) {
			dropped = append(dropped, fmt.Sprintf("%s %d", why, c.AdvertsDropped[why]))
		}
		t.Row(cell(r.Name), cell(c.AdvertsSent), cell(c.AdvertsReceived), cell(c.SendErrors), cell(c.BecameMaster), cell(gap),
			cell(summary.Dash(strings.Join(dropped, ", "))))
	}
	p.table(t)
}

// signing tells how the routers sign their advertisements, and the latest refusal for each reason.
func (p *statusPage) signing(routers []control.Router) {
	t := screen.Table{Header: []string{"ROUTER", "HMAC", "KEYS", "SIGNS WITH", "ANTI-REPLAY", "LATEST REFUSALS"}}
	for _, r := range routers {
		c := r.HMAC
		if c == nil {
			continue
		}
		var refused, keys []string
		for _, f := range c.Refused {
			refused = append(refused, fmt.Sprintf("%s %d (%s ago from %s)", f.Reason, f.Count, ago(p.now, f.Last), f.From))
		}
		for _, id := range c.Keys {
			keys = append(keys, fmt.Sprint(id))
		}
		with := "-"
		if c.ActiveKey != 0 {
			with = fmt.Sprint(c.ActiveKey)
		}
		t.Row(cell(r.Name), cell(c.Mode), cell(strings.Join(keys, ",")), cell(with), cell(strings.TrimSpace(c.AntiReplay+" "+c.TimeWindow)),
			cell(summary.Dash(strings.Join(refused, ", "))))
	}
	p.table(t)
}

// checks tells about the checks of a service's servers. LAST is the time since the last probe ended, TOOK its duration.
func (p *statusPage) checks(svc control.Service) {
	t := screen.Table{Indent: 2, Header: []string{"SERVER", "CHECK", "HEALTH", "FOR", "LAST", "TOOK", "PASSED", "FAILED", "RESULT"}}
	for _, srv := range svc.Servers {
		for _, c := range srv.Checks {
			kind, health, took := c.Type, c.Health, "-"
			if c.Via.IsValid() {
				kind += " through " + c.Via.String()
			}
			if c.Flapping {
				health += " (flapping)"
			}
			if !c.LastAt.IsZero() {
				took = fmt.Sprintf("%.1fms", 1000*c.LatencySeconds)
			}
			t.Row(cell(summary.HostPort(&srv)), cell(kind), cell(health), cell(ago(p.now, c.Since)), cell(ago(p.now, c.LastAt)), cell(took),
				cell(c.Successes), cell(c.Failures), cell(summary.Dash(c.Reason)))
		}
	}
	p.table(t)
}

func cell(value any) screen.Span { return screen.Span{Text: fmt.Sprint(value)} }

func stateStyle(r control.Router) screen.Style {
	switch r.State {
	case "master":
		return screen.Green
	case "fault":
		return screen.Red
	}
	return screen.Plain
}

func healthStyle(s control.Server) screen.Style {
	switch {
	case s.Health == "unhealthy":
		return screen.Red
	case s.Drained || s.Disabled || s.Health == "unknown":
		return screen.Yellow
	case s.Health == "healthy":
		return screen.Green
	}
	return screen.Plain
}

// ago writes the time since a moment in its two largest units; "-" for the zero time.
func ago(now, since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	d := max(0, now.Sub(since))
	day := 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// maxVIPs is how many VIPs are shown on a terminal.
const maxVIPs = 2

// vips writes the VIPs of a virtual router. few leaves out all but the first.
func vips(r control.Router, few bool) string {
	all := make([]string, 0, len(r.VIPs))
	for i, vip := range r.VIPs {
		if few && i == maxVIPs && len(r.VIPs) > maxVIPs+1 {
			return fmt.Sprintf("%s and %d more", strings.Join(all, ","), len(r.VIPs)-maxVIPs)
		}
		all = append(all, summary.VIP(&r, vip))
	}
	return summary.Dash(strings.Join(all, ","))
}
