// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"slices"
	"sync/atomic"
	"testing"
)

// TestInOrder: the results are in the order of the items although the first is done last, and no more than n are done at a time.
func TestInOrder(t *testing.T) {
	const n = 3
	var busy, most atomic.Int32
	others := make(chan struct{}, 9)
	got := slices.Collect(InOrder(n, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, func(i int) int {
		now := busy.Add(1)
		defer busy.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		if i > 0 {
			others <- struct{}{}
			return i
		}
		for range cap(others) {
			<-others
		}
		return i
	}))
	if !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) || most.Load() > n {
		t.Errorf("%v, %d at a time", got, most.Load())
	}
	for range InOrder(1, []int{1, 2}, func(i int) int { return i }) {
		break // the others are done all the same
	}
}
