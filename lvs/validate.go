// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MaxWeight is the largest weight of a real server. The kernel's schedulers multiply weights by numbers of connections,
// which must not overflow.
const MaxWeight = 65535

// MaxTimeout is the longest persistence, that of ipvsadm.
const MaxTimeout = 31 * 24 * time.Hour

// maxSchedulerName is IP_VS_SCHEDNAME_MAXLEN of linux/ip_vs.h without its terminating zero.
const maxSchedulerName = 15

// maxInterfaceName is IFNAMSIZ of linux/if.h without its terminating zero.
const maxInterfaceName = 15

// ErrInvalid is wrapped by every error about a value that must not reach the kernel.
var ErrInvalid = errors.New("invalid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Validate returns everything that is wrong with a service and its real servers. Each of the joined errors is ErrInvalid.
func (e Entry) Validate() error {
	errs := []error{e.Service.Validate()}
	for _, s := range e.Servers {
		errs = append(errs, s.Validate(e.ServiceID))
	}
	return errors.Join(errs...)
}

// Validate returns what is wrong with a service. The kernel and moby/ipvs accept some such values, but then act differently.
// The error is ErrInvalid.
func (s Service) Validate() error {
	udp := s.Protocol == UDP || s.FWMark != 0 // a firewall mark may be on packets of any protocol
	scheduled := s.Scheduler == "sh" || s.Scheduler == "mh"
	switch {
	case s.FWMark != 0 && s.Family != IPv4 && s.Family != IPv6:
		return invalid("service %s: a firewall-mark service needs a family", s.ServiceID)
	case s.FWMark == 0 && !plain(s.Addr):
		return invalid("service %s: not a plain IPv4 or IPv6 address", s.ServiceID)
	case s.FWMark == 0 && (s.Protocol < TCP || s.Protocol > SCTP):
		return invalid("service %s: want tcp, udp or sctp", s.ServiceID)
	case s.FWMark == 0 && s.Port == 0 && s.Flags&Persistent == 0:
		return invalid("service %s: port 0 needs persistence", s.ServiceID)
	case s.Scheduler == "" || len(s.Scheduler) > maxSchedulerName:
		return invalid("service %s: scheduler %q: want a name of 1 to %d characters",
			s.ServiceID, s.Scheduler, maxSchedulerName)
	case s.Flags&^(Persistent|OnePacket|Fallback|SourcePort) != 0:
		return invalid("service %s: flags %s: unknown", s.ServiceID, s.Flags)
	case s.Flags&OnePacket != 0 && !udp:
		return invalid("service %s: one-packet scheduling is for udp", s.ServiceID)
	case s.Flags&(Fallback|SourcePort) != 0 && !scheduled:
		return invalid("service %s: flags %s are for the schedulers sh and mh", s.ServiceID, s.Flags&(Fallback|SourcePort))
	case (s.Flags&Persistent != 0) != (s.Timeout != 0):
		return invalid("service %s: a timeout of %s is not persistence", s.ServiceID, s.Timeout)
	case s.Timeout < 0 || s.Timeout > MaxTimeout || s.Timeout%time.Second != 0:
		return invalid("service %s: timeout %s: want whole seconds up to %s", s.ServiceID, s.Timeout, MaxTimeout)
	case s.Prefix > s.AddrFamily().Bits() || s.Prefix != 0 && s.Timeout == 0:
		return invalid("service %s: prefix %d: want 1 to %d, with persistence", s.ServiceID, s.Prefix, s.AddrFamily().Bits())
	case s.Engine != "" && !slices.Contains(engines, s.Engine):
		return invalid("service %s: unknown engine %q: want %s", s.ServiceID, s.Engine, strings.Join(engines, ", "))
	case s.Engine != "" && (s.Timeout == 0 || !udp):
		return invalid("service %s: engine %s: it is for persistent udp services", s.ServiceID, s.Engine)
	}
	return nil
}

// Validate returns what is wrong with a real server of the given service. The error is ErrInvalid.
func (s Server) Validate(in ServiceID) error {
	switch {
	case !plain(s.Addr):
		return invalid("server %s in %s: not a plain IPv4 or IPv6 address", s.ServerID, in)
	case s.Method < DR || s.Method > Tunnel:
		return invalid("server %s in %s: want dr, nat or tunnel", s.ServerID, in)
	case FamilyOf(s.Addr) != in.AddrFamily() && s.Method != Tunnel:
		return invalid("server %s in %s: only tunnel can change the address family", s.ServerID, in)
	case s.Weight < 0 || s.Weight > MaxWeight:
		return invalid("server %s in %s: weight %d: want 0 to %d", s.ServerID, in, s.Weight, MaxWeight)
	case in.FWMark == 0 && s.Method != NAT && s.Port != in.Port:
		return invalid("server %s in %s: only nat can map port %d to %d", s.ServerID, in, in.Port, s.Port)
	case in.FWMark == 0 && s.Port == 0 && in.Port != 0:
		return invalid("server %s in %s: port 0", s.ServerID, in)
	case s.LowerThreshold > s.UpperThreshold:
		return invalid("server %s in %s: lower threshold %d is above the upper one, %d",
			s.ServerID, in, s.LowerThreshold, s.UpperThreshold)
	}
	if err := s.Tunnel.validate(s.Method); err != nil {
		return invalid("server %s in %s: %s", s.ServerID, in, err)
	}
	return nil
}

// validate reports what is wrong with the encapsulation of a server of the given method.
func (e Encapsulation) validate(m Method) error {
	switch {
	case e == Encapsulation{}:
		return nil
	case m != Tunnel:
		return fmt.Errorf("%s has no tunnel", m)
	case e.Type > GRE || e.Checksum > RemCsum:
		return fmt.Errorf("%s, %s: unknown", e.Type, e.Checksum)
	case (e.Type == GUE) != (e.Port != 0):
		return fmt.Errorf("tunnel %s: gue needs a port, and no other has one", e)
	case e.Type <= IPIP && e.Checksum > NoChecksum:
		return errors.New("an ipip tunnel has no checksum")
	case e.Type == GRE && e.Checksum == RemCsum:
		return errors.New("remcsum is for gue")
	}
	return nil
}

// plain reports whether IPVS and moby/ipvs agree on the address: it has no zone and is not an IPv4-mapped IPv6 address.
func plain(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified()
}
