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

// ErrReloaded is the error of every operation once the module ip_vs has been unloaded and loaded again: its netlink
// family has another number now, and moby/ipvs keeps the first one for the life of the process.
var ErrReloaded = errors.New("the module ip_vs was reloaded: restart this process to use it")

// mobyFamily is the family number that moby/ipvs has cached, 0 before it has.
var mobyFamily atomic.Uint32

// A session is what the kernel's table is read and written through.
type session struct {
	handle
	*wire
}

func (s *session) close() error {
	s.handle.Close()
	return s.wire.close()
}

// dial opens a session in the network namespace of the calling thread. Without IPVS moby/ipvs would report success for
// whatever it is asked, so the kernel is asked first.
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
	// Its New runs modprobe, needlessly by now, and complains through logrus where there is none.
	logrus.SetOutput(log.StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}))
	h, err := ipvs.New("")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open IPVS netlink socket: %w", err), w.close())
	}
	return &session{h, w}, nil
}

// mobyCan tells whether moby/ipvs knows everything about a change: it sends neither a server's address family, where
// that is not the service's, nor its tunnel, without which the kernel takes a plain IPIP one.
func mobyCan(c *lvs.Change) bool {
	if c.Op == lvs.AddService || c.Op == lvs.SetService || c.Op == lvs.DeleteService {
		return true
	}
	return lvs.FamilyOf(c.Server.Addr) == c.Service.AddrFamily() && c.Server.Canonical().Tunnel == lvs.Encapsulation{}
}

// toService gives a service the form of the library.
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
