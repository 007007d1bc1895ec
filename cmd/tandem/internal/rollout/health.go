// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"net/netip"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// routerKey names a virtual router.
type routerKey struct {
	name   string
	family uint8
}

// serverKey names a real server.
type serverKey struct {
	service string
	address netip.Addr
	port    uint16
}

// unwell returns why a director is not healthy after a change, or "": the IPVS table is in line, each service that had a server for
// its clients has one again, no virtual router is in FAULT that was not, each new check has a first result, and the other director is
// not master of the same virtual router.
func unwell(before, is, other control.Status) string {
	if is.Table != nil {
		return is.Table.Warning
	}
	well, unknown := make(map[string]bool), make(map[serverKey]bool)
	for _, svc := range before.Services {
		well[svc.Name] = svc.Serves()
		for _, srv := range svc.Servers {
			unknown[serverKey{svc.Name, srv.Address, srv.Port}] = srv.Health == "unknown"
		}
	}
	for _, svc := range is.Services {
		for _, srv := range svc.Servers {
			if srv.Health == "unknown" && !unknown[serverKey{svc.Name, srv.Address, srv.Port}] {
				return fmt.Sprintf("the checks of %s have no result yet", svc.Name)
			}
		}
		if well[svc.Name] && !svc.Serves() {
			return fmt.Sprintf("no real server of %s gets clients", svc.Name)
		}
	}
	were, others := states(before.VRRP), states(other.VRRP)
	for _, r := range is.VRRP {
		key := routerKey{r.Name, r.Family}
		switch {
		case r.State == "initialize" && were[key] != "initialize":
			return fmt.Sprintf("virtual router %s has not begun yet", r.Name)
		case r.State == "fault" && were[key] != "fault":
			return fmt.Sprintf("virtual router %s is in FAULT: %s", r.Name, r.Reason)
		case r.State == "master" && others[key] == "master":
			return fmt.Sprintf("both directors are master of %s: they do not hear each other, or what they send does not fit", r.Name)
		}
	}
	return ""
}

func states(all []control.Router) map[routerKey]string {
	is := make(map[routerKey]string, len(all))
	for _, r := range all {
		is[routerKey{r.Name, r.Family}] = r.State
	}
	return is
}

// masters counts the virtual routers of which a director is master.
func masters(s control.Status) (n int) {
	for _, r := range s.VRRP {
		if r.State == "master" {
			n++
		}
	}
	return n
}
