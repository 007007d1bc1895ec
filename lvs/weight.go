// SPDX-License-Identifier: Apache-2.0

package lvs

import "time"

// A Health is what is known about a real server when its weight is computed.
type Health uint8

// The healths. Unknown: checked, but no verdict yet. Unchecked: there is no check.
const (
	HealthUnknown Health = iota + 1
	HealthUp
	HealthDown
	HealthUnchecked
)

var healthNames = []string{
	HealthUnknown: "unknown", HealthUp: "up", HealthDown: "down", HealthUnchecked: "unchecked",
}

func (h Health) String() string { return enumName("health", healthNames, h) }

// OnFailure is the treatment of a real server that is down.
type OnFailure uint8

// The actions, by their names in configuration: weight-zero, remove. A server of weight 0 keeps its connections, even if it
// is dead and does not answer. The connections of a removed server end with a reset.
const (
	WeightZero OnFailure = iota + 1
	Remove
)

var onFailureNames = []string{WeightZero: "weight-zero", Remove: "remove"}

func (o OnFailure) String() string { return enumName("failure action", onFailureNames, o) }

// ParseOnFailure is the inverse of String: weight-zero, remove.
func ParseOnFailure(s string) (OnFailure, error) {
	return parseEnum[OnFailure]("failure action", onFailureNames, s)
}

// MarshalText implements encoding.TextMarshaler.
func (o OnFailure) MarshalText() ([]byte, error) {
	return marshalEnum("failure action", onFailureNames, o)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *OnFailure) UnmarshalText(b []byte) (err error) {
	*o, err = ParseOnFailure(string(b))
	return err
}

// A WeightInput is everything that decides a real server's weight.
type WeightInput struct {
	Configured int // 0 to 65535
	Health     Health
	OnFailure  OnFailure
	// Kept: it may be this machine that does not reach the server. If the server is down, it stays in the table, whatever
	// OnFailure is.
	Kept bool

	// InKernel and KernelWeight are from the kernel's table at the director's start.
	InKernel     bool
	KernelWeight int

	// If Advised, the server itself asks for Percent of its configured weight, 0 to 1000. The result is rounded up: only 0
	// percent results in weight 0.
	Advised bool
	Percent int

	// The operators' commands.
	Disabled   bool // not to be in the table
	Draining   bool // no new connections
	Overridden bool // Override replaces Configured
	Override   int  // 0 to 65535

	// A server that came up at UpSince has its full weight after SlowStart. Zero UpSince: long ago.
	UpSince   time.Time
	SlowStart time.Duration
	Now       time.Time

	// A server that has had weight 0 since ZeroSince leaves the table after RemoveAfter. With RemoveAfter 0, or zero ZeroSince, it
	// stays.
	ZeroSince   time.Time
	RemoveAfter time.Duration
}

// slowStartSteps is the number of steps in which a server's weight grows.
const slowStartSteps = 20

// Weight returns the weight that a real server should have in the kernel's table, and whether it should be in the table at
// all.
//
// The first rule that matches decides:
//
//   - A disabled server is not in the table.
//   - A draining server has weight 0.
//   - A server that is down has weight 0, or is not in the table. One that is kept stays.
//   - Any other server has the weight that an operator or the configuration gives it. During its slow start it has a part of
//     that, at least 1.
//   - In all cases, a server that has had weight 0 for too long is not in the table.
//
// A server without a verdict yet keeps its weight in the kernel, so that a restart of the director disturbs nobody. A server
// that is new to the kernel gets no connection before its first check has passed.
func Weight(in WeightInput) (weight int, present bool) { return in.weight(1) }

// weight returns Weight multiplied by factor. The weight in the kernel may have been multiplied by another factor. So if factor
// is above 1 and there is no result yet, only one thing matters about the weight in the kernel: whether it is 0.
func (in WeightInput) weight(factor int) (weight int, present bool) {
	weight, present = in.ruled(factor)
	return weight, present && (weight > 0 || !in.Expired())
}

// Expired reports whether the server has had weight 0 for too long.
func (in WeightInput) Expired() bool {
	return in.expires() && !in.Now.Before(in.ZeroSince.Add(in.RemoveAfter))
}

// expires reports whether the time of a server of weight 0 is limited.
func (in WeightInput) expires() bool { return in.RemoveAfter > 0 && !in.ZeroSince.IsZero() }

// ruled returns the weight by the rules, without the limit of its time at 0.
func (in WeightInput) ruled(factor int) (weight int, present bool) {
	switch {
	case in.Disabled:
		return 0, false
	case in.Draining:
		return 0, true
	case in.up():
		full := in.times(factor)
		if step := in.step(); step < slowStartSteps && full > 0 {
			return max(1, full*step/slowStartSteps), true
		}
		return full, true
	case in.Health == HealthUnknown && in.InKernel && in.KernelWeight > 0 && factor > 1:
		return in.times(factor), true
	case in.Health == HealthUnknown && in.InKernel:
		return in.KernelWeight, true
	}
	return 0, in.Kept || in.OnFailure != Remove
}

func (in WeightInput) up() bool { return in.Health == HealthUp || in.Health == HealthUnchecked }

// full returns the weight of the server when it is up and its slow start is over.
func (in WeightInput) full() int { return in.times(1) }

// times is full multiplied by factor, rounded last.
func (in WeightInput) times(factor int) int {
	switch {
	case in.Overridden:
		return in.Override * factor
	case in.Advised:
		return min((in.Configured*factor*in.Percent+99)/100, MaxWeight)
	}
	return in.Configured * factor
}

// ramping reports whether a slow start is under way.
func (in WeightInput) ramping() bool {
	return !in.UpSince.IsZero() && in.Now.Sub(in.UpSince) < in.SlowStart
}

// stepTime returns how long one step takes.
func (in WeightInput) stepTime() time.Duration { return max(1, in.SlowStart/slowStartSteps) }

// step returns the progress of the slow start, 1 to slowStartSteps. The first step is due at once.
func (in WeightInput) step() int {
	if !in.ramping() {
		return slowStartSteps
	}
	return min(max(1, int(in.Now.Sub(in.UpSince)/in.stepTime())), slowStartSteps-1)
}

// nextStep returns the time of the next step of a slow start.
func (in WeightInput) nextStep() time.Time {
	if step := in.step(); step < slowStartSteps-1 {
		return in.UpSince.Add(in.stepTime() * time.Duration(step+1))
	}
	return in.UpSince.Add(in.SlowStart)
}
