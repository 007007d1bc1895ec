// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// peerServices compares the peer's services with this director's, by the new connections of clients that the peer tells of. Without
// connection sync, or without new connections, nothing can be compared.
func (e *examination) peerServices() {
	told := len(e.driftOfServices()) > 0
	for _, m := range e.snapshot.Synced {
		if m.Interface != e.config.LVS.Sync.Interface || e.snapshot.holds(m.Source) {
			continue
		}
		for _, c := range m.Connections {
			if m.ID != e.config.LVS.Sync.ID || !told { // otherwise the channel says it of the configurations themselves
				e.peerService(m, c)
			}
		}
	}
}

// peerService judges one connection.
func (e *examination) peerService(m SyncMessage, c SyncedConnection) {
	if c.template || c.Protocol == 0 || c.Mark != 0 || !e.isVIP(c.Virtual.Addr()) {
		return // what it belongs to is not certain
	}
	f := diagnosis.Finding{ID: "services-differ", Severity: diagnosis.Warning,
		Why:  "after a failover other servers serve the clients, and their connections break",
		Mend: "make the services of both directors the same, and run `tandem reload`"}
	svc, v, found := e.serviceOf(c)
	switch {
	case m.ID != e.config.LVS.Sync.ID:
		f.ID = "sync-id-differs"
		f.What = fmt.Sprintf("%s sends its connections with the sync id %d, and this director has %d", m.Source, m.ID, e.config.LVS.Sync.ID)
		f.Why = "this director does not learn the peer's connections, and a failover breaks them"
		f.Mend = "write the same id for sync in [lvs] of both directors, and run `tandem reload`"
	case !found:
		f.What = fmt.Sprintf("%s serves %s at %s, and this director has no such service", m.Source, c.Protocol, c.Virtual)
		f.Why = "after a failover nobody serves its clients"
	default:
		what := serverFault(svc, v, c)
		if what == "" || e.isLeaving(svc.Name, c.Server.Addr()) {
			return
		}
		f.What = fmt.Sprintf("%s sends clients of %s to %s%s", m.Source, svc.Name, c.Server, what)
	}
	if !slices.ContainsFunc(e.findings, func(g Finding) bool { return g.What == f.What }) {
		e.add(f)
	}
}

// serverFault says how the server of a connection differs from those of its service here; empty: it does not.
func serverFault(svc configs.Service, v lvs.Service, c SyncedConnection) string {
	all := svc.Servers
	if svc.Sorry != nil {
		all = append(slices.Clip(all), *svc.Sorry)
	}
	for _, srv := range all {
		in := srv.In(v)
		port := in.Port
		if v.Port == 0 {
			port = c.Server.Port() // any
		}
		switch {
		case netip.AddrPortFrom(in.Addr, port) != c.Server:
		case c.Method != 0 && c.Method != in.Method:
			return fmt.Sprintf(" by method %s, and here it has method %s", c.Method, in.Method)
		default:
			return ""
		}
	}
	return ", which is no server of it here"
}

// isLeaving reports whether a server was taken out of the file a short time ago, and stays for its connections.
func (e *examination) isLeaving(service string, server netip.Addr) bool {
	return e.snapshot.Status != nil && slices.ContainsFunc(e.snapshot.Status.Services, func(svc api.Service) bool {
		return svc.Name == service && slices.ContainsFunc(svc.Servers, func(s api.Server) bool { return s.Leaving && s.Address == server })
	})
}

// serviceOf returns the service of a connection, as it is in this director's file.
func (e *examination) serviceOf(c SyncedConnection) (configs.Service, lvs.Service, bool) {
	for _, svc := range e.config.Services {
		for _, v := range svc.Virtuals {
			if v.Addr == c.Virtual.Addr() && v.Protocol == c.Protocol && (v.Port == c.Virtual.Port() || v.Port == 0) {
				return svc, v, true
			}
		}
	}
	return configs.Service{}, lvs.Service{}, false
}
