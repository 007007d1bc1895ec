// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/lvs"
)

// atZero returns since when a server has weight 0, if its service limits that time.
func (s *State) atZero(svc *service, srv *server, in lvs.WeightInput) time.Time {
	if svc.RemoveAfter == 0 || in.Disabled || in.Kept {
		srv.zeroSince = time.Time{}
		return srv.zeroSince
	}
	in.OnFailure, in.SlowStart, in.Now = lvs.WeightZero, svc.SlowStart, s.now
	switch weight, _ := lvs.Weight(in); {
	case weight > 0:
		srv.zeroSince = time.Time{}
	case srv.zeroSince.IsZero():
		srv.zeroSince = s.now
	}
	return srv.zeroSince
}

// logExpired logs the servers that leave the table because they have had weight 0 for too long.
func (s *State) logExpired(svc *service) {
	for _, srv := range svc.servers {
		was := srv.expired
		srv.expired = lvs.WeightInput{ZeroSince: srv.zeroSince, RemoveAfter: svc.RemoveAfter, Now: s.now}.Expired()
		if srv.expired && !was {
			s.log(Info, "server left the table: it had weight 0 for too long", "server", srv.id, "remove-after", svc.RemoveAfter)
			s.recordServer(api.EventOrder, srv.id, "left the table", "it had weight 0 for "+svc.RemoveAfter.String()+" (remove_after)")
		}
	}
}
