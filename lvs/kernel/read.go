// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"fmt"
	"slices"

	"github.com/tandem-lvs/tandem/lvs"
)

// Read returns all services that tandem could manage, with their real servers and present weights, sorted. Its errors
// wrap ErrAbsent, ErrReloaded, ErrTimeout, ErrClosed, the context's, or the kernel's errno.
func (k *IPVS) Read(ctx context.Context) ([]lvs.Entry, error) {
	return ask(ctx, k, "read IPVS table", readTable)
}

// Status returns what Read does, with the numbers of connections and the statistics, in one pass over the table. The
// kernel sums the statistics up every 2 s. The errors are those of Read.
func (k *IPVS) Status(ctx context.Context) ([]lvs.ServiceStatus, error) {
	return ask(ctx, k, "read IPVS statistics", readStatus)
}

// ask lets f read something in its turn.
func ask[T any](ctx context.Context, k *IPVS, what string, f func(s *session, begin func() error) (T, error)) (T, error) {
	var none T
	release, err := k.acquire(ctx)
	if err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	defer release()
	value, err := work(ctx, k, f)
	if err != nil {
		// Whatever it was, a socket with half an answer in it is not to be used again.
		k.drop()
		return none, fmt.Errorf("%s: %w", what, err)
	}
	return value, nil
}

// readTable reads the table without what was counted. It calls begin before each command.
func readTable(s *session, begin func() error) ([]lvs.Entry, error) {
	var entries []lvs.Entry
	err := s.services(begin, func(b []byte) {
		if service, ok := parseService(b, nil); ok {
			entries = append(entries, lvs.Entry{Service: service})
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b lvs.Entry) int { return a.ServiceID.Compare(b.ServiceID) })
	var servers []lvs.Server // of one service; each gets as much memory as it needs
	for i := range entries {
		e := &entries[i]
		servers = servers[:0]
		err := s.servers(begin, e.Service, func(b []byte) error {
			server, err := parseServer(b, e.AddrFamily(), false)
			servers = append(servers, server.Server)
			return err
		})
		if err != nil {
			return nil, err
		}
		e.Servers = lvs.SortServers(slices.Clone(servers))
	}
	return entries, nil
}

// readStatus is readTable with what was counted.
func readStatus(s *session, begin func() error) ([]lvs.ServiceStatus, error) {
	var all []lvs.ServiceStatus
	err := s.services(begin, func(b []byte) {
		var stats lvs.Stats
		if service, ok := parseService(b, &stats); ok {
			all = append(all, lvs.ServiceStatus{Service: service, Stats: stats})
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b lvs.ServiceStatus) int { return a.ServiceID.Compare(b.ServiceID) })
	for i := range all {
		status := &all[i]
		err := s.servers(begin, status.Service, func(b []byte) error {
			server, err := parseServer(b, status.AddrFamily(), true)
			status.Servers = append(status.Servers, server)
			return err
		})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(status.Servers, func(a, b lvs.ServerStatus) int { return a.ServerID.Compare(b.ServerID) })
	}
	return all, nil
}

// services calls each with the attributes of every service.
func (w *wire) services(begin func() error, each func(b []byte)) error {
	if err := begin(); err != nil {
		return err
	}
	err := w.dump(cmdGetService, nil, func(b []byte) error {
		each(b)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	return nil
}

// servers calls each with the attributes of every real server of a service. One that has gone has none.
func (w *wire) servers(begin func() error, of lvs.Service, each func(b []byte) error) error {
	if err := begin(); err != nil {
		return err
	}
	err := w.dump(cmdGetServer, func(b []byte) []byte { return appendService(b, of, false) }, each)
	if err != nil {
		return fmt.Errorf("list servers of %s: %w", of.ServiceID, err)
	}
	return nil
}
