// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"slices"
	"time"
)

// A Member is a real server of a service with everything that decides its weight. The server's own weight and
// Input.Now, Input.SlowStart and Input.OnFailure are not looked at: they are the pool's.
type Member struct {
	Server Server
	Input  WeightInput
}

// A PoolState is what Pool must know of its last answer. The zero value is that of a pool that has quorum.
type PoolState struct {
	QuorumLost bool
}

// A PoolInput is a service's real servers and rules at one moment. It is a value; Pool changes nothing in it.
type PoolInput struct {
	Members   []Member
	Now       time.Time
	OnFailure OnFailure
	SlowStart time.Duration // how long a server takes from its first verdict "up" to its full weight; 0: no time

	// The pool loses its quorum when the weights of the servers that are up sum to less than Quorum - Hysteresis, and
	// regains it when they reach Quorum + Hysteresis. Quorum 0: never lost.
	Quorum     int
	Hysteresis int
	// Sorry serves while quorum is lost, if its address is valid, and is not one of the members.
	Sorry Server
	// PanicBelow is the share of the members, 0 to 1, below which all that are down are treated as up. 0: never.
	PanicBelow float64

	State PoolState // of the last answer
}

// A PoolOutput is what the kernel's table should hold.
type PoolOutput struct {
	Servers []Server
	Up      int       // members that are up and neither disabled nor draining
	Panic   bool      // servers that are down are treated as up
	Sorry   bool      // the sorry server serves
	Next    time.Time // when a slow start next changes a weight; zero: none is under way
	State   PoolState // for the next question
}

// Pool is the table of one service as it should be at in.Now. It is a pure function.
//
// Health counts by weight for the quorum, by servers for the panic. A server that has no verdict yet counts as what it
// may turn out to be: it keeps the quorum from being lost, does not regain it, and is left out of the panic's share.
// While quorum is lost and there is a sorry server, that one has weight 1 and all others have 0: connections that are
// there go on. Without a sorry server the loss changes no weight.
//
// There is no weight below 1 for a server of weight 1 that starts slowly, or says 75%: while there is such a one, all
// weights of the service are multiplied by a common factor, the smallest that gives each of those at least as many
// weights as steps or percents, as far as MaxWeight allows. Only ratios matter to the scheduler. Else the weights are
// the configured ones.
func Pool(in PoolInput) PoolOutput {
	members := slices.Clone(in.Members)
	count := tally{}
	for i := range members {
		m := &members[i].Input
		m.Now, m.SlowStart, m.OnFailure = in.Now, in.SlowStart, in.OnFailure
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
		factor, out.Next = scale(members)
	}
	for _, m := range members {
		weight, present := m.Input.weight(factor)
		if !present {
			continue
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

// A tally counts a pool's members, but for those that are disabled or draining.
type tally struct {
	up      int // members
	judged  int // members of known health
	weight  int // of those that are up
	perhaps int // weight of those whose health is not known
}

func (t *tally) add(in WeightInput) {
	switch {
	case in.Disabled || in.Draining:
		return
	case in.up():
		t.up++
		t.weight += in.full()
	case in.Health != HealthDown:
		t.perhaps += in.full()
		return
	}
	t.judged++
}

// quorumLost applies the hysteresis to the last state.
func (in PoolInput) quorumLost(t tally) bool {
	if in.State.QuorumLost {
		return in.Quorum > 0 && t.weight < in.Quorum+in.Hysteresis
	}
	return t.weight+t.perhaps < in.Quorum-in.Hysteresis
}

// scale returns the factor of all weights, and when the first of the servers that start slowly takes its next step.
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
