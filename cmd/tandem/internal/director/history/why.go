// SPDX-License-Identifier: Apache-2.0

package history

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// A Past is what is known of a director: its history, and its status if it runs.
type Past struct {
	Now    time.Time
	Events []api.Event // the oldest first
	Status *api.Status // nil: it does not run

	paired bool // the sentences about servers name the director
}

// Why says in a few sentences why a virtual router, a service or a real server is as it is. Without a name it is about all
// virtual routers, and about each service and server that is not as configured. It returns a line for each.
func (p Past) Why(name string) ([]string, error) {
	if p.Status == nil {
		return p.whyStopped(name)
	}
	found := p.about(name)
	if len(found) == 0 && name != "" {
		return nil, fmt.Errorf("there is no virtual router, service or server %q: %s", name, p.known())
	}
	return texts(found), nil
}

// A sentence is about a subject.
type sentence struct{ subject, text string }

func texts(sentences []sentence) (all []string) {
	for _, s := range sentences {
		all = append(all, s.text)
	}
	return all
}

// about returns the sentences about a name, or without a name about all that is to be said: first those about virtual routers.
func (p Past) about(name string) (all []sentence) {
	for _, r := range p.Status.VRRP {
		if name == "" || r.Name == name {
			all = append(all, sentence{routerSubject(r), clean(p.router(r))})
		}
	}
	for _, svc := range p.Status.Services {
		if svc.Name == name || name == "" && (svc.QuorumLost || svc.Panic) {
			all = append(all, sentence{svc.Name, clean(p.service(svc))})
		}
		for _, srv := range svc.Servers {
			asked := names(svc.Name, srv, name)
			if asked || (name == "" || svc.Name == name) && odd(srv) {
				all = append(all, sentence{serverID(svc, srv), clean(p.server(svc, srv))})
			}
		}
	}
	return all
}

func routerSubject(r api.Router) string { return fmt.Sprintf("router %s %d", r.Name, r.Family) }

func serverID(svc api.Service, srv api.Server) string {
	return svc.Name + "/" + netip.AddrPortFrom(srv.Address, srv.Port).String()
}

// where names the director, if the sentences are about both.
func (p Past) where() string {
	if p.paired {
		return " on " + p.Status.Name
	}
	return ""
}

// names tells whether a name means that server: SERVICE/ADDRESS:PORT, SERVICE/ADDRESS, ADDRESS:PORT or ADDRESS.
func names(service string, srv api.Server, name string) bool {
	at := netip.AddrPortFrom(srv.Address, srv.Port).String()
	for _, is := range []string{at, srv.Address.String()} {
		if name == is || name == service+"/"+is {
			return true
		}
	}
	return false
}

// odd tells whether a server is not as configured.
func odd(srv api.Server) bool {
	ordered := srv.Drained || srv.Disabled || srv.Override != nil
	return srv.Health == "unhealthy" || ordered || srv.Unanswered != nil || srv.Note != "" && !srv.Sorry
}

// known lists what can be asked about.
func (p Past) known() string {
	var all []string
	for _, r := range p.Status.VRRP {
		all = append(all, r.Name)
	}
	for _, svc := range p.Status.Services {
		all = append(all, svc.Name)
	}
	const most = 20
	if len(all) > most {
		return fmt.Sprintf("this director has %s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	if len(all) == 0 {
		return "this director has none"
	}
	return "this director has " + strings.Join(all, ", ")
}

// last returns the latest event about a subject for which good is true.
func (p Past) last(on, name string, good func(api.Event) bool) (api.Event, bool) {
	for i := len(p.Events) - 1; i >= 0; i-- {
		if ev := p.Events[i]; ev.On == on && ev.Name == name && good(ev) {
			return ev, true
		}
	}
	return api.Event{}, false
}

func isKind(kinds ...api.EventKind) func(api.Event) bool {
	return func(ev api.Event) bool { return slices.Contains(kinds, ev.Kind) }
}

// at writes a time: without its day if it is today.
func (p Past) at(t time.Time) string {
	t = t.In(p.Now.Location())
	if t.Format(time.DateOnly) == p.Now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// router says why a virtual router is as it is.
func (p Past) router(r api.Router) string {
	was, known := p.last(api.OnRouter, r.Name, func(ev api.Event) bool { return ev.Kind == api.EventTransition && ev.New != "" })
	text := fmt.Sprintf("%s: %s is %s: %s.", r.Name, p.Status.Name, r.State, r.Reason)
	if known && was.New == r.State {
		text = fmt.Sprintf("%s: %s %s at %s: %s.", r.Name, p.Status.Name, was.What, p.at(was.Time), was.Cause)
	} else if !r.Since.IsZero() {
		text = fmt.Sprintf("%s: %s is %s since %s: %s.", r.Name, p.Status.Name, r.State, p.at(r.Since), r.Reason)
	}
	if r.HandingOver {
		text += fmt.Sprintf(" It offers its place to the peer: %s.", r.Reason)
	}
	if r.EffectivePriority != r.Priority {
		text += fmt.Sprintf(" Its priority is %d instead of %d", r.EffectivePriority, r.Priority)
		if ev, ok := p.last(api.OnRouter, r.Name, isKind(api.EventPriority)); ok && ev.New == fmt.Sprint(r.EffectivePriority) && ev.Cause != "" {
			text += fmt.Sprintf(" since %s: %s", p.at(ev.Time), ev.Cause)
		}
		text += "."
	}
	if r.Standby {
		when := ""
		if ev, ok := p.last(api.OnRouter, r.Name, isKind(api.EventOrder)); ok {
			when = " since " + p.at(ev.Time)
		}
		text += fmt.Sprintf(" It is in standby%s, until tandem release.", when)
	}
	if w := r.Waits; w != nil {
		text += fmt.Sprintf(" It %s; it takes over at %s at the latest.", w.Text, p.at(w.Until))
	}
	return text
}

// service says why a service is as it is.
func (p Past) service(svc api.Service) string {
	state := "has its quorum"
	switch {
	case svc.QuorumLost:
		state = "has lost its quorum"
	case svc.Panic:
		state = "treats all servers as healthy, because too few are up"
	}
	text := fmt.Sprintf("%s%s: it %s, with %d of %d servers up.", svc.Name, p.where(), state, svc.Up, svc.Pool())
	if ev, ok := p.last(api.OnService, svc.Name, isKind(api.EventVerdict)); ok {
		text += fmt.Sprintf(" It %s at %s: %s.", ev.What, p.at(ev.Time), ev.Cause)
	}
	return text
}

// server says why a real server is as it is.
func (p Past) server(svc api.Service, srv api.Server) string {
	id := serverID(svc, srv)
	text := fmt.Sprintf("%s%s: it has weight %d", id, p.where(), srv.EffectiveWeight)
	if srv.EffectiveWeight != srv.Weight {
		text += fmt.Sprintf(" instead of %d", srv.Weight)
	}
	var why []string
	if srv.Drained || srv.Disabled || srv.Override != nil {
		why = append(why, p.ordered(id, srv)...)
	}
	if srv.Health == "unhealthy" {
		since := ""
		if ev, ok := p.last(api.OnServer, id, func(ev api.Event) bool { return ev.New == "down" }); ok {
			since = " at " + p.at(ev.Time)
			srv.Reason = ev.Cause
		} else if !srv.Since.IsZero() {
			since = " at " + p.at(srv.Since)
		}
		why = append(why, fmt.Sprintf("its checks failed%s: %s", since, srv.Reason))
	}
	if n := srv.Unanswered; n != nil {
		why = append(why, fmt.Sprintf("it does not answer clients since %s: %d connections without an answer", p.at(n.Since), n.Connections))
	}
	if srv.Maintenance != "" {
		why = append(why, "it is drained for maintenance, because "+srv.Maintenance+" exists")
	}
	if (srv.Leaving || srv.Sorry || len(why) == 0) && srv.Note != "" {
		why = append(why, srv.Note)
	}
	if len(why) == 0 {
		return text + fmt.Sprintf(". It is %s: %s.", srv.Health, srv.Reason)
	}
	return text + ": " + strings.Join(why, "; ") + "."
}

// ordered says what operators have ordered about a server, and when. Of an order that was given on the other director, the event has
// the words of its note.
func (p Past) ordered(id string, srv api.Server) (all []string) {
	add := func(what string, action api.Action, note string) {
		who := "an operator"
		ev, ok := p.last(api.OnServer, id, func(ev api.Event) bool {
			there := strings.HasPrefix(ev.What, "is ") && strings.Contains(ev.What, note)
			return ev.Kind == api.EventOrder && (there || strings.HasPrefix(ev.What, Orders[action]))
		})
		if ok {
			who, what = cmp.Or(ev.By, strings.Replace(ev.Cause, " ordered it", "", 1), who), what+" at "+p.at(ev.Time)
		}
		all = append(all, fmt.Sprintf(what, who))
	}
	if srv.Drained {
		add("drained by %s", api.Drain, DrainedNote)
	}
	if srv.Disabled {
		add("disabled by %s", api.Disable, DisabledNote)
	}
	if w := srv.Override; w != nil {
		add(fmt.Sprintf("%%s set weight %d", *w), api.SetWeight, WeightNote(*w))
	}
	return all
}

// The notes of servers about which operators have given orders.
const (
	DrainedNote  = "drained by command"
	DisabledNote = "disabled by command"
)

// WeightNote is the note of a server with a weight by command. The configured weight may follow.
func WeightNote(weight int) string { return fmt.Sprintf("weight %d by command", weight) }

// Orders are what commands about real servers did, in words. The number follows that of SetWeight.
var Orders = map[api.Action]string{
	api.Drain: "was drained", api.Undrain: "is no longer drained", api.Disable: "was disabled", api.Enable: "is enabled again",
	api.SetWeight: "got weight", api.Reset: "has its configured weight again",
}

// whyStopped is Why of a director that does not run.
func (p Past) whyStopped(name string) ([]string, error) {
	latest := make(map[string]api.Event)
	var order []string
	for _, ev := range p.Events {
		isDirector := ev.On == api.OnDirector && ev.Kind == api.EventDirector && name == ""
		asked := ev.Name == name || name == "" && ev.On == api.OnRouter
		if !isDirector && (!asked || ev.Kind != api.EventTransition && ev.Kind != api.EventVerdict) {
			continue
		}
		key := ev.On + " " + ev.Name
		if _, seen := latest[key]; !seen {
			order = append(order, key)
		}
		latest[key] = ev
	}
	if len(order) == 0 {
		return nil, fmt.Errorf("the history has nothing about %q, and no director runs: see tandem history", name)
	}
	all := []string{"No director runs. This is the last that its history has:"}
	for _, key := range order {
		all = append(all, Line(latest[key]))
	}
	return all, nil
}
