// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/lvs"
)

// id parses the name of a service. serverID, service, server and entry do the same for the other types, so that the tables of
// the tests are readable.
func id(s string) lvs.ServiceID {
	id, err := lvs.ParseServiceID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func serverID(addr string) lvs.ServerID {
	a := netip.MustParseAddrPort(addr)
	return lvs.ServerID{Addr: a.Addr(), Port: a.Port()}
}

func service(name, scheduler string) lvs.Service {
	return lvs.Service{ServiceID: id(name), Scheduler: scheduler}
}

func server(addr string, m lvs.Method, weight int) lvs.Server {
	return lvs.Server{ServerID: serverID(addr), Method: m, Weight: weight}
}

func entry(name, scheduler string, servers ...lvs.Server) lvs.Entry {
	return lvs.Entry{Service: service(name, scheduler), Servers: servers}
}

// sorted returns entries in the kernel's form and order.
func sorted(entries []lvs.Entry) []lvs.Entry {
	for i := range entries {
		entries[i].Service = entries[i].Service.Canonical()
	}
	slices.SortFunc(entries, func(a, b lvs.Entry) int { return a.ServiceID.Compare(b.ServiceID) })
	return entries
}

func bigTable(services, servers int) []lvs.Entry {
	entries := make([]lvs.Entry, services)
	for i := range entries {
		addr := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		entries[i].Service = lvs.Service{ServiceID: lvs.ServiceID{Protocol: lvs.TCP, Addr: addr, Port: 80}, Scheduler: "wrr"}
		for j := range servers {
			addr := netip.AddrFrom4([4]byte{10, 2, 0, byte(j + 1)})
			entries[i].Servers = append(entries[i].Servers,
				lvs.Server{ServerID: lvs.ServerID{Addr: addr, Port: 80}, Method: lvs.DR, Weight: 1})
		}
	}
	return entries
}

func through(kind lvs.TunnelType, port uint16, sum lvs.Checksum) lvs.Server {
	s := server("192.0.2.11:80", lvs.Tunnel, 1)
	s.Tunnel = lvs.Encapsulation{Type: kind, Port: port, Checksum: sum}
	return s
}

func limited(upper, lower uint32) lvs.Server {
	s := server("192.0.2.11:80", lvs.DR, 1)
	s.UpperThreshold, s.LowerThreshold = upper, lower
	return s
}

// glance takes looks at the text until one finds drift or they have come round.
func glance(t *Table) (drifted bool, err error) {
	if t.idle() || !t.known {
		return !t.idle(), nil
	}
	for {
		drifted, err = t.lookAtText(threadTime())
		if drifted || err != nil || t.looks.sweep == nil {
			return drifted, err
		}
	}
}

// lookAround takes looks until one finds drift or they have come round once, with all details.
func lookAround(tb testing.TB, t *Table) (drifted bool, err error) {
	t.looks.detailed, t.looks.details = time.Time{}, nil
	for {
		t.looks.detailsDue = time.Time{}
		drifted, err = t.Look(tb.Context())
		if drifted || err != nil || t.looks.sweep == nil && len(t.looks.details) == 0 {
			return drifted, err
		}
	}
}

const (
	www = "tcp 192.0.2.100:80"
	dns = "udp 192.0.2.100:53"
	six = "tcp [2001:db8::100]:80"
)
