// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

const (
	// retryPause is the pause between two tries of a successor to find its predecessor gone or willing.
	retryPause = 10 * time.Millisecond
	// handOffTimeout bounds how long an election without a director waits for its successor to take what it has asked for.
	handOffTimeout = time.Second
	// settleTimeout bounds how long a successor waits for the orphan to settle who is master before it asks again: three of
	// the longest interval that there is, and some.
	settleTimeout = 130 * time.Second
)

// A handoffState is what an election without a director leaves to its successor: the addresses stay where they are.
type handoffState struct {
	Masters []message.Router `json:"masters"` // the routers of which it was master
}

// An instanceLock is the right to run the election of a state directory, and the place where it is handed on. One process at
// a time has it, by a lock that the kernel takes away when the process ends.
type instanceLock struct {
	lock *os.File
	dir  string
}

func lockPath(dir string) string   { return filepath.Join(dir, "election.lock") }
func socketPath(dir string) string { return filepath.Join(dir, "election.sock") }

// take waits until no other election has the state directory, and returns what an election without a director that had it has left. It
// ends with ctx.
func acquire(ctx context.Context, dir string, waiting func()) (*instanceLock, handoffState, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, handoffState{}, fmt.Errorf("make the state directory: %w", err)
	}
	f, err := os.OpenFile(lockPath(dir), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, handoffState{}, fmt.Errorf("open the election's lock: %w", err)
	}
	if high, err := dupHigh(f.Fd()); err == nil {
		_ = f.Close()
		f = os.NewFile(high, lockPath(dir))
	}
	e, left := &instanceLock{lock: f, dir: dir}, handoffState{}
	tick := time.NewTicker(retryPause)
	defer tick.Stop()
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return e, left, nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, left, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		waiting()
		if l, err := askPredecessor(ctx, socketPath(dir)); err == nil {
			left = l
		}
		select {
		case <-ctx.Done():
			return nil, left, errors.Join(ctx.Err(), f.Close())
		case <-tick.C:
		}
	}
}

// askPredecessor asks the orphan that listens at path to hand over. It answers when it has settled who is master.
func askPredecessor(ctx context.Context, path string) (handoffState, error) {
	var l handoffState
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return l, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadDeadline(time.Now().Add(settleTimeout))
	return l, json.NewDecoder(conn).Decode(&l)
}

// release gives the state directory up.
func (e *instanceLock) release() { _ = e.lock.Close() }

// listen listens for a successor. The first that asks is on the channel, until ctx ends; then the socket goes.
func (e *instanceLock) listen(ctx context.Context) (<-chan net.Conn, error) {
	path := socketPath(e.dir)
	// Whatever is there was left by one that was killed: the lock is ours.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the left-over socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for an successor: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	successors := make(chan net.Conn, 1)
	go func() {
		defer stop()
		conn, err := l.Accept()
		_ = l.Close()
		if err != nil {
			close(successors)
			return
		}
		successors <- conn
	}()
	return successors, nil
}

// sendState tells the successor what is left to it.
func sendState(successor net.Conn, l handoffState) error {
	_ = successor.SetDeadline(time.Now().Add(handOffTimeout))
	return errors.Join(json.NewEncoder(successor).Encode(l), successor.Close())
}
