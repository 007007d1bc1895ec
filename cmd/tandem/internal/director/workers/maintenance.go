// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// Presence looks for the files that drain servers, if there are any.
type Presence struct {
	Post Post
	In   Mailbox[[]string] // the paths
}

// Run looks until ctx ends.
func (w *Presence) Run(ctx context.Context) error {
	var paths []string
	var last core.Maintenance
	for {
		var tick <-chan time.Time
		if len(paths) > 0 {
			tick = time.After(numberInterval)
		}
		select {
		case <-ctx.Done():
			return nil
		case paths = <-w.In:
			last = nil
		case <-tick:
			if now := present(paths, last); !maps.Equal(now, last) {
				last = now
				w.Post(now)
			}
		}
	}
}

// ReadMaintenance looks for the files once. A file that the disk does not answer about in time counts as missing.
func ReadMaintenance(paths []string) core.Maintenance {
	if len(paths) == 0 {
		return nil
	}
	read := make(chan core.Maintenance, 1)
	go func() { read <- present(paths, nil) }()
	select {
	case is := <-read:
		return is
	case <-time.After(readTimeout):
		return nil
	}
}

// present says which files exist. A file about which the disk cannot say it stays what it was.
func present(paths []string, before core.Maintenance) core.Maintenance {
	is := make(core.Maintenance)
	for _, path := range paths {
		_, err := os.Lstat(path)
		gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
		is[path] = err == nil || !gone && before[path]
	}
	return is
}
