// SPDX-License-Identifier: Apache-2.0

package lvs

import "time"

// A Health is what is known of a real server when its weight is computed.
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

// OnFailure is what becomes of a real server that is down.
type OnFailure uint8

// The actions, by their names in configuration: weight-zero, remove. A server of weight 0 keeps its connections; one
// that is removed loses them.
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

	// InKernel and KernelWeight are what the kernel's table held when the director started.
	InKernel     bool
	KernelWeight int

	// What an operator has asked for.
	Disabled   bool // not to be in the table
	Draining   bool // no new connections
	Overridden bool // Override takes the place of Configured
	Override   int  // 0 to 65535

	// A server that came up at UpSince has its full weight SlowStart later; a zero UpSince is long ago.
	UpSince   time.Time
	SlowStart time.Duration
	Now       time.Time
}

// Weight is the weight that a real server should have in the kernel's table, and whether it should be there at all.
//
// A server without a verdict yet keeps what the kernel has, so that a restart of the director disturbs nobody; a
// server that is new to the kernel gets no connection before its first check has passed.
func Weight(in WeightInput) (weight int, present bool) {
	switch in.Health {
	case HealthUp, HealthUnchecked:
		return in.Configured, true
	case HealthUnknown:
		if in.InKernel {
			return in.KernelWeight, true
		}
	}
	return 0, in.OnFailure != Remove
}
