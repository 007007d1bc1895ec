// SPDX-License-Identifier: Apache-2.0

package director

import (
	"slices"
	"testing"
	"time"
)

func TestOneProcessorForLittleWork(t *testing.T) {
	var used time.Duration
	now, set := time.Now(), []int{}
	p := &processors{
		all: 4, used: func() time.Duration { return used }, now: func() time.Time { return now },
		set: func(n int) { set = append(set, n) },
	}
	p.adjust()
	for _, step := range []struct {
		what  string
		part  float64 // of one processor
		looks int
		want  []int // the numbers that are set
	}{
		{"little to do, but not for long", 0.02, quietLooks - 1, nil},
		{"some work", 0.15, 1, nil},
		{"little to do again", 0.02, quietLooks - 1, nil},
		{"and for long", 0.02, 10, []int{1}},
		{"some work for one processor", 0.2, 10, nil},
		{"more", 0.9, 1, []int{4}},
		{"more than one processor could do", 2.5, 10, nil},
		{"some work", 0.15, 10, nil},
		{"little to do", 0.02, quietLooks, []int{1}},
	} {
		set = nil
		for range step.looks {
			now = now.Add(time.Second)
			used += time.Duration(step.part * float64(time.Second))
			p.adjust()
		}
		if !slices.Equal(set, step.want) {
			t.Errorf("%s: set %v, want %v", step.what, set, step.want)
		}
	}
}
