// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// answerTime is the maximum time that the kernel may take for one command. The slowest command loads a scheduler's module: this
// takes a tenth of a second in an emulated machine.
const answerTime = 5 * time.Second

// ErrTimeout is wrapped by the error of a command that the kernel did not answer in time. It is not known whether the command
// took effect.
var ErrTimeout = errors.New("no answer from the kernel")

// ErrClosed is the error of every operation on a closed IPVS.
var ErrClosed = errors.New("closed")

// An IPVS is the IPVS table of one network namespace. Its methods may be called from any goroutine. They run one at a time,
// because moby/ipvs hangs if two goroutines use one handle. Every command has a deadline. If a command exceeds it, the next
// one gets a new session. The session belongs to the network namespace of the thread that first needs it.
type IPVS struct {
	log    hclog.Logger
	dial   func(hclog.Logger) (*session, error)
	path   string        // of the table as text
	answer time.Duration // for one command

	turn    chan struct{} // holds a token while a caller uses the fields below
	session *session      // nil before the first use, and after a failure
	closed  bool
	running sync.WaitGroup // commands, also those whose callers have stopped waiting
	writes  atomic.Uint64
}

// New returns the kernel's IPVS table. It opens nothing before the first use.
func New(log hclog.Logger) *IPVS {
	return &IPVS{
		log:    log,
		dial:   dial,
		path:   "/proc/thread-self/net/ip_vs",
		answer: answerTime,
		turn:   make(chan struct{}, 1),
	}
}

// Writes returns the number of commands sent so far that change the table, whether or not they succeeded.
func (k *IPVS) Writes() uint64 { return k.writes.Load() }

// work lets f use the session, in the caller's turn. f calls begin before each command and stops at its error, so every
// command has the whole deadline. If a command exceeds its deadline, or ctx ends, work closes the session. This ends the
// command too, and the next work gets a new session.
//
// One goroutine runs all the commands of f. With one goroutine for each command, a large table would take twice the time.
func work[T any](ctx context.Context, k *IPVS, f func(s *session, begin func() error) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if k.session == nil {
		s, err := k.dial(k.log)
		if err != nil {
			return none, err
		}
		k.session = s
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.NewTimer(k.answer)
	defer timer.Stop()
	begin := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		timer.Reset(k.answer)
		return nil
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	s := k.session
	k.running.Go(func() {
		value, err := f(s, begin)
		answers <- answer{value, err}
	})
	select {
	case a := <-answers:
		return a.value, a.err
	case <-timer.C:
		cancel() // before the session is closed, so that f can tell this from a failure
		k.drop()
		return none, fmt.Errorf("%w for %s", ErrTimeout, k.answer)
	case <-ctx.Done():
		k.drop()
		return none, ctx.Err()
	}
}

// acquire waits for the caller's turn.
func (k *IPVS) acquire(ctx context.Context) (release func(), err error) {
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release = func() { <-k.turn }
	if k.closed {
		release()
		return nil, ErrClosed
	}
	return release, nil
}

// drop closes the session, in the caller's turn.
func (k *IPVS) drop() {
	if k.session == nil {
		return
	}
	if err := k.session.close(); err != nil {
		k.log.Warn("failed to close the IPVS netlink socket", "error", err)
	}
	k.session = nil
}

// Close closes the session and waits for commands that still run. The table stays as it is.
func (k *IPVS) Close() error {
	k.turn <- struct{}{}
	defer func() { <-k.turn }()
	k.closed = true
	k.drop()
	k.running.Wait()
	return nil
}
