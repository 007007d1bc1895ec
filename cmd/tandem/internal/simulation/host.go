// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A host is a machine that runs a director.
type host struct {
	*world
	name       string
	node       int
	addrs      [segments]netip.Addr
	serverSide int             // the segment of the real servers
	cfg        *configs.Config // the file that the next start or reload reads

	powered   bool
	poweredAt time.Time // when it was last switched on
	paused    bool      // the whole machine stands still, its kernel too
	carrier   [segments]bool
	kernel    kernel
	disk      disk
	// fencingFails says that its hook cannot switch off the peer.
	fencingFails bool
	clock        time.Duration // how far ahead the wall clock was set; a process sees it when it starts

	record []string // the routers whose addresses a former election may have had, or has given up without a successor

	recordLost bool // the record cannot be read: it may have had every router

	director  *director   // nil: none
	elections []*election // the one that has the lock is first
	other     bool        // it runs another VRRP program
	peer      *otherMake  // nil: none
}

func (h *host) opposite() *host { return h.hosts[1-h.node] }

// kernelRuns reports whether the machine answers and forwards.
func (h *host) kernelRuns() bool { return h.powered && !h.paused }

// processes returns the processes that run.
func (h *host) processes() (all []*process) {
	if h.director != nil {
		all = append(all, &h.director.process)
	}
	if h.peer != nil {
		all = append(all, &h.peer.process)
	}
	for _, e := range h.elections {
		all = append(all, &e.process)
	}
	return all
}

// election returns the process that takes part in the election. nil: there is none.
func (h *host) election() *election {
	if len(h.elections) == 0 {
		return nil
	}
	return h.elections[0]
}

// A kernel is the parts of a kernel that matter here: the virtual addresses and the IPVS table.
type kernel struct {
	addrs   [segments]bool // the virtual addresses that it has, see slot
	table   map[lvs.ServiceID]lvs.Entry
	refuses bool      // it does not take the service www
	lies    int       // so many of the next dumps are wrong
	wiped   time.Time // when it last lost its table
}

// slot returns the place of a virtual address among those of a kernel.
func slot(a netip.Addr) int {
	if a == insideVIP {
		return inside
	}
	return outside
}

// foreign is a service of another program.
var foreign = lvs.Entry{
	Service: lvs.Service{ServiceID: lvs.ServiceID{Protocol: lvs.UDP, Addr: netip.MustParseAddr("192.0.2.200"), Port: 53}, Scheduler: "rr"},
	Servers: []lvs.Server{{ServerID: lvs.ServerID{Addr: netip.MustParseAddr("192.0.2.201"), Port: 53}, Method: lvs.DR, Weight: 1}},
}

func newKernel(now time.Time) kernel {
	return kernel{
		wiped: now,
		table: map[lvs.ServiceID]lvs.Entry{foreign.ServiceID: foreign},
	}
}

// schedule picks the real server of a new connection, by weight.
func (k *kernel) schedule(w *world, id lvs.ServiceID) (lvs.Server, bool) {
	servers := k.table[id].Servers
	sum := 0
	for _, s := range servers {
		sum += s.Weight
	}
	if sum == 0 {
		return lvs.Server{}, false
	}
	n := w.rand.IntN(sum)
	for _, s := range servers {
		if n -= s.Weight; n < 0 {
			return s, true
		}
	}
	return lvs.Server{}, false
}

// dump lists the table. A wrong dump has rows twice, or lacks a service or its servers.
func (k *kernel) dump(w *world) ([]lvs.Entry, error) {
	var all []lvs.Entry
	for _, id := range slices.SortedFunc(maps.Keys(k.table), lvs.ServiceID.Compare) {
		all = append(all, k.table[id])
	}
	if k.lies == 0 {
		return all, nil
	}
	k.lies--
	switch w.rand.IntN(4) {
	case 0:
		return nil, errors.New("the kernel does not answer")
	case 1:
		return append(all, all...), nil
	case 2:
		all[0].Servers = nil
		return all, nil
	}
	return all[:len(all)-1], nil
}

var errRefused = errors.New("failed to add tcp 192.0.2.100:80 (wrr): no such file or directory")

// change makes one change.
func (k *kernel) change(c lvs.Change) error {
	id := c.Service.ServiceID
	e, there := k.table[id]
	if k.refuses && id == www {
		return errRefused
	}
	e.Servers = slices.Clone(e.Servers)
	same := func(s lvs.Server) bool { return s.ServerID == c.Server.ServerID }
	i := slices.IndexFunc(e.Servers, same)
	switch c.Op {
	case lvs.AddService, lvs.SetService:
		if !there && c.Op == lvs.SetService {
			return fmt.Errorf("failed to %s: no such service", c)
		}
		e.Service = c.Service
	case lvs.DeleteService:
		delete(k.table, id)
		return nil
	case lvs.AddServer, lvs.SetServer:
		if !there {
			return fmt.Errorf("failed to %s: no such service", c)
		}
		if i < 0 {
			e.Servers = append(e.Servers, c.Server)
		} else {
			e.Servers[i] = c.Server
		}
	case lvs.DeleteServer:
		if !there {
			return nil
		}
		if i >= 0 {
			e.Servers = slices.Delete(e.Servers, i, i+1)
		}
	}
	k.table[id] = e
	return nil
}

// A disk keeps the state directory.
type disk struct {
	trouble string        // why nothing can be written
	slow    time.Duration // how long a write takes

	orders  map[string]core.Override
	ordered map[string]core.Override // the latest written orders, though the disk may have lost them
	standby []string
	drains  core.Drains
	owned   map[lvs.ServiceID]bool
	writes  int
}

// store writes one file.
func (d *disk) store(f core.FileValue) error {
	if d.trouble != "" {
		return errors.New(d.trouble)
	}
	d.writes++
	switch value := f.Value.(type) {
	case map[string]core.Override:
		d.orders, d.ordered = value, value
	case []string:
		d.standby = value
	case core.Drains:
		d.drains = value
	}
	return nil
}
