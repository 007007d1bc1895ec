// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/moby/ipvs"
	"github.com/sirupsen/logrus"

	"github.com/tandem-lvs/tandem/lvs"
)

// A handle makes single changes. It serves one caller at a time.
type handle interface {
	NewService(*ipvs.Service) error
	UpdateService(*ipvs.Service) error
	DelService(*ipvs.Service) error
	NewDestination(*ipvs.Service, *ipvs.Destination) error
	UpdateDestination(*ipvs.Service, *ipvs.Destination) error
	DelDestination(*ipvs.Service, *ipvs.Destination) error
	Close()
}

var _ handle = (*ipvs.Handle)(nil)

// ErrReloaded is the error of every operation after the module ip_vs was unloaded and loaded again. The netlink family of ip_vs
// then has another number, but moby/ipvs uses the first number as long as the process lives.
var ErrReloaded = errors.New("the module ip_vs was reloaded: restart this process to use it")

// mobyFamily is the family number that moby/ipvs uses, 0 before it has one.
var mobyFamily atomic.Uint32

// A session reads and writes the kernel's table.
type session struct {
	handle
	*wire
}

func (s *session) close() error {
	s.handle.Close()
	return s.wire.close()
}

// dial opens a session in the network namespace of the calling thread. Without IPVS, moby/ipvs reports success for
// everything. So dial first asks the kernel for IPVS.
func dial(log hclog.Logger) (*session, error) {
	id, err := family()
	if err != nil {
		return nil, err
	}
	if !mobyFamily.CompareAndSwap(0, uint32(id)) && mobyFamily.Load() != uint32(id) {
		return nil, ErrReloaded
	}
	w, err := dialWire(id)
	if err != nil {
		return nil, err
	}
	// ipvs.New runs modprobe, which is no longer needed here, and logs through logrus if there is no modprobe.
	logrus.SetOutput(log.StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}))
	h, err := ipvs.New("")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("failed to open IPVS netlink socket: %w", err), w.close())
	}
	return &session{h, w}, nil
}

// mobyCan reports whether moby/ipvs makes a change, instead of our wire. moby/ipvs makes a single change if its types can
// express all of it. Our wire makes the other changes: several changes in one system call, a server whose address family is not
// the service's, and a server with a tunnel that is not plain IPIP. moby/ipvs sends neither that family nor the tunnel.
//
// All reads use the wire. moby/ipvs reads no persistence engine, no tunnel and no 64-bit counters, so its results cannot be
// compared with the wanted table. It has no connection sync.
func mobyCan(changes []lvs.Change) bool {
	if len(changes) != 1 {
		return false
	}
	c := &changes[0]
	if c.Op == lvs.AddService || c.Op == lvs.SetService || c.Op == lvs.DeleteService {
		return true
	}
	return lvs.FamilyOf(c.Server.Addr) == c.Service.AddrFamily() && c.Server.Canonical().Tunnel == lvs.Encapsulation{}
}

// toService returns a service in the form of moby/ipvs.
func toService(s lvs.Service) *ipvs.Service {
	out := &ipvs.Service{
		SchedName:     s.Scheduler,
		Flags:         uint32(s.Flags),
		Timeout:       uint32(s.Timeout / time.Second),
		Netmask:       netmask(s),
		PEName:        s.Engine,
		AddressFamily: familyNumbers[s.AddrFamily()],
	}
	if s.FWMark != 0 {
		out.FWMark = s.FWMark
		return out
	}
	out.Protocol, out.Address, out.Port = protocolNumbers[s.Protocol], s.Addr.AsSlice(), s.Port
	return out
}

func toDestination(s lvs.Server) *ipvs.Destination {
	return &ipvs.Destination{
		Address:         s.Addr.AsSlice(),
		Port:            s.Port,
		Weight:          s.Weight,
		ConnectionFlags: methodNumbers[s.Method],
		UpperThreshold:  s.UpperThreshold,
		LowerThreshold:  s.LowerThreshold,
	}
}
