// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// Shift returns events of a director by the clock of another one. ahead is how far its own clock is ahead of that.
func Shift(events []api.Event, ahead time.Duration) []api.Event {
	all := slices.Clone(events)
	for i := range all {
		all[i].Time = shifted(all[i].Time, ahead)
	}
	return all
}

func shifted(t time.Time, ahead time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-ahead)
}

// Shift returns what is known of a director by the clock of another one.
func (p Past) Shift(ahead time.Duration) Past {
	p.Events = Shift(p.Events, ahead)
	if p.Status == nil {
		return p
	}
	is := *p.Status
	is.VRRP, is.Services = slices.Clone(is.VRRP), slices.Clone(is.Services)
	for i := range is.VRRP {
		is.VRRP[i].Since = shifted(is.VRRP[i].Since, ahead)
	}
	for i := range is.Services {
		servers := slices.Clone(is.Services[i].Servers)
		for j := range servers {
			servers[j].Since = shifted(servers[j].Since, ahead)
			if n := servers[j].Unanswered; n != nil {
				at := *n
				at.Since = shifted(at.Since, ahead)
				servers[j].Unanswered = &at
			}
		}
		is.Services[i].Servers = servers
	}
	p.Status = &is
	return p
}

// Merge returns the events of two directors, the oldest first.
func Merge(a, b []api.Event) []api.Event {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y api.Event) int { return x.Time.Compare(y.Time) })
	return all
}

// WhyPair is Why of two directors that run, by the same clock. There is one line for a virtual router: first what the master says,
// then what the other one says.
func WhyPair(here, there Past, name string) ([]string, error) {
	here.paired, there.paired = true, true
	ours, theirs := here.about(name), there.about(name)
	if len(ours)+len(theirs) == 0 && name != "" {
		return nil, fmt.Errorf("there is no virtual router, service or server %q: %s; %s", name, here.known(), strings.Replace(there.known(), "this director", there.Status.Name, 1))
	}
	var all []string
	for _, s := range ours {
		i := slices.IndexFunc(theirs, func(other sentence) bool { return other.subject == s.subject })
		switch {
		case i < 0:
			all = append(all, s.text)
			continue
		case strings.HasPrefix(s.subject, "router "):
			all = append(all, clean(bothRouters(here, there, s, theirs[i])))
		default:
			all = append(all, s.text, theirs[i].text)
		}
		theirs = slices.Delete(theirs, i, i+1)
	}
	return append(all, texts(theirs)...), nil
}

// bothRouters says why a virtual router is as it is on both directors.
func bothRouters(here, there Past, ours, theirs sentence) string {
	first, second, a, b := here, there, ours, theirs
	if there.isMaster(theirs.subject) && !here.isMaster(ours.subject) {
		first, second, a, b = there, here, theirs, ours
	}
	name, _, _ := strings.Cut(b.text, ": ")
	text := a.text + " " + strings.TrimPrefix(b.text, name+": ")
	took, known := first.last(api.OnRouter, name, func(ev api.Event) bool { return ev.Kind == api.EventTransition && ev.New == "master" })
	if ev, ended := second.end(name, took.Time); known && ended && first.isMaster(a.subject) {
		text += fmt.Sprintf(" %s %s at %s: %s.", second.Status.Name, ev.What, second.at(ev.Time), ev.Cause)
	}
	return text
}

func (p Past) isMaster(subject string) bool {
	return slices.ContainsFunc(p.Status.VRRP, func(r api.Router) bool { return routerSubject(r) == subject && r.State == "master" })
}

// aroundTakeover is how far a takeover and the end of the former master may be apart: a master that leaves waits for its successor,
// and the longest interval of advertisements is 41 s.
const aroundTakeover = 3 * time.Minute

// end returns how a director has ended when the other one took a virtual router over. Of one that was killed, the next one tells it.
// If it gave its place away, it was not killed then.
func (p Past) end(router string, took time.Time) (api.Event, bool) {
	gave := false
	for _, ev := range p.Events {
		near := ev.Time.Sub(took).Abs() <= aroundTakeover
		gave = gave || near && ev.On == api.OnRouter && ev.Name == router && ev.Kind == api.EventTransition && ev.Old == "master"
		if ev.On != api.OnDirector || ev.Kind != api.EventDirector {
			continue
		}
		if near && ev.What == Stopped || !gave && ev.What == Followed && ev.Time.After(took) {
			return ev, true
		}
	}
	return api.Event{}, false
}
