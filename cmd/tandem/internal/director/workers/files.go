// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"maps"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// Values are the latest values of files.
type Values map[core.File]core.FileValue

// MergeValues takes the latest value of each file.
func MergeValues(waiting, next Values) Values {
	all := maps.Clone(waiting)
	maps.Copy(all, next)
	return all
}

// Files writes the files that a restart needs.
type Files struct {
	Store func(core.FileValue) error
	Post  Post
	In    Mailbox[Values]
}

// Run writes until ctx ends and all earlier values are written. If a file cannot be written, it tries again, at the end once.
func (w *Files) Run(ctx context.Context) error {
	failed, last := make(Values), false
	var retry <-chan time.Time
	for {
		var next Values
		select {
		case next = <-w.In:
		case <-retry:
			next = failed
		case <-ctx.Done():
			select {
			case next = <-w.In:
			default:
				if last || len(failed) == 0 {
					return nil
				}
				last = true
			}
		}
		next = MergeValues(failed, next)
		clear(failed)
		for _, value := range next {
			result := core.Stored{File: value.File, Generation: value.Generation}
			if err := w.Store(value); err != nil {
				result.Problem = err.Error()
				failed[value.File] = value
			}
			w.Post(result)
		}
		if retry = nil; len(failed) > 0 {
			retry = time.After(retryPause)
		}
	}
}
