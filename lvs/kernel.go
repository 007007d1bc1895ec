// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// answerTime is how long the kernel may take for one command. The slowest that it ever does is to load a scheduler's
// module, a tenth of a second in an emulated machine.
const answerTime = 5 * time.Second

// maxErrors bounds how many failed changes an error of Apply names.
const maxErrors = 10

// ErrTimeout is in the error of a command that the kernel did not answer in time. Whether it took effect is not known.
var ErrTimeout = errors.New("no answer from the kernel")

// ErrClosed is the error of every operation on a closed Kernel.
var ErrClosed = errors.New("closed")

// A Kernel is the IPVS table of one network namespace. Its methods may be called from any goroutine: they take turns,
// because moby/ipvs hangs when two use one handle, and every command has a deadline, after which the next one gets a
// fresh handle. The handle belongs to the namespace of the thread that needs it first.
type Kernel struct {
	log    hclog.Logger
	dial   func(hclog.Logger) (handle, error)
	path   string        // of the table as text
	answer time.Duration // for one command

	turn    chan struct{} // holds a token while somebody uses the fields below
	handle  handle        // nil until needed, and after a failure
	closed  bool
	running sync.WaitGroup // commands, also those that were given up
	writes  atomic.Uint64
}

// NewKernel returns the table of the kernel. It opens nothing until it is used.
func NewKernel(log hclog.Logger) *Kernel {
	return &Kernel{
		log:    log,
		dial:   dial,
		path:   "/proc/thread-self/net/ip_vs",
		answer: answerTime,
		turn:   make(chan struct{}, 1),
	}
}

// Writes returns the number of commands sent so far that change the table, whether or not they succeeded.
func (k *Kernel) Writes() uint64 { return k.writes.Load() }

// Read returns all services that tandem could manage, with their real servers and present weights, sorted. Its errors
// wrap ErrAbsent, ErrReloaded, ErrTimeout, ErrClosed, the context's, or the kernel's errno.
func (k *Kernel) Read(ctx context.Context) ([]Entry, error) {
	release, err := k.acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("read IPVS table: %w", err)
	}
	defer release()
	entries, err := call(ctx, k, readTable)
	if err != nil {
		// Whatever it was, a socket with half an answer in it is not to be used again.
		k.drop()
		return nil, fmt.Errorf("read IPVS table: %w", err)
	}
	return entries, nil
}

// Apply makes the changes in their order and returns how many the table now shows. A change that fails does not keep
// the others from being tried, unless its error concerns them all: the errors are joined, the first few of them, each
// with its change. An addition of what is there becomes a set; a deletion of what is not there is a success.
func (k *Kernel) Apply(ctx context.Context, changes []Change) (done int, err error) {
	if len(changes) == 0 {
		return 0, nil
	}
	release, err := k.acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("change IPVS table: %w", err)
	}
	defer release()
	var errs []error
	failed := 0
	for i, c := range changes {
		err := k.apply(ctx, c)
		if err == nil {
			done++
			continue
		}
		if failed++; failed <= maxErrors {
			errs = append(errs, fmt.Errorf("%s: %w", c, err))
		}
		if rest := len(changes) - i - 1; rest > 0 && concernsAll(err) {
			errs = append(errs, fmt.Errorf("%d further changes not tried", rest))
			break
		}
	}
	if failed > maxErrors {
		errs = append(errs, fmt.Errorf("%d further changes failed", failed-maxErrors))
	}
	return done, errors.Join(errs...)
}

// concernsAll tells whether the changes that follow one with this error would meet it too.
func concernsAll(err error) bool {
	for _, target := range []error{
		ErrAbsent, ErrReloaded, ErrTimeout, ErrClosed, unix.EPERM, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// apply makes one change. The caller has its turn.
func (k *Kernel) apply(ctx context.Context, c Change) error {
	service, server := toService(c.Service), toDestination(c.Server)
	switch c.Op {
	case AddService:
		err := k.write(ctx, c.Service.Validate(), func(h handle) error { return h.NewService(service) })
		if errors.Is(err, unix.EEXIST) {
			err = k.write(ctx, nil, func(h handle) error { return h.UpdateService(service) })
		}
		return explainService(c.Service, err)
	case SetService:
		err := k.write(ctx, c.Service.Validate(), func(h handle) error { return h.UpdateService(service) })
		return explainService(c.Service, err)
	case AddServer:
		valid := c.Server.Validate(c.Service.ServiceID)
		err := k.write(ctx, valid, func(h handle) error { return h.NewDestination(service, server) })
		if errors.Is(err, unix.EEXIST) {
			err = k.write(ctx, nil, func(h handle) error { return h.UpdateDestination(service, server) })
		}
		return explainServer(err)
	case SetServer:
		valid := c.Server.Validate(c.Service.ServiceID)
		err := k.write(ctx, valid, func(h handle) error { return h.UpdateDestination(service, server) })
		return explainServer(err)
	case DeleteServer:
		return gone(k.write(ctx, nil, func(h handle) error { return h.DelDestination(service, server) }))
	case DeleteService:
		return gone(k.write(ctx, nil, func(h handle) error { return h.DelService(service) }))
	}
	return fmt.Errorf("%s: %w", c.Op, errors.ErrUnsupported)
}

// explainService says what the errno of a service's change means.
func explainService(s Service, err error) error {
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("the kernel has no scheduler %q, its module would be ip_vs_%s: %w", s.Scheduler, s.Scheduler, err)
	}
	return err
}

// explainServer says what the errno of a real server's change means.
func explainServer(err error) error {
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("the address must be a host's, and this machine must have one of that family: %w", err)
	}
	return err
}

// gone makes a success of the deletion of what is not there: ESRCH is for services, ENOENT for servers.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// write sends one command that changes the table, unless what it is to hold is invalid.
func (k *Kernel) write(ctx context.Context, invalid error, f func(handle) error) error {
	if invalid != nil {
		return invalid
	}
	_, err := call(ctx, k, func(h handle) (struct{}, error) {
		k.writes.Add(1)
		return struct{}{}, f(h)
	})
	return err
}

// call runs one command, in the caller's turn. When the deadline or ctx ends first, the handle is closed, which also
// ends the command, and the next call opens another.
func call[T any](ctx context.Context, k *Kernel, f func(handle) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if k.handle == nil {
		h, err := k.dial(k.log)
		if err != nil {
			return none, err
		}
		k.handle = h
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	h := k.handle
	k.running.Go(func() {
		value, err := f(h)
		answers <- answer{value, err}
	})
	timer := time.NewTimer(k.answer)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-timer.C:
		k.drop()
		return none, fmt.Errorf("%w for %s", ErrTimeout, k.answer)
	case <-ctx.Done():
		k.drop()
		return none, ctx.Err()
	}
}

// acquire waits for the caller's turn.
func (k *Kernel) acquire(ctx context.Context) (release func(), err error) {
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

// drop closes the handle, in the caller's turn.
func (k *Kernel) drop() {
	if k.handle != nil {
		k.handle.Close()
		k.handle = nil
	}
}

// Close closes the handle and waits for commands under way. The table stays as it is.
func (k *Kernel) Close() error {
	k.turn <- struct{}{}
	defer func() { <-k.turn }()
	k.closed = true
	k.drop()
	k.running.Wait()
	return nil
}
