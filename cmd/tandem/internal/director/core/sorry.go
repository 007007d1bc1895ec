// SPDX-License-Identifier: Apache-2.0

package core

import "slices"

// all returns the servers of a service, and its sorry server.
func (svc *service) all() []*server {
	if svc.sorry == nil {
		return svc.servers
	}
	return append(slices.Clip(svc.servers), svc.sorry)
}

// adoptSorry takes over the sorry server of a new configuration, and the results that its checks had before.
func (s *State) adoptSorry(svc *service, former formerServers) {
	if svc.Sorry == nil {
		return
	}
	was := former.servers[ServerID(svc.Service, *svc.Sorry)]
	svc.sorry = newServer(svc.Service, *svc.Sorry, was)
	for i, id := range svc.sorry.checkIDs {
		s.targets[id] = target{svc, svc.sorry, i}
		if is, ok := former.status[id]; ok && svc.probed() {
			svc.sorry.status[i] = is
		}
	}
	svc.sorry.verdict = combine(svc.sorry.Checks, svc.sorry.Pass, svc.sorry.status)
	if was != nil {
		s.keepDoubt(svc, svc.sorry, was)
	}
}
