// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// orderTimeout bounds how long a command waits until the kernel's table says what it ordered.
const orderTimeout = 15 * time.Second

// An order is what operators want of a real server, whatever the configuration says. The zero value is nothing.
type order struct {
	Drained  bool `json:"drained,omitempty"`
	Disabled bool `json:"disabled,omitempty"`
	Weight   *int `json:"weight,omitempty"`
}

// apply puts the order into what decides a weight.
func (o order) apply(in *lvs.WeightInput) {
	in.Draining, in.Disabled = in.Draining || o.Drained, o.Disabled
	if o.Weight != nil {
		in.Overridden, in.Override = true, *o.Weight
	}
}

// with is the order after one more command.
func (o order) with(c control.ServerCommand) (order, error) {
	switch c.Action {
	case control.Drain:
		o.Drained = true
	case control.Undrain:
		o.Drained = false
	case control.Disable:
		o.Disabled = true
	case control.Enable:
		o.Disabled = false
	case control.Reset:
		o.Weight = nil
	case control.SetWeight:
		if c.Weight < 0 || c.Weight > lvs.MaxWeight {
			return o, fmt.Errorf("weight %d is out of range: want 0 to %d", c.Weight, lvs.MaxWeight)
		}
		o.Weight = &c.Weight
	default:
		return o, fmt.Errorf("unknown action %q: want one of %s", c.Action, strings.Join(control.Actions(), ", "))
	}
	return o, nil
}

// note says it in words, of a server whose configured weight is given.
func (o order) note(configured int) string {
	var words []string
	if o.Disabled {
		words = append(words, "disabled by command")
	}
	if o.Drained {
		words = append(words, "drained by command")
	}
	if o.Weight != nil {
		words = append(words, fmt.Sprintf("weight %d by command instead of %d", *o.Weight, configured))
	}
	return strings.Join(words, "; ")
}

// CommandServer does what an operator wants of a real server, and returns how that stands once the kernel's table says
// so. The order is remembered first.
func (d *Director) CommandServer(c control.ServerCommand) (control.ServerState, error) {
	d.mu.Lock()
	svc, srv, err := findServer(d.config.Services, c.Server)
	d.mu.Unlock()
	if err != nil {
		return control.ServerState{}, err
	}
	id := targetID(svc, srv)
	if err := d.remember(id, c); err != nil {
		return control.ServerState{}, err
	}
	d.log.Info("ordered by command", "server", id, "action", c.Action)
	if err := d.awaitTable(); err != nil {
		return control.ServerState{}, err
	}
	return d.Server(id)
}

// remember stores what one more command makes of the orders.
func (d *Director) remember(id string, c control.ServerCommand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.orders.Value
	now, err := before[id].with(c)
	if err != nil {
		return err
	}
	all := maps.Clone(before)
	if all == nil {
		all = make(map[string]order)
	}
	all[id] = now
	if now == (order{}) {
		delete(all, id)
	}
	if err := d.orders.Store(all); err != nil {
		d.orders.Value = before
		return fmt.Errorf("remember the order: %w", err)
	}
	return nil
}

// forgetOrders drops the orders about servers that the configuration does not have. The caller holds d.mu.
func (d *Director) forgetOrders(services []configs.Service) {
	known := make(map[string]bool)
	for _, svc := range services {
		for _, srv := range svc.Servers {
			known[targetID(svc, srv)] = true
		}
	}
	kept := maps.Clone(d.orders.Value)
	maps.DeleteFunc(kept, func(id string, _ order) bool { return !known[id] })
	if len(kept) == len(d.orders.Value) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(d.orders.Value)) {
		if !known[id] {
			d.log.Warn("an order about a server that is not configured is forgotten", "server", id)
		}
	}
	if err := d.orders.Store(kept); err != nil {
		d.log.Warn("forget orders", "error", err)
	}
}

// awaitTable has the table looked at, and waits until the kernel's is as is planned from now on.
func (d *Director) awaitTable() error {
	d.mu.Lock()
	d.asked++
	asked := d.asked
	d.mu.Unlock()
	d.nudge()
	for limit := time.After(orderTimeout); ; {
		d.mu.Lock()
		done, next := d.answered >= asked, d.passed
		d.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-next:
		case <-limit:
			return errors.New("the order is remembered, but the kernel's table could not be brought in line with it yet: see the director's log")
		}
	}
}

// findServer finds what a command names as SERVICE/SERVER, where SERVER is an address with or without its port.
func findServer(services []configs.Service, name string) (configs.Service, configs.Server, error) {
	service, server, ok := strings.Cut(name, "/")
	if !ok {
		return configs.Service{}, configs.Server{}, fmt.Errorf("%q is not SERVICE/SERVER: write for example www/192.0.2.11 or www/192.0.2.11:80", name)
	}
	i := slices.IndexFunc(services, func(s configs.Service) bool { return s.Name == service })
	if i < 0 {
		names := make([]string, len(services))
		for i, s := range services {
			names[i] = s.Name
		}
		return configs.Service{}, configs.Server{}, fmt.Errorf("there is no service %q: this director has %s", service, listed(names))
	}
	svc := services[i]
	var found []configs.Server
	var have, several []string
	for _, srv := range svc.Servers {
		address := netip.AddrPortFrom(srv.Addr, srv.Port).String()
		have = append(have, address)
		if address == server || srv.Addr.String() == strings.Trim(server, "[]") {
			found, several = append(found, srv), append(several, address)
		}
	}
	switch len(found) {
	case 0:
		return svc, configs.Server{}, fmt.Errorf("service %s has no server %q: it has %s", svc.Name, server, listed(have))
	case 1:
		return svc, found[0], nil
	}
	return svc, configs.Server{}, fmt.Errorf("service %s has several servers %q: name one of %s", svc.Name, server, listed(several))
}

// listed joins names, the first few of many.
func listed(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
