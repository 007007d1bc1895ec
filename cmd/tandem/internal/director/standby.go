// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// failoverGrace is what a hand-over may take beyond the three intervals that it lasts on the wire at most.
const failoverGrace = 2 * time.Second

// Failover hands virtual routers over to the peer, those of which this director is master if none is named, and makes
// them stand back until Release. The error names those that nobody took: of these it is master still.
func (d *Director) Failover(names []string) (control.RoutersDone, error) {
	done, err := d.failover(names)
	return control.RoutersDone{Routers: done}, err
}

func (d *Director) failover(names []string) ([]string, error) {
	d.commanding.Lock()
	defer d.commanding.Unlock()
	routers, err := d.mastered(names)
	if err != nil {
		return nil, err
	}
	routers = d.withGroups(routers)
	names = names[:0:0]
	timeout := failoverGrace
	for _, r := range routers {
		names = append(names, r.Name)
		timeout = max(timeout, 3*r.AdvertInterval+failoverGrace)
	}
	// One that stood back already, and is master because its peer died, is to offer its place again.
	if err := d.standBack(names, false); err != nil {
		return nil, err
	}
	d.awaitOrder(time.After(failoverGrace))
	if err := d.standBack(names, true); err != nil {
		return nil, fmt.Errorf("nothing was handed over: %w", err)
	}
	handed, refused, unsettled := d.awaitHandOver(names, time.After(timeout))
	if len(handed) > 0 {
		d.log.Info("handed over on command", "routers", handed)
	}
	var errs []error
	if len(refused) > 0 {
		errs = append(errs, fmt.Errorf("nobody took over %s: this director is still master of it, and clients have noticed nothing; see whether tandem runs on the peer, and whether VRRP passes between the two", list(refused)))
	}
	if len(unsettled) > 0 {
		errs = append(errs, fmt.Errorf("the hand-over of %s was interrupted: see tandem status", list(unsettled)))
	}
	if len(errs) > 0 {
		errs = append(errs, d.standBack(slices.Concat(refused, unsettled), false))
	}
	return handed, errors.Join(errs...)
}

// list writes names so that a person can read them, however many there are.
func list(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// Release lets virtual routers that stand back, the named ones or all, take part again.
func (d *Director) Release(names []string) (control.RoutersDone, error) {
	done, err := d.release(names)
	return control.RoutersDone{Routers: done}, err
}

func (d *Director) release(names []string) ([]string, error) {
	d.commanding.Lock()
	defer d.commanding.Unlock()
	if _, err := d.named(names); err != nil {
		return nil, err
	}
	d.mu.Lock()
	released := slices.Clone(d.standby.Value)
	d.mu.Unlock()
	if len(names) > 0 {
		released = slices.DeleteFunc(released, func(n string) bool { return !slices.Contains(names, n) })
	}
	if len(released) == 0 {
		return released, nil
	}
	if err := d.standBack(released, false); err != nil {
		return nil, err
	}
	d.log.Info("released on command", "routers", released)
	return released, nil
}

// named are the configured routers of these names, all if there are none.
func (d *Director) named(names []string) ([]configs.Router, error) {
	d.mu.Lock()
	configured := d.config.Routers
	d.mu.Unlock()
	if len(names) == 0 {
		return configured, nil
	}
	var all []configs.Router
	var known []string
	for _, r := range configured {
		known = append(known, r.Name)
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("there is no virtual router %q: this director has %s", name, list(known))
		}
		all = append(all, configured[i])
	}
	return all, nil
}

// mastered are those of the named routers of which this director is master. A named one of which it is not is an error,
// and so is not to have any.
func (d *Director) mastered(names []string) ([]configs.Router, error) {
	routers, err := d.named(names)
	if err != nil {
		return nil, err
	}
	var all []configs.Router
	for _, r := range routers {
		state := d.stateOf(r.Name).State
		switch {
		case state == vrrp.Master:
			all = append(all, r)
		case len(names) > 0:
			return nil, fmt.Errorf("%s is %s here: there is nothing to hand over; give the command to the master", r.Name, state)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("this director is master of nothing: there is nothing to hand over")
	}
	return all, nil
}

// withGroups adds the other members of the routers' sync groups: one alone cannot be handed over.
func (d *Director) withGroups(routers []configs.Router) []configs.Router {
	d.mu.Lock()
	configured := d.config.Routers
	d.mu.Unlock()
	in := func(r configs.Router) bool {
		return slices.ContainsFunc(routers, func(chosen configs.Router) bool {
			return r.Name == chosen.Name || r.SyncGroup != "" && r.SyncGroup == chosen.SyncGroup
		})
	}
	return slices.DeleteFunc(slices.Clone(configured), func(r configs.Router) bool { return !in(r) })
}

// stateOf is what the election last said about a router.
func (d *Director) stateOf(name string) vrrp.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.report.Routers {
		if s.Name == name {
			return s
		}
	}
	return vrrp.Status{State: vrrp.Initialize}
}

// standBack remembers that routers stand back, or do so no more, and tells the election. The caller holds d.commanding.
func (d *Director) standBack(names []string, on bool) error {
	before := d.standby.Value
	now := slices.DeleteFunc(slices.Clone(before), func(n string) bool { return slices.Contains(names, n) })
	if on {
		now = slices.Sorted(slices.Values(append(now, names...)))
	}
	if slices.Equal(before, now) {
		return nil
	}
	file := *d.standby
	// Not under d.mu: a disk may be slow. To release a router works also where that cannot be remembered.
	err := file.Store(now)
	if err != nil && on {
		return fmt.Errorf("remember the standby: %w", err)
	}
	d.mu.Lock()
	d.standby = &file
	d.mu.Unlock()
	d.ordering.Lock()
	defer d.ordering.Unlock()
	d.sendOrder(d.tracked)
	return err
}

// awaitOrder waits until the election has carried out the latest order.
func (d *Director) awaitOrder(timeout <-chan time.Time) {
	latest := d.elections.Sequence()
	for {
		d.mu.Lock()
		next, done := d.reported, d.report.Sequence >= latest
		d.mu.Unlock()
		if done {
			return
		}
		select {
		case <-next:
		case <-timeout:
			return
		}
	}
}

// awaitHandOver tells what has become of the hand-over of the routers when the election has settled it, or when the time
// is over: the peer has them, or nobody took them, or something came between.
func (d *Director) awaitHandOver(names []string, timeout <-chan time.Time) (handed, refused, unsettled []string) {
	begun := make(map[string]bool)
	for over := false; ; {
		d.mu.Lock()
		next := d.reported
		d.mu.Unlock()
		handed, refused, unsettled = nil, nil, nil
		for _, name := range names {
			s := d.stateOf(name)
			begun[name] = begun[name] || s.HandingOver
			switch {
			case s.State == vrrp.Backup && s.Standby:
				handed = append(handed, name)
			case s.State == vrrp.Master && !s.HandingOver && (begun[name] || over):
				refused = append(refused, name)
			default:
				unsettled = append(unsettled, name)
			}
		}
		if len(unsettled) == 0 || over {
			return handed, refused, unsettled
		}
		select {
		case <-next:
		case <-timeout:
			over = true
		}
	}
}
