// SPDX-License-Identifier: Apache-2.0

// Package workers does a director's input and output: the IPVS table, kernel settings, connection sync, state files.
//
// Each worker has one goroutine and a mailbox. A new message replaces the waiting one, or is merged into it. So a sender
// never waits for a slow kernel or disk. The result goes back as an event.
package workers

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// A Post posts an event to the director's loop.
type Post func(core.Event)

// A Mailbox holds at most one message. It has one sender and one receiver.
type Mailbox[T any] chan T

// NewMailbox returns an empty mailbox.
func NewMailbox[T any]() Mailbox[T] { return make(Mailbox[T], 1) }

// Put replaces the waiting message. It never blocks.
func (m Mailbox[T]) Put(message T) { m.Merge(message, func(_, message T) T { return message }) }

// Merge puts a message into the mailbox. If one waits there already, the function merge makes one message of the two.
func (m Mailbox[T]) Merge(message T, merge func(waiting, message T) T) {
	select {
	case waiting := <-m:
		message = merge(waiting, message)
	default:
	}
	m <- message // there is room: nobody else sends
}

// EndTimeout is the maximum time for which a worker that ends waits for a disk or a kernel that does not answer.
const EndTimeout = 5 * time.Second

// Bounded runs a worker. When ctx has ended, and the worker does not return within timeout, it is left behind: a write to
// a frozen disk cannot be cancelled, and must not keep the director from leaving.
func Bounded(ctx context.Context, timeout time.Duration, log hclog.Logger, name string, run func(context.Context) error) error {
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(timeout):
		log.Warn("leaving without waiting any longer", "for", name)
		return nil
	}
}
