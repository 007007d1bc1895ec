// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// An InForce is how soon an order about a real server was in force.
type InForce struct {
	Took time.Duration `json:"took"` // until the kernels of both directors had it
	// Problem is why it is not known to be in force on both; empty: it is.
	Problem string `json:"problem,omitempty"`
}

// A Server is how a real server left and came back in a drill.
type Server struct {
	Name string `json:"name"` // SERVICE/ADDRESS:PORT
	// Out is the time from the order until neither kernel had the server, and Back until both had it again; null: not known.
	Out     *Seconds `json:"out_seconds"`
	Back    *Seconds `json:"back_seconds"`
	Weights []Weight `json:"weights"` // on both directors
}

// A Weight is the weight of a real server on a director, before a drill and after it.
type Weight struct {
	Director string `json:"director"`
	Before   int    `json:"before"`
	After    *int   `json:"after"` // null: not known
}

// A place is a real server in a service.
type place struct {
	service *api.Service
	server  *api.Server
}

func (p place) name() string {
	return p.service.Name + "/" + netip.AddrPortFrom(p.server.Address, p.server.Port).String()
}

// serves reports whether new clients reach the server, and it is not known to have failed.
func (p place) serves() bool { return p.server.EffectiveWeight > 0 && p.well() }

// well reports whether the server counts as healthy in its service.
func (p place) well() bool {
	srv := p.server
	return !srv.Sorry && !srv.Leaving && !srv.Drained && !srv.Disabled && (srv.Health == "healthy" || srv.Health == "unchecked")
}

// full is the weight that the server has while it is healthy.
func (p place) full() int {
	if p.server.Override != nil {
		return *p.server.Override
	}
	return p.server.Weight
}

// placesOf are all real servers of a director.
func placesOf(is *api.Status) (all []place) {
	for i := range is.Services {
		svc := &is.Services[i]
		for j := range svc.Servers {
			all = append(all, place{svc, &svc.Servers[j]})
		}
	}
	return all
}

// ParseServer refuses what is not SERVICE/ADDRESS or SERVICE/ADDRESS:PORT.
func ParseServer(name string) error {
	if service, address, ok := strings.Cut(name, "/"); !ok || service == "" || address == "" {
		return fmt.Errorf("%q is not SERVICE/ADDRESS: write for example www/192.0.2.11 or www/192.0.2.11:80", name)
	}
	return nil
}

// findServer finds a real server by its name. The port can be left out if the service has only one server with the address.
func findServer(is *api.Status, name string) (found place, err error) {
	if err := ParseServer(name); err != nil {
		return found, err
	}
	service, address, _ := strings.Cut(name, "/")
	var known bool
	var like []string
	for _, p := range placesOf(is) {
		if p.service.Name != service {
			continue
		}
		known = true
		if p.name() == name {
			return p, nil
		}
		if p.server.Address.String() == strings.Trim(address, "[]") {
			found, like = p, append(like, p.name())
		}
	}
	switch {
	case len(like) == 1:
		return found, nil
	case len(like) > 1:
		return place{}, fmt.Errorf("service %s has several servers %s: name one of %s", service, address, strings.Join(like, ", "))
	case known:
		return place{}, fmt.Errorf("service %s of %s has no server %s", service, is.Name, address)
	}
	return place{}, fmt.Errorf("%s has no service %s", is.Name, service)
}

// target is the full name of the real server that the drill is about.
func (s *Situation) target() string {
	if p, err := findServer(&s.Here, s.Order.Server); err == nil {
		return p.name()
	}
	return s.Order.Server
}

// refusedServer is why the real server must not be taken out.
func (s *Situation) refusedServer() (all []string) {
	own, err := findServer(&s.Here, s.Order.Server)
	if err != nil {
		return []string{err.Error()}
	}
	refuse := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if leader := own.server.Tracks; leader != "" {
		refuse("%s follows %s: name that one with --server, both leave with it", own.name(), leader)
	}
	for _, is := range []*api.Status{&s.Here, &s.There} {
		p, err := findServer(is, own.name())
		if err != nil {
			refuse("%s", err)
			continue
		}
		if why := p.lacking(); why != "" {
			refuse("%s %s on %s already: drill another one", p.name(), why, is.Name)
			continue
		}
		all = append(all, s.missed(is, p.name())...)
	}
	if lost := s.ending(own.name()); lost > s.Order.Lose {
		refuse("%d established connections to %s would end: allow that with --lose %d", lost, own.name(), lost)
	}
	if s.Order.Budget >= 0 && len(s.Probers) == 0 {
		refuse("--budget: no virtual router moves in this drill, so only clients can tell the outage; give --probe, or leave --budget out")
	}
	return all
}

// lacking says why a real server gets no new clients; empty: it gets them.
func (p place) lacking() string {
	srv := p.server
	switch {
	case srv.Leaving:
		return "leaves, because it is no longer in the configuration,"
	case srv.Sorry:
		return "is a sorry server, and serves no clients"
	case srv.Disabled:
		return "is disabled"
	case srv.Drained:
		return "is drained"
	case srv.Maintenance != "":
		return "is drained for maintenance, because " + srv.Maintenance + " exists,"
	case srv.Health == "unhealthy":
		return "is unhealthy (" + srv.Reason + ")"
	case srv.Health == "unknown":
		return "is not known to be healthy"
	case srv.EffectiveWeight == 0 && srv.Note != "":
		return "has weight 0 (" + srv.Note + ")"
	case srv.EffectiveWeight == 0:
		return "has weight 0"
	}
	return ""
}

// leaves reports whether a real server is out of the table while another one is disabled.
func (p place) leaves(name string) bool { return p.name() == name || p.server.Tracks == name }

// ending counts the established connections that end with a real server, and with those that follow it.
func (s *Situation) ending(name string) (n int) {
	for _, p := range placesOf(&s.Here) {
		if p.leaves(name) {
			n += p.server.Active
		}
	}
	return n
}

// missed are the services of a director that cannot do without a real server.
func (s *Situation) missed(is *api.Status, name string) (all []string) {
	refuse := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for i := range is.Services {
		svc := &is.Services[i]
		gone := ""
		serving, up, judged, weight := 0, 0, 0, 0
		for j := range svc.Servers {
			p := place{svc, &svc.Servers[j]}
			switch {
			case p.leaves(name):
				gone = p.name()
				continue
			case p.well():
				up, weight = up+1, weight+p.full()
				judged++
			case p.server.Health == "unhealthy" && !p.server.Drained && !p.server.Disabled:
				judged++
			}
			if p.serves() {
				serving++
			}
		}
		switch {
		case gone == "":
		case svc.QuorumLost:
			refuse("service %s has lost its quorum on %s", svc.Name, is.Name)
		case svc.Panic:
			refuse("service %s has too few healthy servers on %s", svc.Name, is.Name)
		case serving == 0:
			refuse("%s is the last healthy server of service %s on %s", gone, svc.Name, is.Name)
		case weight < svc.Quorum:
			refuse("service %s would lose its quorum on %s: without %s its weight is %d, and %d is needed", svc.Name, is.Name, gone, weight, svc.Quorum)
		case float64(up) < svc.PanicBelow*float64(judged):
			refuse("service %s would send clients to its unhealthy servers on %s: without %s only %d of %d servers are healthy (panic_below)",
				svc.Name, is.Name, gone, up, judged)
		}
	}
	return all
}

// ServerItems says what weight a real server has on the directors. A weight that is not the full one can change at any time: the
// server asks for it, or it starts slowly.
func ServerItems(name string, full bool, statuses ...*api.Status) (all []Item) {
	for _, is := range statuses {
		p, err := findServer(is, name)
		text := "gone"
		if err == nil {
			if text = fmt.Sprint(p.server.EffectiveWeight); !full && p.server.EffectiveWeight > 0 {
				text = "above 0"
			}
		}
		all = append(all, Item{"weight of " + name + " on " + is.Name, text})
	}
	return all
}

// FullWeight reports whether the real server of the drill has its full weight on both directors.
func (s *Situation) FullWeight() bool {
	for _, is := range []*api.Status{&s.Here, &s.There} {
		if p, err := findServer(is, s.target()); err != nil || p.server.EffectiveWeight != p.full() {
			return false
		}
	}
	return true
}

// Target is the full name of the real server that the drill is about; empty: it is about none.
func (s *Situation) Target() string {
	if s.Order.Kind != RealServer {
		return ""
	}
	return s.target()
}

// judgeServer completes the report with how the real server left and came back.
func (s *Situation) judgeServer(r *Report, o *Observed, fail func(format string, args ...any)) {
	name := s.target()
	is := &Server{Name: name, Weights: []Weight{}}
	r.Server = is
	if o.Out != nil && o.Out.Problem == "" {
		is.Out = seconds(o.Out.Took)
	}
	switch {
	case o.Out == nil: // it was not taken out
	case o.Back == nil:
		fail("it is not known when both kernels had %s again", name)
	case o.Back.Problem != "":
		fail("it is not known when both kernels had %s again: %s", name, o.Back.Problem)
	default:
		is.Back = seconds(o.Back.Took)
	}
	for _, side := range [][2]*api.Status{{&s.Here, o.HereAfter}, {&s.There, o.ThereAfter}} {
		w := Weight{Director: side[0].Name}
		if p, err := findServer(side[0], name); err == nil {
			w.Before = p.server.EffectiveWeight
		}
		if side[1] != nil {
			if p, err := findServer(side[1], name); err == nil {
				w.After = new(p.server.EffectiveWeight)
			}
		}
		is.Weights = append(is.Weights, w)
	}
	if o.Missing != "" {
		fail("it is not known whether a virtual router moved: %s", o.Missing)
		return
	}
	for _, router := range s.names() {
		// The histories begin before the fault: the virtual router may just have come here.
		if all := transitions(o.Here, router, o.Fault); len(all) > 0 {
			fail("virtual router %s moved: it %s: %s", router, all[0].What, all[0].Cause)
		}
	}
}

// text says how the real server left and came back.
func (v *Server) text() string {
	text := fmt.Sprintf("%s: out of both kernels after %s, back in both after %s", v.Name, orDash(v.Out), orDash(v.Back))
	for _, w := range v.Weights {
		after := "not known"
		if w.After != nil {
			after = fmt.Sprint(*w.After)
		}
		text += fmt.Sprintf("; weight on %s: %d before, %s after", w.Director, w.Before, after)
	}
	return text
}
