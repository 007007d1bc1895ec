// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"slices"
	"time"
)

// A Member is a real server of a service, with everything that decides its weight. Pool ignores Server.Weight. It sets
// Input.Now, Input.SlowStart and Input.OnFailure from its own input.
type Member struct {
	Server Server
	Input  WeightInput
}

// A PoolState is the state that Pool needs from its last call. The zero value is a pool that has quorum.
type PoolState struct {
	QuorumLost bool
}

// A PoolInput is a service's real servers and rules at one moment. Pool changes nothing in it.
type PoolInput struct {
	Members   []Member
	Scheduler string // of the service
	Now       time.Time
	OnFailure OnFailure
	// RemoveAfter is how long a server of weight 0 stays in the table; 0: for ever.
	RemoveAfter time.Duration
	SlowStart   time.Duration // from a server's first verdict "up" to its full weight; 0: full weight at once

	// The pool loses its quorum when the weights of the servers that are up sum to less than Quorum - Hysteresis, and
	// regains it when they reach Quorum + Hysteresis. Quorum 0: never lost.
	Quorum     int
	Hysteresis int
	// Sorry is the server that serves while quorum is lost; none if its address is not valid. It is not one of Members.
	Sorry Server
	// PanicBelow is a share of the members, 0 to 1. If a smaller share is up, all that are down are treated as up. 0: never.
	PanicBelow float64

	State PoolState // from the last output
}

// A PoolOutput is the wanted part of the kernel's table.
type PoolOutput struct {
	Servers []Server
	Up      int       // members that are up and neither disabled nor draining
	Panic   bool      // servers that are down are treated as up
	Sorry   bool      // the sorry server serves
	Next    time.Time // when time alone next changes something; zero: never
	State   PoolState // for the next input
}

// Pool returns the wanted table of one service at in.Now. It is a pure function.
//
// Quorum counts weights, panic counts servers. A server without a verdict yet prevents the loss of quorum, but does not help
// to regain it, and does not count for the panic. One exception: if no server serves and one has failed, the sorry server
// serves, even if other servers have no verdict yet. While quorum is lost and there is a sorry server, the sorry server has
// weight 1 and all others have 0, so that their connections continue. Without a sorry server, the loss changes no weight.
//
// A server of weight 1 that starts slowly, or that reports 75 %, needs a weight below 1, which the kernel does not have.
// While there is such a server, all weights of the service are multiplied by a common factor. It is the smallest factor that
// gives each such server a weight for every step or percent, within MaxWeight. The schedulers sh, ovf, lblc and lblcr do not
// only compare weights. With them the factor is 1, and such a server has weight 1.
func Pool(in PoolInput) PoolOutput {
	members := slices.Clone(in.Members)
	count := tally{}
	for i := range members {
		m := &members[i].Input
		m.Now, m.SlowStart, m.OnFailure, m.RemoveAfter = in.Now, in.SlowStart, in.OnFailure, in.RemoveAfter
		count.add(*m)
	}
	out := PoolOutput{Up: count.up, State: PoolState{QuorumLost: in.quorumLost(count)}}
	out.Sorry = out.State.QuorumLost && in.Sorry.Addr.IsValid()
	out.Panic = !out.Sorry && count.judged > 0 && float64(count.up) < in.PanicBelow*float64(count.judged)
	if out.Panic {
		for i := range members {
			if m := &members[i].Input; m.Health == HealthDown {
				m.Health, m.UpSince = HealthUp, time.Time{}
			}
		}
	}
	factor := 1
	if !out.Sorry {
		if factor, out.Next = scale(members); !sharesOnly(in.Scheduler) {
			factor = 1
		}
	}
	for _, m := range members {
		weight, present := m.Input.weight(factor)
		if !present {
			continue
		}
		if at := m.Input.ZeroSince.Add(in.RemoveAfter); weight == 0 && m.Input.expires() && (out.Next.IsZero() || at.Before(out.Next)) {
			out.Next = at
		}
		if m.Server.Weight = weight; out.Sorry {
			m.Server.Weight = 0
		}
		out.Servers = append(out.Servers, m.Server)
	}
	if out.Sorry {
		sorry := in.Sorry
		sorry.Weight = 1
		out.Servers = append(out.Servers, sorry)
	}
	return out
}

// A tally counts a pool's members, except those that are disabled or draining.
type tally struct {
	up      int // members that are up
	judged  int // members of known health
	weight  int // of those that are up
	perhaps int // weight of the members whose health is unknown and that serve meanwhile
	waiting int // weight of the members whose health is unknown and that do not serve
}

func (t *tally) add(in WeightInput) {
	switch {
	case in.Disabled || in.Draining:
		return
	case in.up():
		t.up++
		t.weight += in.full()
	case in.Health != HealthDown && in.InKernel && in.KernelWeight > 0:
		t.perhaps += in.full()
		return
	case in.Health != HealthDown:
		t.waiting += in.full()
		return
	}
	t.judged++
}

// quorumLost applies the hysteresis to the last state.
func (in PoolInput) quorumLost(t tally) bool {
	if in.State.QuorumLost {
		return in.Quorum > 0 && t.weight < in.Quorum+in.Hysteresis
	}
	serves := t.weight + t.perhaps
	if !in.Sorry.Addr.IsValid() || t.judged == 0 || serves > 0 {
		serves += t.waiting
	}
	return serves < in.Quorum-in.Hysteresis
}

// scale returns the factor of all weights, and the time of the next step of a slow start.
func scale(members []Member) (factor int, next time.Time) {
	factor, largest := 1, 1
	for _, m := range members {
		in := m.Input
		largest = max(largest, in.full())
		if in.Advised && !in.Overridden && in.Configured > 0 {
			factor = max(factor, (100+in.Configured-1)/in.Configured)
		}
		if in.Disabled || in.Draining || !in.up() || in.full() == 0 || !in.ramping() {
			continue
		}
		factor = max(factor, (slowStartSteps+in.full()-1)/in.full())
		if at := in.nextStep(); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return max(1, min(factor, MaxWeight/largest)), next
}
