// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// Read returns all services that tandem could manage, with their real servers, sorted. Its errors wrap ErrAbsent,
// ErrReloaded, ErrTimeout, ErrClosed, the context's error, or the kernel's errno.
func (k *IPVS) Read(ctx context.Context) ([]lvs.Entry, error) {
	return ask(ctx, k, "failed to read IPVS table", readTable)
}

// ReadServices returns the given services with their real servers, as far as the kernel has them. The errors are those of
// Read.
func (k *IPVS) ReadServices(ctx context.Context, ids []lvs.ServiceID) ([]lvs.Entry, error) {
	return ask(ctx, k, "failed to read IPVS services", func(s *session, begin func() error) ([]lvs.Entry, error) {
		entries := make([]lvs.Entry, 0, len(ids))
		for _, id := range ids {
			if err := begin(); err != nil {
				return nil, err
			}
			e, found := lvs.Entry{Service: lvs.Service{ServiceID: id}}, false
			err := s.get(cmdGetService, func(b []byte) []byte { return appendService(b, e.Service, false) }, func(b []byte) error {
				e.Service, found = parseService(b, nil)
				return nil
			})
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return nil, fmt.Errorf("failed to read service %s: %w", id, err)
			}
			if !found {
				continue
			}
			if e.Servers, err = s.entryServers(begin, e.Service, nil); err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		return entries, nil
	})
}

// Status returns what Read does, with all counters, in one pass over the table. The kernel updates the counters every 2 s.
// The errors are those of Read.
func (k *IPVS) Status(ctx context.Context) ([]lvs.ServiceStatus, error) {
	return ask(ctx, k, "failed to read IPVS statistics", readStatus)
}

// StatusOf returns the real servers of the given services with their counters, without the services' own, as far as the kernel has them. The errors are
// those of Read.
func (k *IPVS) StatusOf(ctx context.Context, ids []lvs.ServiceID) ([]lvs.ServiceStatus, error) {
	return ask(ctx, k, "failed to read IPVS statistics", func(s *session, begin func() error) ([]lvs.ServiceStatus, error) {
		all := make([]lvs.ServiceStatus, 0, len(ids))
		for _, id := range ids {
			status := lvs.ServiceStatus{Service: lvs.Service{ServiceID: id}}
			if err := s.serverStatus(begin, &status); err != nil {
				return nil, err
			}
			if len(status.Servers) > 0 {
				all = append(all, status)
			}
		}
		return all, nil
	})
}

// ask runs f, which reads something, in the caller's turn. An error begins with what.
func ask[T any](ctx context.Context, k *IPVS, what string, f func(s *session, begin func() error) (T, error)) (T, error) {
	var none T
	release, err := k.acquire(ctx)
	if err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	defer release()
	value, err := work(ctx, k, f)
	if err != nil {
		// There may be half an answer in the socket.
		k.drop()
		return none, fmt.Errorf("%s: %w", what, err)
	}
	return value, nil
}

// readTable reads the table without its counters. It calls begin before each command.
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
		if servers, err = s.entryServers(begin, e.Service, servers[:0]); err != nil {
			return nil, err
		}
		e.Servers = slices.Clone(servers)
	}
	return entries, nil
}

// entryServers appends the real servers of a service, sorted.
func (w *wire) entryServers(begin func() error, of lvs.Service, servers []lvs.Server) ([]lvs.Server, error) {
	err := w.servers(begin, of, func(b []byte) error {
		server, err := parseServer(b, of.AddrFamily(), false)
		servers = append(servers, server.Server)
		return err
	})
	return lvs.SortServers(servers), err
}

// readStatus reads the table with its counters.
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
		if err := s.serverStatus(begin, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// serverStatus adds the real servers of a service with their counters.
func (w *wire) serverStatus(begin func() error, of *lvs.ServiceStatus) error {
	err := w.servers(begin, of.Service, func(b []byte) error {
		server, err := parseServer(b, of.AddrFamily(), true)
		of.Servers = append(of.Servers, server)
		return err
	})
	slices.SortFunc(of.Servers, func(a, b lvs.ServerStatus) int { return a.ServerID.Compare(b.ServerID) })
	return err
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
		return fmt.Errorf("failed to list services: %w", err)
	}
	return nil
}

// servers calls each with the attributes of every real server of a service. A service that is gone has none.
func (w *wire) servers(begin func() error, of lvs.Service, each func(b []byte) error) error {
	if err := begin(); err != nil {
		return err
	}
	err := w.dump(cmdGetServer, func(b []byte) []byte { return appendService(b, of, false) }, each)
	if err != nil {
		return fmt.Errorf("failed to list servers of %s: %w", of.ServiceID, err)
	}
	return nil
}
