// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A handle is a netlink connection to the kernel's table. It serves one caller at a time.
type handle interface {
	GetServices() ([]*ipvs.Service, error)
	GetDestinations(*ipvs.Service) ([]*ipvs.Destination, error)
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

// dial opens a handle in the network namespace of the calling thread. Without IPVS moby/ipvs would report success for
// whatever it is asked, so the kernel is asked first.
func dial(log hclog.Logger) (handle, error) {
	id, err := family()
	if err != nil {
		return nil, err
	}
	if !mobyFamily.CompareAndSwap(0, uint32(id)) && mobyFamily.Load() != uint32(id) {
		return nil, ErrReloaded
	}
	// Its New runs modprobe, needlessly by now, and complains through logrus where there is none.
	logrus.SetOutput(log.StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}))
	h, err := ipvs.New("")
	if err != nil {
		return nil, fmt.Errorf("open IPVS netlink socket: %w", err)
	}
	return h, nil
}

var protocolNumbers = map[Protocol]uint16{TCP: unix.IPPROTO_TCP, UDP: unix.IPPROTO_UDP}

var methodFlags = map[Method]uint32{
	DR:     ipvs.ConnectionFlagDirectRoute,
	NAT:    ipvs.ConnectionFlagMasq,
	Tunnel: ipvs.ConnectionFlagTunnel,
}

var familyNumbers = map[Family]uint16{IPv4: unix.AF_INET, IPv6: unix.AF_INET6}

// keyOf is the inverse of a map with few entries; the zero value stands for what is not in it.
func keyOf[K, V comparable](m map[K]V, v V) (key K) {
	for k, x := range m {
		if x == v {
			return k
		}
	}
	return key
}

// toService gives a service the form of the library, without persistence.
func toService(s Service) *ipvs.Service {
	out := &ipvs.Service{
		SchedName:     s.Scheduler,
		AddressFamily: familyNumbers[s.family()],
		Netmask:       0xffffffff,
	}
	if s.family() == IPv6 {
		out.Netmask = 128 // for IPv6 the kernel takes a prefix length
	}
	if s.FWMark != 0 {
		out.FWMark = s.FWMark
		return out
	}
	out.Protocol, out.Address, out.Port = protocolNumbers[s.Protocol], s.Addr.AsSlice(), s.Port
	return out
}

// fromService is the inverse of toService. It is false for a service of a protocol that tandem does not manage, which
// can therefore not be ours.
func fromService(s *ipvs.Service) (out Service, ok bool) {
	out.Scheduler = s.SchedName
	out.Flags = Flags(s.Flags &^ flagHashed)
	if s.FWMark != 0 {
		out.FWMark, out.Family = s.FWMark, keyOf(familyNumbers, s.AddressFamily)
		return out, out.Family != 0
	}
	out.Protocol, out.Port = keyOf(protocolNumbers, s.Protocol), s.Port
	out.Addr, ok = netip.AddrFromSlice(s.Address)
	return out, ok && out.Protocol != 0
}

func toDestination(s Server) *ipvs.Destination {
	return &ipvs.Destination{
		Address:         s.Addr.AsSlice(),
		Port:            s.Port,
		Weight:          s.Weight,
		ConnectionFlags: methodFlags[s.Method],
	}
}

func fromDestination(d *ipvs.Destination) (Server, error) {
	addr, ok := netip.AddrFromSlice(d.Address)
	if !ok {
		return Server{}, fmt.Errorf("real server address of %d bytes", len(d.Address))
	}
	return Server{
		ServerID: ServerID{Addr: addr, Port: d.Port},
		Method:   keyOf(methodFlags, d.ConnectionFlags&ipvs.ConnectionFlagFwdMask),
		Weight:   d.Weight,
	}, nil
}

// readTable reads every service that tandem could manage. It calls begin before each command.
func readTable(h handle, begin func() error) ([]Entry, error) {
	if err := begin(); err != nil {
		return nil, err
	}
	services, err := h.GetServices()
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	var entries []Entry
	for _, raw := range services {
		service, ok := fromService(raw)
		if !ok {
			continue
		}
		if err := begin(); err != nil {
			return nil, err
		}
		destinations, err := h.GetDestinations(raw)
		if err != nil {
			return nil, fmt.Errorf("list servers of %s: %w", service.ServiceID, err)
		}
		entry := Entry{Service: service, Servers: make([]Server, 0, len(destinations))}
		for _, d := range destinations {
			server, err := fromDestination(d)
			if err != nil {
				return nil, fmt.Errorf("list servers of %s: %w", service.ServiceID, err)
			}
			entry.Servers = append(entry.Servers, server)
		}
		entry.Servers = sortedServers(entry.Servers)
		entries = append(entries, entry)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.ServiceID.Compare(b.ServiceID) })
	return entries, nil
}
