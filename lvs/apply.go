// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// maxErrors bounds how many failed changes an error of Apply names.
const maxErrors = 10

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
	p := &progress{changes: changes}
	_, err = work(ctx, k, func(h handle, begin func() error) (struct{}, error) {
		c := commands{h, begin, &k.writes}
		for _, change := range changes {
			err := c.apply(change)
			if err != nil {
				// The error of a command that nobody waits for any more is that of its closed handle.
				if ended := begin(); ended != nil || concernsAll(err) {
					return struct{}{}, cmp.Or(ended, err)
				}
			}
			p.note(err)
		}
		return struct{}{}, nil
	})
	return p.result(err)
}

// concernsAll tells whether the changes that follow one with this error would meet it too.
func concernsAll(err error) bool { return errors.Is(err, unix.EPERM) }

// A progress is how far Apply has come. It is shared with the goroutine that works, which may not know yet that nobody
// waits for it any more.
type progress struct {
	changes []Change

	mu     sync.Mutex
	tried  int // the changes before this index
	failed int
	errs   []error // of the first few that failed
	over   bool
}

// note records the outcome of the next change.
func (p *progress) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	if err != nil {
		if p.failed++; p.failed <= maxErrors {
			p.errs = append(p.errs, fmt.Errorf("%s: %w", p.changes[p.tried], err))
		}
	}
	p.tried++
}

// result returns how many changes were made, and the errors. The argument is what ended the work early, if anything
// did.
func (p *progress) result(err error) (done int, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	errs := p.errs
	if more := p.failed - maxErrors; more > 0 {
		errs = append(errs, fmt.Errorf("%d further changes failed", more))
	}
	if err != nil && p.tried < len(p.changes) {
		errs = append(errs, fmt.Errorf("%s: %w", p.changes[p.tried], err))
		if rest := len(p.changes) - p.tried - 1; rest > 0 {
			errs = append(errs, fmt.Errorf("%d further changes not tried", rest))
		}
	}
	return p.tried - p.failed, errors.Join(errs...)
}

// commands are the changes of the table that a handle can make.
type commands struct {
	handle
	begin  func() error
	writes *atomic.Uint64
}

// write sends one command, unless what it would have the table hold is invalid.
func (c commands) write(invalid error, send func() error) error {
	if invalid != nil {
		return invalid
	}
	if err := c.begin(); err != nil {
		return err
	}
	c.writes.Add(1)
	return send()
}

// apply makes one change.
func (c commands) apply(change Change) error {
	service, server := toService(change.Service), toDestination(change.Server)
	switch change.Op {
	case AddService:
		err := c.write(change.Service.Validate(), func() error { return c.NewService(service) })
		if errors.Is(err, unix.EEXIST) {
			err = c.write(nil, func() error { return c.UpdateService(service) })
		}
		return explainService(change.Service, err)
	case SetService:
		err := c.write(change.Service.Validate(), func() error { return c.UpdateService(service) })
		return explainService(change.Service, err)
	case AddServer:
		invalid := change.Server.Validate(change.Service.ServiceID)
		err := c.write(invalid, func() error { return c.NewDestination(service, server) })
		if errors.Is(err, unix.EEXIST) {
			err = c.write(nil, func() error { return c.UpdateDestination(service, server) })
		}
		return explainServer(err)
	case SetServer:
		invalid := change.Server.Validate(change.Service.ServiceID)
		return explainServer(c.write(invalid, func() error { return c.UpdateDestination(service, server) }))
	case DeleteServer:
		return gone(c.write(nil, func() error { return c.DelDestination(service, server) }))
	case DeleteService:
		return gone(c.write(nil, func() error { return c.DelService(service) }))
	}
	return fmt.Errorf("%s: %w", change.Op, errors.ErrUnsupported)
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
