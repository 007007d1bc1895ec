// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// Farewells are what the state directory remembers of servers that leave, so that a restart neither gives them more
// time nor cuts short what was taken out of the file meanwhile.
type farewells struct {
	// Graces are those of the configuration that runs: the next process may have another.
	Graces  []savedGrace  `json:"graces,omitempty"`
	Leaving []savedLeaver `json:"leaving,omitempty"`
}

type savedGrace struct {
	Virtual string `json:"virtual"`
	Service string `json:"service"`
	Timeout string `json:"timeout"`
}

type savedLeaver struct {
	Virtual string         `json:"virtual"`
	Service string         `json:"service"`
	Server  netip.AddrPort `json:"server"`
	Until   time.Time      `json:"until"`
}

// saveFarewells writes both down. It is pure.
func saveFarewells(given map[lvs.ServiceID]grace, leaving map[lvs.ServiceID][]leaver) (f farewells) {
	for _, id := range slices.SortedFunc(maps.Keys(given), lvs.ServiceID.Compare) {
		f.Graces = append(f.Graces, savedGrace{id.String(), given[id].service, given[id].timeout.String()})
	}
	for _, id := range slices.SortedFunc(maps.Keys(leaving), lvs.ServiceID.Compare) {
		for _, l := range leaving[id] {
			server := netip.AddrPortFrom(l.server.Addr, l.server.Port)
			f.Leaving = append(f.Leaving, savedLeaver{id.String(), l.service, server, l.until.UTC().Round(0)})
		}
	}
	return f
}

// read is the reverse. Of a leaver only what identifies it comes back: the kernel's table has the rest.
func (f farewells) read() (given map[lvs.ServiceID]grace, leaving map[lvs.ServiceID][]leaver, err error) {
	given, leaving = make(map[lvs.ServiceID]grace), make(map[lvs.ServiceID][]leaver)
	for _, g := range f.Graces {
		id, err := lvs.ParseServiceID(g.Virtual)
		if err != nil {
			return nil, nil, fmt.Errorf("read what drain_timeout was: %w", err)
		}
		timeout, err := time.ParseDuration(g.Timeout)
		if err != nil {
			return nil, nil, fmt.Errorf("read what drain_timeout of %s was: %w", id, err)
		}
		given[id] = grace{g.Service, timeout}
	}
	for _, l := range f.Leaving {
		id, err := lvs.ParseServiceID(l.Virtual)
		if err != nil {
			return nil, nil, fmt.Errorf("read which servers leave: %w", err)
		}
		server := lvs.Server{ServerID: lvs.ServerID{Addr: l.Server.Addr(), Port: l.Server.Port()}}
		leaving[id] = append(leaving[id], leaver{service: l.Service, server: server, until: l.Until})
	}
	return given, leaving, nil
}

// inheritLeavers has those servers leave, of the services that are ours, which left the configuration while this
// director did not run, and goes on with those that were leaving. The caller holds d.mu.
func (d *Director) inheritLeavers(services []configs.Service, table []lvs.Entry) {
	former, before, err := d.farewells.Value.read()
	if err != nil {
		d.log.Warn("the servers that were leaving have their whole time again", "error", err)
	}
	here, ours := make(map[lvs.ServiceID]bool), d.ownership.Set()
	for _, svc := range services {
		for _, virtual := range svc.Virtuals {
			here[virtual.ServiceID] = true
		}
	}
	table = slices.DeleteFunc(slices.Clone(table), func(e lvs.Entry) bool { return !ours[e.ServiceID] && !here[e.ServiceID] })
	d.leavers = leave(services, table, before, former, time.Now())
	d.rememberLeavers()
}

// rememberLeavers stores what a restart must know. The caller holds d.mu.
func (d *Director) rememberLeavers() {
	is := saveFarewells(graces(d.config.Services), d.leavers)
	if reflect.DeepEqual(is, d.farewells.Value) {
		return
	}
	if err := d.farewells.Store(is); err != nil {
		d.log.Error("remember the servers that leave", "error", err)
	}
}
