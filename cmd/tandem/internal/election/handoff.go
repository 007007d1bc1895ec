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

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

const (
	// handOffTimeout is how long a predecessor waits for its successor to read the answer.
	handOffTimeout = time.Second
	// settleTimeout is how long a successor waits until its predecessor knows who is master. After that it asks again. It is
	// a little more than three of the longest advertisement intervals.
	settleTimeout = 130 * time.Second
)

// A handoffState is the state that an election hands off to its successor. The addresses stay on the interfaces.
type handoffState struct {
	// Format is handoff.Format of the predecessor. 0: it is older than the formats.
	Format int `json:"format,omitempty"`
	// Serving says that the predecessor goes on until its successor tells that it has taken over: see overlap.go.
	Serving bool             `json:"serving,omitempty"`
	Masters []message.Router `json:"masters"` // the routers that it was master of
	// Sequences are the sequence numbers of signed advertisements, of a predecessor that goes on.
	Sequences []sequenceRow `json:"sequences,omitempty"`
}

// A request is the connection of a successor that asks for the hand-off, or the reason why no successor can ask.
type request struct {
	conn net.Conn
	err  error
}

// socketPath returns the path where a successor asks. The name is short because the kernel limits the length of the path.
func socketPath(dir string) string { return filepath.Join(dir, "next") }

// askPredecessor asks the election that listens at path for the hand-off. The predecessor answers when it knows who is
// master. If it goes on serving, askPredecessor returns the connection to it.
func askPredecessor(ctx context.Context, path string) (handoffState, net.Conn, error) {
	var state handoffState
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return state, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(settleTimeout))
	err = json.NewDecoder(conn).Decode(&state)
	if !stop() || err != nil || !state.Serving {
		return state, nil, errors.Join(err, conn.Close(), ctx.Err())
	}
	_ = conn.SetReadDeadline(time.Time{})
	return state, conn, nil
}

// listen waits for a successor until ctx ends. It sends the first one on the channel, and closes the channel. It calls ready when
// a successor can ask. The socket is a file: making and removing it can hang with the disk, so both happen in a goroutine.
func (l *instanceLock) listen(ctx context.Context, ready func()) <-chan request {
	requests, former, closed := make(chan request, 1), l.closing, make(chan struct{})
	l.closing = closed
	go func() {
		defer close(closed)
		if former != nil { // otherwise it could remove the new socket
			<-former
		}
		conn, err := l.accept(ctx, ready)
		if ctx.Err() == nil || conn != nil {
			requests <- request{conn, err}
		}
		close(requests)
		_ = os.Remove(socketPath(l.dir)) // last: the successor must not wait for a disk
	}()
	return requests
}

// accept makes the socket and returns the first connection to it.
func (l *instanceLock) accept(ctx context.Context, ready func()) (net.Conn, error) {
	path := socketPath(l.dir)
	// We have the lock, so a file that is there was left by a killed process.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("failed to remove a socket that was left behind: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("failed to listen for a successor: %w", err)
	}
	listener.SetUnlinkOnClose(false)
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("failed to listen for a successor: %w", err)
	}
	ready()
	return listener.Accept()
}

// sendState sends the state to the successor.
func sendState(successor net.Conn, state handoffState) error {
	_ = successor.SetDeadline(time.Now().Add(handOffTimeout))
	return errors.Join(json.NewEncoder(successor).Encode(state), successor.Close())
}
