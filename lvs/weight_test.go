// SPDX-License-Identifier: Apache-2.0

package lvs

import "testing"

func TestWeight(t *testing.T) {
	const (
		absent = -1 // from the kernel's table
		conf   = 10 // the configured weight
	)
	for _, c := range []struct {
		health    Health
		onFailure OnFailure
		kernel    int
		want      int
	}{
		{HealthUnchecked, WeightZero, absent, conf},
		{HealthUnchecked, WeightZero, 3, conf},
		{HealthUnchecked, Remove, absent, conf},
		{HealthUnchecked, Remove, 0, conf},

		{HealthUp, WeightZero, absent, conf},
		{HealthUp, WeightZero, 0, conf},
		{HealthUp, Remove, absent, conf},
		{HealthUp, Remove, 3, conf},

		{HealthDown, WeightZero, absent, 0},
		{HealthDown, WeightZero, 3, 0},
		{HealthDown, Remove, absent, absent},
		{HealthDown, Remove, 3, absent},

		{HealthUnknown, WeightZero, absent, 0},
		{HealthUnknown, WeightZero, 3, 3}, // a restart: what is there stands
		{HealthUnknown, WeightZero, 0, 0},
		{HealthUnknown, Remove, absent, absent},
		{HealthUnknown, Remove, 3, 3},
		{HealthUnknown, Remove, 0, 0},
	} {
		in := WeightInput{Configured: conf, Health: c.health, OnFailure: c.onFailure}
		if c.kernel != absent {
			in.InKernel, in.KernelWeight = true, c.kernel
		}
		got, present := Weight(in)
		if !present {
			if got != 0 {
				t.Errorf("%s, %s: absent with weight %d", c.health, c.onFailure, got)
			}
			got = absent
		}
		if got != c.want {
			t.Errorf("%s, %s, kernel has %d: got %d, want %d", c.health, c.onFailure, c.kernel, got, c.want)
		}
	}
}

// A server that is kept stays in the table when it is down, and nothing else is different for it.
func TestWeightOfAServerThatIsKept(t *testing.T) {
	for _, c := range []struct {
		in      WeightInput
		weight  int
		present bool
	}{
		{WeightInput{Health: HealthDown, OnFailure: Remove}, 0, true},
		{WeightInput{Health: HealthDown, OnFailure: WeightZero}, 0, true},
		{WeightInput{Health: HealthUp, OnFailure: Remove}, 10, true},
		{WeightInput{Health: HealthUp, OnFailure: Remove, Draining: true}, 0, true},
		{WeightInput{Health: HealthDown, OnFailure: Remove, Disabled: true}, 0, false},
	} {
		c.in.Configured, c.in.Kept = 10, true
		if weight, present := Weight(c.in); weight != c.weight || present != c.present {
			t.Errorf("%+v: %d, %t", c.in, weight, present)
		}
	}
}
