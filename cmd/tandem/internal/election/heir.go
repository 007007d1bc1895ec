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
)

const (
	// heirPause is the pause between two tries of an heir to find its predecessor gone or willing.
	heirPause = 10 * time.Millisecond
	// legacyTimeout bounds how long an orphan waits for its heir to take what it has asked for.
	legacyTimeout = time.Second
	// settleTimeout bounds how long an heir waits for the orphan to settle who is master before it asks again: three of
	// the longest interval that there is, and some.
	settleTimeout = 130 * time.Second
)

// A legacy is what an orphan leaves to its heir: the addresses stay where they are.
type legacy struct {
	Masters []Router `json:"masters"` // the routers of which it was master
}

// An estate is the right to run the election of a state directory, and the place where it is handed on. One process at
// a time has it, by a lock that the kernel takes away when the process ends.
type estate struct {
	lock *os.File
	dir  string
}

func lockPath(dir string) string   { return filepath.Join(dir, "election.lock") }
func socketPath(dir string) string { return filepath.Join(dir, "election.sock") }

// take waits until no other election has the state directory, and returns what an orphan that had it has left. It
// ends with ctx.
func take(ctx context.Context, dir string, waiting func()) (*estate, legacy, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, legacy{}, fmt.Errorf("make the state directory: %w", err)
	}
	f, err := os.OpenFile(lockPath(dir), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, legacy{}, fmt.Errorf("open the election's lock: %w", err)
	}
	if high, err := dupHigh(f.Fd()); err == nil {
		_ = f.Close()
		f = os.NewFile(high, lockPath(dir))
	}
	e, left := &estate{lock: f, dir: dir}, legacy{}
	tick := time.NewTicker(heirPause)
	defer tick.Stop()
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return e, left, nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, left, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		waiting()
		if l, err := inheritFrom(ctx, socketPath(dir)); err == nil {
			left = l
		}
		select {
		case <-ctx.Done():
			return nil, left, errors.Join(ctx.Err(), f.Close())
		case <-tick.C:
		}
	}
}

// inheritFrom asks the orphan that listens at path to hand over. It answers when it has settled who is master.
func inheritFrom(ctx context.Context, path string) (legacy, error) {
	var l legacy
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
func (e *estate) release() { _ = e.lock.Close() }

// await listens for an heir. The first that asks is on the channel, until ctx ends; then the socket goes.
func (e *estate) await(ctx context.Context) (<-chan net.Conn, error) {
	path := socketPath(e.dir)
	// Whatever is there was left by one that was killed: the lock is ours.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the left-over socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for an heir: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	heirs := make(chan net.Conn, 1)
	go func() {
		defer stop()
		conn, err := l.Accept()
		_ = l.Close()
		if err != nil {
			close(heirs)
			return
		}
		heirs <- conn
	}()
	return heirs, nil
}

// bequeath tells the heir what is left to it.
func bequeath(heir net.Conn, l legacy) error {
	_ = heir.SetDeadline(time.Now().Add(legacyTimeout))
	return errors.Join(json.NewEncoder(heir).Encode(l), heir.Close())
}
