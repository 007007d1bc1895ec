// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// failoverGrace is what a hand-over may take beyond the three intervals that it lasts on the wire at most.
const failoverGrace = 2 * time.Second

// Failover hands virtual routers over to the peer, those of which this director is master if none is named, and makes
// them stand back until Release. The error names those that nobody took: of these it is master still.
func (d *Director) Failover(names []string) ([]string, error) {
	d.commanding.Lock()
	defer d.commanding.Unlock()
	routers, err := d.mastered(names)
	if err != nil {
		return nil, err
	}
	routers = d.withGroups(routers)
	handed := make([]string, 0, len(routers))
	timeout := failoverGrace
	for _, r := range routers {
		handed = append(handed, r.Name)
		timeout = max(timeout, 3*r.AdvertInterval+failoverGrace)
	}
	if err := d.standBack(handed, true); err != nil {
		return nil, err
	}
	refused := d.awaitHandOver(handed, time.After(timeout))
	if len(refused) == 0 {
		d.log.Info("handed over on command", "routers", handed)
		return handed, nil
	}
	done := slices.DeleteFunc(handed, func(n string) bool { return slices.Contains(refused, n) })
	err = fmt.Errorf("nobody took over %s: this director is still master of it, and clients have noticed nothing; see whether tandem runs on the peer, and whether VRRP passes between the two",
		strings.Join(refused, ", "))
	return done, errors.Join(err, d.standBack(refused, false))
}

// Release lets virtual routers that stand back, the named ones or all, take part again.
func (d *Director) Release(names []string) ([]string, error) {
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
	for _, name := range names {
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("there is no virtual router %q: this director has %s", name, strings.Join(known, ", "))
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

// standBack remembers that routers stand back, or do so no more, and tells the election.
func (d *Director) standBack(names []string, on bool) error {
	d.mu.Lock()
	before := d.standby.Value
	now := slices.DeleteFunc(slices.Clone(before), func(n string) bool { return slices.Contains(names, n) })
	if on {
		now = append(now, names...)
		slices.Sort(now)
	}
	d.standby.Value = now
	err := d.standby.Store()
	if err != nil && on {
		d.standby.Value = before
		d.mu.Unlock()
		return fmt.Errorf("remember the standby: %w", err)
	}
	d.mu.Unlock()
	d.ordering.Lock()
	defer d.ordering.Unlock()
	d.sendOrder(d.tracked)
	return err
}

// awaitHandOver returns those of the routers that nobody has taken over when the election has settled it, or when the
// time is over.
func (d *Director) awaitHandOver(names []string, timeout <-chan time.Time) (refused []string) {
	begun := make(map[string]bool)
	for over := false; ; {
		d.mu.Lock()
		next := d.reported
		d.mu.Unlock()
		pending := false
		refused = nil
		for _, name := range names {
			s := d.stateOf(name)
			begun[name] = begun[name] || s.HandingOver
			switch {
			case !s.Holding:
			case s.HandingOver, !begun[name]:
				pending = true
				refused = append(refused, name)
			default:
				refused = append(refused, name)
			}
		}
		if !pending || over {
			return refused
		}
		select {
		case <-next:
		case <-timeout:
			over = true
		}
	}
}
