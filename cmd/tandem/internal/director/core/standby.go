// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// failoverGrace is the time that a failover may take in addition to the maximum time of a hand-over on the wire.
const failoverGrace = 2 * time.Second

// A handOver is a failover that is under way.
type handOver struct {
	request  Request
	by       string
	routers  []configs.Router
	names    []string
	offered  bool   // the routers were told to hand over
	sequence uint64 // the order that the election must carry out before the routers hand over
	begun    map[string]bool
	notes    []string
	deadline time.Time // of the present phase
}

// emitElection puts the order to the election into the effects, if it has changed. The supervisor numbers the orders from 1
// on, and orderSeq counts them in the same way. Reports name the latest order that was carried out.
func (s *State) emitElection() {
	if !s.reorder {
		return
	}
	s.reorder = false
	s.orderSeq++
	order := message.Order{LogLevel: s.cfg.Log.Level, OrphanGrace: s.cfg.Election.OrphanGrace}
	for _, r := range s.cfg.Routers {
		order.Routers = append(order.Routers, message.Router{
			Config: r.Config, Announce: r.Announce,
			Secrets: r.HMAC.Secrets(), Tracking: s.tracking[r.Name], Standby: slices.Contains(s.standby, r.Name),
		})
	}
	s.out.Election = &order
}

// nextOrder returns the sequence of the order that will contain all present changes.
func (s *State) nextOrder() uint64 {
	if s.reorder {
		return s.orderSeq + 1
	}
	return s.orderSeq
}

// standBy puts routers into standby, or ends their standby.
func (s *State) standBy(names []string, on bool) {
	now := slices.DeleteFunc(slices.Clone(s.standby), func(n string) bool { return slices.Contains(names, n) })
	if on {
		now = slices.Sorted(slices.Values(append(now, names...)))
	}
	if slices.Equal(s.standby, now) {
		return
	}
	s.standby, s.reorder = now, true
	s.store(StandbyFile, now)
}

func (ev Failover) on(s *State) {
	if s.handOver != nil {
		s.queued = append(s.queued, ev)
		return
	}
	routers, err := s.mastered(ev.Routers)
	if err != nil {
		s.out.Replies = append(s.out.Replies, Reply{Request: ev.Request, Err: err})
		return
	}
	h := &handOver{request: ev.Request, by: ev.By, routers: s.withGroups(routers), begun: make(map[string]bool), deadline: s.now.Add(failoverGrace)}
	for _, r := range h.routers {
		h.names = append(h.names, r.Name)
	}
	s.recordRouters(h.names, "must hand over", ev.By)
	h.notes = s.handOverNotes(h.names)
	for _, n := range h.notes {
		s.log(Warn, "hands over, although the other director waits for connections", "reason", n)
	}
	// A router that was in standby already may be master because its peer died. It hands over again.
	s.standBy(h.names, false)
	h.sequence = s.nextOrder()
	s.handOver = h
}

func (ev Release) on(s *State) {
	if s.handOver != nil {
		s.queued = append(s.queued, ev)
		return
	}
	answer := Reply{Request: ev.Request}
	if _, answer.Err = s.named(ev.Routers); answer.Err == nil {
		answer.Routers = slices.Clone(s.standby)
		if len(ev.Routers) > 0 {
			answer.Routers = slices.DeleteFunc(answer.Routers, func(n string) bool { return !slices.Contains(ev.Routers, n) })
		}
		if len(answer.Routers) > 0 {
			s.standBy(answer.Routers, false)
			s.logOrder("released on command", ev.By, "routers", answer.Routers)
			s.recordRouters(answer.Routers, "takes part in the election again", ev.By)
		}
		s.answerLater(answer, StandbyFile, false)
		return
	}
	s.out.Replies = append(s.out.Replies, answer)
}

// continueHandOver takes the next step of a failover, when the election is ready for it.
func (s *State) continueHandOver() {
	h := s.handOver
	if h == nil {
		return
	}
	over := !s.now.Before(h.deadline)
	if !h.offered {
		if s.report.Sequence < h.sequence && !over {
			return
		}
		h.offered, h.deadline, over = true, s.now.Add(h.timeout()), false
		s.standBy(h.names, true)
	}
	handed, refused, unsettled := s.handedOver(h, over)
	if len(unsettled) > 0 && !over {
		return
	}
	s.handOver = nil
	if len(handed) > 0 {
		s.logOrder("handed over on command", h.by, "routers", handed)
	}
	for _, name := range slices.Concat(refused, unsettled) {
		s.record(api.Event{
			Kind: api.EventOrder, On: api.OnRouter, Name: name, What: "was not handed over", Cause: cmp.Or(s.stateOf(name).Reason, "it took too long"),
		})
	}
	var errs []error
	if len(refused) > 0 {
		errs = append(errs, fmt.Errorf("nobody took over %s: this director is still master of it, and clients have noticed nothing; "+
			"see whether tandem runs on the peer, and whether VRRP passes between the two", listed(refused)))
	}
	if len(unsettled) > 0 {
		errs = append(errs, fmt.Errorf("the hand-over of %s was interrupted: see tandem status", listed(unsettled)))
	}
	s.standBy(slices.Concat(refused, unsettled), false)
	s.answerLater(Reply{Request: h.request, Routers: handed, Err: errors.Join(errs...), Notes: h.notes}, StandbyFile, false)
	queued := s.queued
	s.queued = nil
	for _, ev := range queued {
		ev.on(s)
	}
	s.continueHandOver()
}

func (h *handOver) timeout() time.Duration {
	timeout := failoverGrace
	for _, r := range h.routers {
		timeout = max(timeout, r.OfferTime()+failoverGrace)
	}
	return timeout
}

// handedOver sorts the routers of a failover by its result so far: the peer has taken over, nobody has, or this is not known
// yet.
func (s *State) handedOver(h *handOver, over bool) (handed, refused, unsettled []string) {
	for _, name := range h.names {
		is := s.stateOf(name)
		h.begun[name] = h.begun[name] || is.HandingOver
		switch {
		case is.State == vrrp.Backup && is.Standby:
			handed = append(handed, name)
		case is.State == vrrp.Master && !is.HandingOver && (h.begun[name] || over):
			refused = append(refused, name)
		default:
			unsettled = append(unsettled, name)
		}
	}
	return handed, refused, unsettled
}

// named returns the configured routers of these names. Without names, it returns all.
func (s *State) named(names []string) ([]configs.Router, error) {
	if len(names) == 0 {
		return s.cfg.Routers, nil
	}
	var all []configs.Router
	var known []string
	for _, r := range s.cfg.Routers {
		known = append(known, r.Name)
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("there is no virtual router %q: this director has %s", name, listed(known))
		}
		all = append(all, s.cfg.Routers[i])
	}
	return all, nil
}

// mastered returns the named routers of which this director is master. It is an error if this director is not master of a
// named router, or of none at all.
func (s *State) mastered(names []string) ([]configs.Router, error) {
	routers, err := s.named(names)
	if err != nil {
		return nil, err
	}
	var all []configs.Router
	for _, r := range routers {
		switch state := s.stateOf(r.Name).State; {
		case state == vrrp.Master:
			all = append(all, r)
		case len(names) > 0:
			return nil, fmt.Errorf("%s is %s here: there is nothing to hand over; give the command to the master", r.Name, state)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("this director is master of nothing: there is nothing to hand over")
	}
	return all, nil
}

// withGroups adds the other members of the routers' sync groups: one alone cannot be handed over.
func (s *State) withGroups(routers []configs.Router) []configs.Router {
	in := func(r configs.Router) bool {
		return slices.ContainsFunc(routers, func(chosen configs.Router) bool {
			return r.Name == chosen.Name || r.SyncGroup != "" && r.SyncGroup == chosen.SyncGroup
		})
	}
	return slices.DeleteFunc(slices.Clone(s.cfg.Routers), func(r configs.Router) bool { return !in(r) })
}

// stateOf returns the latest state of a router from the election.
func (s *State) stateOf(name string) vrrp.Status {
	for _, is := range s.report.Routers {
		if is.Name == name {
			return is
		}
	}
	return vrrp.Status{State: vrrp.Initialize}
}
