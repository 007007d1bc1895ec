// SPDX-License-Identifier: Apache-2.0

package lab

import "iter"

// InOrder does something with all items, n at a time, and returns the results in the order of the items. Work that mostly waits can
// so be done beside other work.
func InOrder[I, R any](n int, items []I, do func(I) R) iter.Seq[R] {
	slots := make(chan struct{}, n)
	results := make([]chan R, len(items))
	for i, item := range items {
		results[i] = make(chan R, 1)
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] <- do(item)
		}()
	}
	return func(yield func(R) bool) {
		for _, is := range results {
			if !yield(<-is) {
				return
			}
		}
	}
}
