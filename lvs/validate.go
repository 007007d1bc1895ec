// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"errors"
	"fmt"
	"net/netip"
)

// MaxWeight is the largest weight of a real server: the library that reads it back keeps 16 bits.
const MaxWeight = 65535

// maxSchedulerName is IP_VS_SCHEDNAME_MAXLEN of linux/ip_vs.h without its terminating zero.
const maxSchedulerName = 15

// ErrInvalid is in every error about a service or real server that the kernel table must not be asked to hold.
var ErrInvalid = errors.New("invalid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Validate says what keeps a service and its real servers out of the kernel's table. The errors, each of which is
// ErrInvalid, are joined.
func (e Entry) Validate() error {
	errs := []error{e.Service.Validate()}
	for _, s := range e.Servers {
		errs = append(errs, s.Validate(e.ServiceID))
	}
	return errors.Join(errs...)
}

// Validate says what keeps a service out of the kernel's table. The kernel and the library under us accept some of
// this and then do something else. The error is ErrInvalid.
func (s Service) Validate() error {
	switch {
	case s.FWMark != 0 && s.Family != IPv4 && s.Family != IPv6:
		return invalid("service %s: a firewall-mark service needs a family", s.ServiceID)
	case s.FWMark == 0 && !plain(s.Addr):
		return invalid("service %s: not a plain IPv4 or IPv6 address", s.ServiceID)
	case s.FWMark == 0 && s.Protocol != TCP && s.Protocol != UDP:
		return invalid("service %s: want tcp or udp", s.ServiceID)
	case s.FWMark == 0 && s.Port == 0:
		return invalid("service %s: port 0 needs persistence", s.ServiceID)
	case s.Scheduler == "" || len(s.Scheduler) > maxSchedulerName:
		return invalid("service %s: scheduler %q: want a name of 1 to %d characters",
			s.ServiceID, s.Scheduler, maxSchedulerName)
	case s.Flags != 0:
		return invalid("service %s: flags %s cannot be set", s.ServiceID, s.Flags)
	}
	return nil
}

// Validate says what keeps a real server out of the given service. The error is ErrInvalid.
func (s Server) Validate(in ServiceID) error {
	switch {
	case !plain(s.Addr):
		return invalid("server %s in %s: not a plain IPv4 or IPv6 address", s.ServerID, in)
	case addrFamily(s.Addr) != in.family():
		// Such a service needs a tunnel, and the destination's family in the message, which moby/ipvs does not send:
		// the kernel reports success and takes another address.
		return invalid("server %s in %s: service and server differ in address family", s.ServerID, in)
	case s.Method != DR && s.Method != NAT && s.Method != Tunnel:
		return invalid("server %s in %s: want dr, nat or tunnel", s.ServerID, in)
	case s.Weight < 0 || s.Weight > MaxWeight:
		return invalid("server %s in %s: weight %d: want 0 to %d", s.ServerID, in, s.Weight, MaxWeight)
	case in.FWMark == 0 && s.Method != NAT && s.Port != in.Port:
		return invalid("server %s in %s: only nat can map port %d to %d", s.ServerID, in, in.Port, s.Port)
	case in.FWMark == 0 && s.Port == 0:
		return invalid("server %s in %s: port 0", s.ServerID, in)
	}
	return nil
}

// plain tells whether IPVS and moby/ipvs agree on the address: no zone, and no IPv4 address in IPv6's clothes.
func plain(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified()
}
