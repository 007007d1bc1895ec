// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/garp/wire"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

const (
	// ownersWait is how long others have to say that they have a VIP.
	ownersWait = 600 * time.Millisecond
	// statusWait is how long the director has to answer.
	statusWait = 3 * time.Second
)

// GatherDirector looks at this machine as a director, in the network namespace of the calling thread.
func GatherDirector(ctx context.Context, c *configs.Config) (Snapshot, error) {
	began, err := wallOffset()
	if err != nil {
		return Snapshot{}, err
	}
	s, err := gather()
	if err != nil {
		return s, err
	}
	_, err = netlink.GenlFamilyGet("IPVS") // which loads the module, if the machine has it
	s.IPVS = err == nil
	s.Schedulers = make(map[string]bool)
	for _, svc := range c.Services {
		name := svc.Virtuals[0].Scheduler
		s.Schedulers[name] = haveModule(ctx, "ip_vs_"+name)
	}
	paths := []string{forward4, forward6, conf4("all", "send_redirects"), conf4("all", "rp_filter")}
	vips := make(map[string][]netip.Addr)
	for _, r := range c.Routers {
		iface := r.AddressInterface()
		paths = append(paths, conf4(r.Interface, "send_redirects"), conf4(iface, "rp_filter"))
		for _, vip := range r.VIPs {
			vips[iface] = append(vips[iface], vip.Addr())
		}
	}
	if err := s.readSysctls(paths); err != nil {
		return s, err
	}
	if err := s.askOwners(ctx, vips); err != nil {
		return s, err
	}
	asking, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	if status, err := control.NewClient(c.Control.Socket).Status(asking); err == nil {
		s.Status = &status
	}
	if err := s.findWays(c); err != nil {
		return s, err
	}
	if err := s.tryFirewall(ctx, c); err != nil {
		return s, err
	}
	if s.Adverts, err = hear(ctx, s.listening(c)); err != nil {
		return s, err
	}
	s.Clock, err = readClock(began, s.Director.Started, c.Control.Socket)
	return s, err
}

// carries tells whether frames can pass an interface.
func (s Snapshot) carries(iface string) bool { l := s.Links[iface]; return l.Up && l.Carrier }

// listening says for how long to listen for advertisements on each interface, and notes it.
func (s *Snapshot) listening(c *configs.Config) map[string]time.Duration {
	s.Heard = make(map[string]time.Duration)
	for _, r := range c.Routers {
		if s.carries(r.Interface) {
			s.Heard[r.Interface] = max(s.Heard[r.Interface], min(max(3*r.AdvertInterval, leastHearing), mostHearing))
		}
	}
	return s.Heard
}

// findWays asks the kernel how it would reach the servers of tunnels.
func (s *Snapshot) findWays(c *configs.Config) error {
	s.Ways = make(map[netip.Addr]string)
	for _, svc := range c.Services {
		for _, srv := range svc.Servers {
			if srv.Method != lvs.Tunnel {
				continue
			}
			routes, err := netlink.RouteGet(srv.Addr.AsSlice())
			if err != nil || len(routes) == 0 {
				continue // there is no way
			}
			dev, err := netlink.LinkByIndex(routes[0].LinkIndex)
			if err != nil {
				return fmt.Errorf("find the way to %s: %w", srv.Addr, err)
			}
			s.Ways[srv.Addr] = dev.Attrs().Name
		}
	}
	return nil
}

// tryFirewall tries what the directors send each other.
func (s *Snapshot) tryFirewall(ctx context.Context, c *configs.Config) error {
	for _, f := range flows(c) {
		if !s.carries(f.Interface) {
			continue
		}
		h, err := tryFirewall(ctx, f)
		if err != nil {
			return err
		}
		if h != nil {
			s.Hindered = append(s.Hindered, *h)
		}
	}
	return nil
}

// GatherRealServer looks at this machine as a real server.
func GatherRealServer(ctx context.Context, c realserver.Config, machine *realserver.Machine) (Snapshot, error) {
	s, err := gather()
	if err != nil {
		return s, err
	}
	var refused *realserver.Refusal
	if s.Steps, err = machine.Check(c); errors.As(err, &refused) {
		s.Refused = refused.Error()
	} else if err != nil {
		return s, err
	}
	if s.Gateways, err = gateways(); err != nil {
		return s, err
	}
	if s.Listening, err = listening(); err != nil {
		return s, err
	}
	vips := make(map[string][]netip.Addr)
	for name, l := range s.Links {
		if name != "lo" && l.Up && l.Carrier && len(l.Addrs) > 0 && len(l.hardware) == 6 {
			vips[name] = c.VIPs
		}
	}
	return s, s.askOwners(ctx, vips)
}

// gather looks at what concerns both.
func gather() (Snapshot, error) {
	s := Snapshot{Links: make(map[string]Link), Sysctls: make(map[string]string), Owners: make(map[string][]garp.Owner)}
	list, err := netlink.LinkList()
	if err != nil {
		return s, fmt.Errorf("list interfaces: %w", err)
	}
	for _, dev := range list {
		a := dev.Attrs()
		l := Link{Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0, MTU: a.MTU, hardware: a.HardwareAddr}
		addrs, err := netlink.AddrList(dev, netlink.FAMILY_ALL)
		if err != nil {
			return s, fmt.Errorf("list addresses of %s: %w", a.Name, err)
		}
		for _, addr := range addrs {
			ip, _ := netip.AddrFromSlice(addr.IP)
			ones, _ := addr.Mask.Size()
			l.Addrs = append(l.Addrs, netip.PrefixFrom(ip.Unmap(), ones))
		}
		s.Links[a.Name] = l
	}
	s.Programs, s.Director = programs()
	return s, nil
}

func (s *Snapshot) readSysctls(paths []string) error {
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join("/proc/sys", path))
		switch {
		case err == nil:
			s.Sysctls[path] = strings.TrimSpace(string(text))
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("read sysctl: %w", err)
		}
	}
	return nil
}

// askOwners asks on each interface that can carry the question.
func (s *Snapshot) askOwners(ctx context.Context, vips map[string][]netip.Addr) error {
	for iface, addrs := range vips {
		if !s.carries(iface) {
			continue
		}
		owners, err := wire.Owners(ctx, iface, addrs, ownersWait)
		if err != nil {
			return fmt.Errorf("ask who has the virtual addresses: %w", err)
		}
		s.Owners[iface] = owners
	}
	return nil
}

// haveModule tells whether the kernel has a module, loaded or built in, or could load it.
func haveModule(ctx context.Context, name string) bool {
	if _, err := os.Stat("/sys/module/" + name); err == nil {
		return true
	}
	return exec.CommandContext(ctx, "modprobe", "--dry-run", "--quiet", name).Run() == nil
}

func gateways() ([]Gateway, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var all []Gateway
	for _, r := range routes {
		gw, ok := netip.AddrFromSlice(r.Gw)
		if isDefault := r.Dst == nil || r.Dst.IP.IsUnspecified(); !ok || !isDefault {
			continue
		}
		neighbours, err := netlink.NeighList(r.LinkIndex, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("list neighbours: %w", err)
		}
		i := slices.IndexFunc(neighbours, func(n netlink.Neigh) bool { return n.IP.Equal(r.Gw) })
		if i >= 0 && len(neighbours[i].HardwareAddr) == 6 {
			all = append(all, Gateway{gw.Unmap(), neighbours[i].HardwareAddr.String()})
		}
	}
	return all, nil
}
