// SPDX-License-Identifier: Apache-2.0

package lvs

import "time"

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
