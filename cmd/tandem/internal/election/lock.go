// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/lock"
)

// retryPause is the pause between two tries to get the lock.
const retryPause = 10 * time.Millisecond

// An instanceLock is the lock of a director's election, which only one process at a time holds. The kernel releases it when the
// process ends.
type instanceLock struct {
	file *os.File
	dir  string
	// predecessor is the connection to the election that holds the lock and goes on until this one has taken over; nil: this
	// election holds the lock.
	predecessor net.Conn
	closing     <-chan struct{} // closed when the latest socket for a successor is removed; nil: there was none
}

func lockPath(dir string) string { return filepath.Join(dir, "election.lock") }

// acquire waits until no other election of this director runs, or until a predecessor that goes on serving has answered, or until
// ctx ends. If a predecessor handed off its state, acquire returns it. It calls waiting if there is a predecessor.
func acquire(ctx context.Context, dir string, waiting func()) (*instanceLock, handoffState, error) {
	var state handoffState
	f, err := openLock(ctx, dir)
	if err != nil {
		return nil, state, err
	}
	// A lock on a removed file does not keep others out: the file is opened again.
	reopen := func() (err error) {
		_ = f.Close()
		f, err = openLock(ctx, dir)
		return err
	}
	tick := time.NewTicker(retryPause)
	defer tick.Stop()
	for {
		switch err := lock.Take(f); {
		case err == nil:
			return &instanceLock{file: f, dir: dir}, state, nil
		case errors.Is(err, fs.ErrNotExist):
			if err := reopen(); err != nil {
				return nil, state, err
			}
			continue
		case !errors.Is(err, lock.ErrHeld):
			return nil, state, errors.Join(err, f.Close())
		}
		waiting()
		handed, conn, err := askPredecessor(ctx, socketPath(dir))
		switch {
		case err != nil:
		case conn == nil:
			state = handed
		case handed.Format != handoff.Format:
			return nil, state, errors.Join(handoff.FormatError(handed.Format), conn.Close(), f.Close())
		default:
			return &instanceLock{file: f, dir: dir, predecessor: conn}, handed, nil
		}
		select {
		case <-ctx.Done():
			return nil, state, errors.Join(ctx.Err(), f.Close())
		case <-tick.C:
		}
	}
}

// openLock opens the lock file. If the disk hangs until ctx ends, one goroutine stays behind.
func openLock(ctx context.Context, dir string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	opened := make(chan result, 1)
	go func() {
		f, err := makeAndOpen(dir)
		opened <- result{f, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-opened:
		if r.err != nil {
			return nil, fmt.Errorf("failed to open the lock of the election: %w", r.err)
		}
		if high, err := dupHigh(r.file.Fd()); err == nil {
			_ = r.file.Close()
			return os.NewFile(high, lockPath(dir)), nil
		}
		return r.file, nil
	}
}

func makeAndOpen(dir string) (*os.File, error) {
	if err := lock.MakeDir(dir); err != nil {
		return nil, err
	}
	return lock.Open(lockPath(dir))
}

// await waits until the predecessor has released the lock. It takes the lock, except when ctx ends.
func (l *instanceLock) await(ctx context.Context) {
	tick := time.NewTicker(retryPause)
	defer tick.Stop()
	for errors.Is(lock.Take(l.file), lock.ErrHeld) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// release releases the lock, so that the next election can begin.
func (l *instanceLock) release() { _ = l.file.Close() }
