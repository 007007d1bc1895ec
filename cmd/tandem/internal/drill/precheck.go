// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// A Situation is what is known before a drill.
type Situation struct {
	Order Order
	Here  api.Status
	There api.Status // of the other director
	// Lacking is why the state of the other director is not known; empty: it is.
	Lacking   string
	UnderWay  bool      // another drill, here
	Processes []Process // the director first
	// Unit is the systemd unit of this director, which starts it again; empty: there is none.
	Unit     string
	Watchdog time.Duration // after this time systemd kills a director that is stopped; 0: never
	Links    map[string]Link
	StateDir string
	// SessionOn is the interface over which the operator is logged in; empty: not known, or at the machine itself.
	SessionOn string
	Probers   []Prober
	// Unfit is why this machine cannot make the fault; empty: it can.
	Unfit string
}

// mastered are the virtual routers whose master this director is.
func (s *Situation) mastered() (all []api.Router) {
	for _, r := range s.Here.VRRP {
		if r.State == "master" {
			all = append(all, r)
		}
	}
	return all
}

// names are those of the virtual routers that the drill is about.
func (s *Situation) names() (all []string) {
	for _, r := range s.mastered() {
		if !slices.Contains(all, r.Name) {
			all = append(all, r.Name)
		}
	}
	return all
}

// interfaces are those on which the virtual routers advertise.
func (s *Situation) interfaces() (all []string) {
	for _, r := range s.mastered() {
		if !slices.Contains(all, r.Interface) {
			all = append(all, r.Interface)
		}
	}
	return all
}

// undoTime is what is left between the end of a fault and the limit of the dead-man's switch.
const undoTime = 5 * time.Second

// Refusals returns why the drill must not be made, a sentence each. Empty: it can be made.
func (s *Situation) Refusals() (all []string) {
	refuse := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if s.UnderWay {
		refuse("another drill is under way on this director: wait for its end")
	}
	if s.Unfit != "" {
		refuse("%s", s.Unfit)
	}
	for _, p := range s.Probers {
		if p.Problem != "" {
			refuse("the prober at %s cannot be used: %s", p.Address, p.Problem)
		}
	}
	if least := s.hold() + undoTime; s.Order.Max < least {
		refuse("--max %s is too short: the fault lasts %s; give at least %s", s.Order.Max, s.hold(), least)
	}
	all = append(all, s.refusedHere()...)
	if p := s.Here.Peer; p == nil {
		refuse("there is no peer: this director has no channel to another one: see tandem peer init --help")
		return all
	} else if s.Lacking != "" || !p.To.Up || !p.From.Up {
		why := s.Lacking
		if why == "" {
			why = strings.TrimSpace(p.To.Problem + " " + p.From.Problem)
		}
		refuse("the other director cannot be asked: %s", why)
		return all
	}
	if s.Order.Kind == RealServer {
		return slices.Concat(all, s.refusedPair(), s.refusedServer())
	}
	return slices.Concat(all, s.refusedPair(), s.refusedRouters(), s.refusedServices(), s.refusedKind())
}

// Notes are what the operator should know before the drill.
func (s *Situation) Notes() (all []string) {
	if s.Order.Kind.takesDown() && s.SessionOn != "" && slices.Contains(s.interfaces(), s.SessionOn) {
		all = append(all, fmt.Sprintf("your session comes over %s, and stands still for %s", s.SessionOn, s.hold()))
	}
	if n := s.ending(s.Target()); s.Order.Kind == RealServer && n > 0 {
		all = append(all, fmt.Sprintf("%s to %s end", summary.Counted(n, "established connection"), s.Target()))
	}
	return all
}

// refusedHere is what is wrong with this director alone.
func (s *Situation) refusedHere() (all []string) {
	if len(s.mastered()) == 0 {
		all = append(all, "this director is master of no virtual router: run the drill on the master")
	}
	moves := s.Order.Kind.Moves()
	for _, r := range s.Here.VRRP {
		switch {
		case r.Standby && moves:
			all = append(all, fmt.Sprintf("virtual router %s is in standby by command: run tandem release first", r.Name))
		case r.HandingOver:
			all = append(all, fmt.Sprintf("virtual router %s hands over at this moment: try again", r.Name))
		case r.TwoMasters.Since != nil:
			all = append(all, fmt.Sprintf("virtual router %s has two masters: run tandem doctor", r.Name))
		case !moves:
		case r.State == "master" && !r.Preempt && !s.Order.Stay:
			all = append(all, fmt.Sprintf("virtual router %s would stay on the peer, because it has preempt = false: allow that with --stay", r.Name))
		case r.State == "master" && r.EffectivePriority < r.Priority:
			all = append(all, fmt.Sprintf("virtual router %s would stay on the peer, because its priority is lowered from %d to %d: see tandem why %s",
				r.Name, r.Priority, r.EffectivePriority, r.Name))
		}
	}
	return all
}

// refusedPair is what is wrong between the directors.
func (s *Situation) refusedPair() (all []string) {
	if d := s.There.Drill; d != nil {
		all = append(all, fmt.Sprintf("a drill is under way on %s: %s", s.There.Name, d.Kind))
	}
	for _, d := range s.Here.Peer.Drift {
		if d.Wrong {
			all = append(all, "the configurations are unequal: "+d.Text)
		}
	}
	for _, is := range []api.Status{s.Here, s.There} {
		if is.Config.Waits != nil {
			all = append(all, fmt.Sprintf("a configuration of %s waits for confirmation: run tandem confirm or tandem rollback there first", is.Name))
		}
		if is.Table != nil {
			all = append(all, fmt.Sprintf("the IPVS table of %s is not in line: %s", is.Name, is.Table.Warning))
		}
	}
	return all
}

// refusedRouters are the virtual routers that the peer would not take over.
func (s *Situation) refusedRouters() (all []string) {
	for _, r := range s.mastered() {
		o, why := s.counterpart(r)
		switch {
		case why != "":
			all = append(all, why)
		case o.State != "backup":
			all = append(all, fmt.Sprintf("%s would not take virtual router %s over: it is in state %s there, want backup: %s", s.There.Name, r.Name, o.State, o.Reason))
		case o.Standby:
			all = append(all, fmt.Sprintf("%s would not take virtual router %s over: it is in standby there: run tandem release there first", s.There.Name, r.Name))
		case o.EffectivePriority < o.Priority:
			all = append(all, fmt.Sprintf("%s is not well enough to take virtual router %s over: its priority there is lowered from %d to %d",
				s.There.Name, r.Name, o.Priority, o.EffectivePriority))
		}
	}
	return all
}

// counterpart returns a virtual router as the peer has it, or says that it has none.
func (s *Situation) counterpart(r api.Router) (o api.Router, why string) {
	i := slices.IndexFunc(s.There.VRRP, func(o api.Router) bool { return o.Name == r.Name && o.Family == r.Family })
	if i < 0 {
		return o, fmt.Sprintf("%s has no virtual router %s", s.There.Name, r.Name)
	}
	return s.There.VRRP[i], ""
}

// refusedServices are the services that clients would lose, and their connections.
func (s *Situation) refusedServices() (all []string) {
	lost, reason := s.connectionsAtRisk("here")
	if lost > s.Order.Lose {
		all = append(all, fmt.Sprintf("%d established connections would not survive: %s: allow that with --lose %d", lost, reason, lost))
	}
	for _, svc := range s.Here.Services {
		i := slices.IndexFunc(s.There.Services, func(o api.Service) bool { return o.Name == svc.Name })
		switch {
		case i < 0:
			all = append(all, fmt.Sprintf("%s has no service %s", s.There.Name, svc.Name))
		case svc.Up > 0 && s.There.Services[i].Up == 0:
			all = append(all, fmt.Sprintf("%s has no healthy server for service %s", s.There.Name, svc.Name))
		case !svc.QuorumLost && s.There.Services[i].QuorumLost:
			all = append(all, fmt.Sprintf("service %s has lost its quorum on %s", svc.Name, s.There.Name))
		}
	}
	return all
}

// tryAgain is what an operator can do about connections that are not synced yet.
const tryAgain = ": try again in a second"

// connectionsAtRisk returns how many established connections the peer does not know, and why. here says where this director is.
func (s *Situation) connectionsAtRisk(here string) (n int, reason string) {
	has := func(is api.Status, role string) (api.Sync, bool) {
		i := slices.IndexFunc(is.Sync, func(d api.Sync) bool { return d.Role == role })
		if i < 0 {
			return api.Sync{}, false
		}
		return is.Sync[i], true
	}
	sender, sends := has(s.Here, "master")
	receiver, receives := has(s.There, "backup")
	reason = s.There.Name + " does not have them yet" + tryAgain
	var known map[string]int
	switch {
	case !sends:
		reason = "no connection sync runs " + here + ": see [lvs] sync"
	case !receives:
		reason = "no connection sync runs on " + s.There.Name + ": see [lvs] sync"
	case sender.ID != receiver.ID:
		reason = fmt.Sprintf("the connection sync has id %d %s and %d on %s", sender.ID, here, receiver.ID, s.There.Name)
	default:
		known = established(&s.There)
	}
	for name, active := range established(&s.Here) {
		n += max(0, active-known[name])
	}
	return n, reason
}

// Unknown returns how many established connections the other director does not know, with the states that both have now.
func (s *Situation) Unknown(here, there api.Status) int {
	now := Situation{Here: here, There: there}
	n, _ := now.connectionsAtRisk("here")
	return n
}

// established counts the active connections of each real server.
func established(is *api.Status) map[string]int {
	all := make(map[string]int)
	for _, p := range placesOf(is) {
		all[p.name()] += p.server.Active
	}
	return all
}

// silenceLimit is how long the director can be stopped before systemd kills it; 0: for any time. When it is stopped, its last sign of
// life for systemd is up to a quarter of WatchdogSec old.
func (s *Situation) silenceLimit() time.Duration { return s.Watchdog - s.Watchdog/4 }

// refusedKind is what only this kind cannot do.
func (s *Situation) refusedKind() (all []string) {
	refuse := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	switch s.Order.Kind {
	case Crash, Freeze:
		if len(s.victims()) == 0 {
			refuse("the processes of this director are not found: run the drill as root on the machine of the director")
		}
		if s.Order.Kind == Crash && s.kills(DirectorProcess) && s.Unit == "" {
			refuse("nothing would start this director again: it is not a systemd service with Restart=; a crash with --process election can be made")
		}
		if limit := s.silenceLimit(); s.Order.Kind == Freeze && s.kills(DirectorProcess) && limit > 0 && s.hold() >= limit {
			refuse("systemd would kill the stopped director after %s (WatchdogSec is %s): give a shorter --hold than %s, or a longer WatchdogSec",
				limit, s.Watchdog, limit)
		}
	case Silence:
		for _, r := range s.mastered() {
			if r.AddressInterface != "" && r.AddressInterface != r.Interface {
				refuse("the advertisements of virtual router %s leave from a virtual MAC address, which firewall rules do not see", r.Name)
			}
		}
		if s.Order.Budget >= 0 && len(s.Probers) == 0 {
			refuse("--budget: both directors are master in this drill, so their histories do not tell what clients saw; give --probe, or leave --budget out")
		}
	case Disk:
		if s.StateDir == "" {
			refuse("the state directory is not known: name the configuration with -c")
		}
	}
	return all
}
