// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// maxErrors is the maximum number of failed changes that an error of Apply names.
const maxErrors = 10

// Apply makes the changes in their order and returns how many were made. After a change that fails, the others are still
// tried, unless they would all fail for the same reason. The error joins the first few errors, each with its change. If an
// object to add exists, it is set. If an object to delete does not exist, this is a success.
//
// If the kernel's answers were lost, the error wraps ENOBUFS. Then all changes were tried, but only the table shows which of
// them were made.
func (k *IPVS) Apply(ctx context.Context, changes []lvs.Change) (done int, err error) {
	if len(changes) == 0 {
		return 0, nil
	}
	release, err := k.acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("failed to change IPVS table: %w", err)
	}
	defer release()
	p := &progress{changes: changes, why: make(map[lvs.ServiceID]error)}
	broken, err := work(ctx, k, func(s *session, begin func() error) (broken bool, _ error) {
		c := commands{s, begin, &k.writes, make(map[modules]error)}
		for rest := changes; len(rest) > 0; {
			part := rest[:batch(rest)]
			errs, err := c.apply(part)
			if err != nil {
				return true, cmp.Or(begin(), err)
			}
			// If the caller has stopped waiting, the handle is closed, and this causes the errors of the commands.
			if ended := begin(); ended != nil || slices.ContainsFunc(errs, concernsAll) {
				return false, cmp.Or(ended, errs[max(0, slices.IndexFunc(errs, concernsAll))])
			}
			p.add(errs)
			rest = rest[len(part):]
		}
		return false, nil
	})
	if broken {
		k.drop()
	}
	return p.result(err)
}

// batch returns how many of the changes go in one system call. The changes are in the order of Diff. Services and servers go
// in different calls.
// servers.
func batch(changes []lvs.Change) int {
	if !programs(&changes[0]) {
		return min(len(changes), batchSize)
	}
	n := 1
	for n < min(len(changes), serviceBatchSize) && programs(&changes[n]) {
		n++
	}
	return n
}

// programs reports whether the change sets a service's scheduler and engine.
func programs(c *lvs.Change) bool { return c.Op == lvs.AddService || c.Op == lvs.SetService }

// concernsAll reports whether all other changes would fail with this error too.
func concernsAll(err error) bool { return errors.Is(err, unix.EPERM) }

// A progress counts the changes of an Apply. The goroutine that makes the changes shares it, and may continue for a moment
// after Apply has stopped waiting.
type progress struct {
	changes []lvs.Change

	mu     sync.Mutex
	tried  int // the changes before this index
	failed int
	follow int // of these, servers of a service that could not be added
	unsure []lvs.ServiceID
	why    map[lvs.ServiceID]error // the first error of each service
	errs   []error                 // of the first few that failed
	over   bool
}

// add adds the results of the next changes.
func (p *progress) add(errs []error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	for _, err := range errs {
		if err != nil {
			p.fail(&p.changes[p.tried], err)
		}
		p.tried++
	}
}

// fail records an error. If a service could not be added, the errors of its servers are not recorded.
func (p *progress) fail(c *lvs.Change, err error) {
	id := c.Service.ServiceID
	p.failed++
	p.unsure = append(p.unsure, id)
	first := p.why[id] == nil
	if !first && errors.Is(err, unix.ESRCH) {
		p.follow++
		return
	}
	err = fmt.Errorf("failed to %s: %w", c, err)
	if first {
		p.why[id] = err
	}
	if p.failed-p.follow <= maxErrors {
		p.errs = append(p.errs, err)
	}
}

// result returns how many changes were made, and the errors. err is the reason why the work ended early, or nil.
func (p *progress) result(err error) (done int, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	errs := p.errs
	if more := p.failed - p.follow - maxErrors; more > 0 {
		errs = append(errs, fmt.Errorf("%d further changes failed", more))
	}
	if err != nil && p.tried < len(p.changes) {
		errs = append(errs, fmt.Errorf("failed to %s: %w", p.changes[p.tried], err))
		if rest := len(p.changes) - p.tried - 1; rest > 0 {
			errs = append(errs, fmt.Errorf("the outcome of %d further changes is unknown", rest))
		}
	}
	if len(errs) == 0 {
		return p.tried - p.failed, nil
	}
	for _, c := range p.changes[p.tried:] {
		p.unsure = append(p.unsure, c.Service.ServiceID)
	}
	return p.tried - p.failed, &applyError{errs, p.unsure, p.why, p.tried == len(p.changes)}
}

// An applyError joins the errors of an Apply.
type applyError struct {
	errs   []error
	unsure []lvs.ServiceID // the services that may not be as wanted
	why    map[lvs.ServiceID]error
	all    bool // every change was tried, so the other services are as wanted
}

func (e *applyError) Error() string   { return errors.Join(e.errs...).Error() }
func (e *applyError) Unwrap() []error { return e.errs }

// commands are the changes of the table that a session can make.
type commands struct {
	*session
	begin  func() error
	writes *atomic.Uint64
	absent map[modules]error // what the kernel lacks: asking again takes 100 ms each time
}

// modules are the kernel modules of a service.
type modules struct{ scheduler, engine string }

// apply makes up to batchSize changes and returns the error of each. The other error is that of the connection.
func (c commands) apply(changes []lvs.Change) ([]error, error) {
	errs := make([]error, len(changes))
	todo := make([]int, 0, len(changes))
	for i := range changes {
		change := &changes[i]
		errs[i] = validate(change)
		if errs[i] == nil && programs(change) {
			errs[i] = c.absent[modules{change.Service.Scheduler, change.Service.Engine}]
		}
		if errs[i] == nil {
			todo = append(todo, i)
		}
	}
	if err := c.run(changes, commandOf, todo, errs); err != nil {
		return nil, err
	}
	todo = slices.DeleteFunc(todo, func(i int) bool {
		return !errors.Is(errs[i], unix.EEXIST) || commandOf(&changes[i]) == fallbackOf(&changes[i])
	})
	if err := c.run(changes, fallbackOf, todo, errs); err != nil {
		return nil, err
	}
	for i := range changes {
		change := &changes[i]
		if programs(change) && errors.Is(errs[i], unix.ENOENT) {
			c.absent[modules{change.Service.Scheduler, change.Service.Engine}] = unix.ENOENT
		}
		errs[i] = explain(change, errs[i])
	}
	return errs, nil
}

// run sends the commands of some of the changes and puts their errors into errs. Only this function chooses between moby/ipvs
// and our wire: see mobyCan.
func (c commands) run(changes []lvs.Change, command func(*lvs.Change) uint8, which []int, errs []error) error {
	if len(which) == 0 {
		return nil
	}
	if err := c.begin(); err != nil {
		return err
	}
	c.writes.Add(uint64(len(which)))
	if mobyCan(changes) {
		errs[0] = c.single(&changes[0], command(&changes[0]))
		return nil
	}
	failed, err := c.exec(len(which), func(b []byte, i int) (uint8, []byte) {
		change := &changes[which[i]]
		return command(change), encode(b, change)
	})
	for i, at := range which {
		errs[at] = failed[i]
	}
	return err
}

// single makes one change through moby/ipvs.
func (c commands) single(change *lvs.Change, command uint8) error {
	service, server := toService(change.Service), toDestination(change.Server)
	switch command {
	case cmdNewService:
		return c.NewService(service)
	case cmdSetService:
		return c.UpdateService(service)
	case cmdDelService:
		return c.DelService(service)
	case cmdNewServer:
		return c.NewDestination(service, server)
	case cmdSetServer:
		return c.UpdateDestination(service, server)
	}
	return c.DelDestination(service, server)
}

// validate returns what is wrong with a change.
func validate(c *lvs.Change) error {
	switch c.Op {
	case lvs.AddService, lvs.SetService:
		return c.Service.Validate()
	case lvs.AddServer, lvs.SetServer:
		return c.Server.Validate(c.Service.ServiceID)
	case lvs.DeleteServer, lvs.DeleteService:
		return nil
	}
	return fmt.Errorf("%s: %w", c.Op, errors.ErrUnsupported)
}

// commandOf returns the kernel's number of the command that makes the change.
func commandOf(c *lvs.Change) uint8 {
	return [...]uint8{
		lvs.AddService:    cmdNewService,
		lvs.SetService:    cmdSetService,
		lvs.AddServer:     cmdNewServer,
		lvs.SetServer:     cmdSetServer,
		lvs.DeleteServer:  cmdDelServer,
		lvs.DeleteService: cmdDelService,
	}[c.Op]
}

// fallbackOf returns the command that is tried if an addition fails because the object exists. For other changes it
// returns that of commandOf.
func fallbackOf(c *lvs.Change) uint8 {
	switch c.Op {
	case lvs.AddService:
		return cmdSetService
	case lvs.AddServer:
		return cmdSetServer
	}
	return commandOf(c)
}

// encode appends the attributes of the command.
func encode(b []byte, c *lvs.Change) []byte {
	b = appendService(b, c.Service, programs(c))
	if c.Op == lvs.AddServer || c.Op == lvs.SetServer || c.Op == lvs.DeleteServer {
		b = appendServer(b, c.Server, c.Op != lvs.DeleteServer)
	}
	return b
}

// explain returns an error that says what the errno of a change means. Deleting an object that does not exist is a success: the
// kernel answers ESRCH for services and ENOENT for servers.
func explain(c *lvs.Change, err error) error {
	absent := errors.Is(err, unix.ENOENT)
	switch c.Op {
	case lvs.DeleteService, lvs.DeleteServer:
		if absent || errors.Is(err, unix.ESRCH) {
			return nil
		}
	case lvs.AddService, lvs.SetService:
		if absent {
			have, _ := AvailableSchedulers() // unknown: the text does without them
			return explainAbsent(c.Service, have, err)
		}
	case lvs.AddServer, lvs.SetServer:
		switch mixed := lvs.FamilyOf(c.Server.Addr) != c.Service.AddrFamily(); {
		case errors.Is(err, unix.EINVAL) && mixed:
			return fmt.Errorf("the kernel refuses servers of another address family than the service while connection sync runs: %w", err)
		case errors.Is(err, unix.EINVAL):
			return fmt.Errorf("the address must be a host's, and this machine must have one of that family: %w", err)
		}
	}
	return err
}
