// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/garp/wire"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	ownersWait = 600 * time.Millisecond // how long to wait for the machines that have the VIPs
	statusWait = 3 * time.Second        // for the director's status
)

// GatherDirector collects the facts about a director, in the network namespace of the calling thread.
func GatherDirector(ctx context.Context, c *configs.Config) (Snapshot, error) {
	began, err := wallOffset()
	if err != nil {
		return Snapshot{}, err
	}
	s, err := gather()
	if err != nil {
		return s, err
	}
	_, err = netlink.GenlFamilyGet("IPVS") // loads the module if the machine has it
	s.IPVS = err == nil
	s.Schedulers, _ = kernel.AvailableSchedulers() // empty: not known
	if s.IPVS && c.LVS.Timeouts != (lvs.Timeouts{}) {
		ipvs := kernel.New(hclog.NewNullLogger())
		s.Timeouts, _ = ipvs.Timeouts(ctx) // the zero value: not known
		_ = ipvs.Close()
	}
	paths := []string{forward4, forward6, conf4("all", "send_redirects"), conf4("all", "rp_filter"), pmtuDiscovery, ipvsConntrack}
	for name := range c.NeededSysctls() {
		paths = append(paths, ipvsSetting(name))
	}
	vips := make(map[string][]netip.Addr)
	for _, r := range c.Routers {
		iface := r.AddressInterface()
		paths = append(paths, conf4(r.Interface, "send_redirects"), conf4(iface, "rp_filter"))
		for _, vip := range r.VIPs {
			on := r.InterfaceOf(vip.Addr())
			paths = append(paths, conf4(on, "send_redirects"))
			vips[on] = append(vips[on], vip.Addr())
		}
	}
	if err := s.readSysctls(paths); err != nil {
		return s, err
	}
	synced, err := s.listenSync(ctx, c)
	if err != nil {
		return s, err
	}
	defer synced.close()
	if err := s.askOwners(ctx, vips); err != nil {
		return s, err
	}
	s.Status = askDirector(ctx, c)
	s.readCertificates(c.Peer)
	if err := s.findRoutes(c); err != nil {
		return s, err
	}
	if err := s.askServers(ctx, c); err != nil {
		return s, err
	}
	if err := s.tryFirewall(ctx, c); err != nil {
		return s, err
	}
	s.readFirewall(c)
	s.Scripts = TryScripts(ctx, c.Tracks)
	s.Listened = s.listenTimes(c)
	if err := s.listen(ctx); err != nil {
		return s, err
	}
	e := examination{config: c, snapshot: s}
	if s.Synced, err = synced.messages(ctx, e.expectsSync()); err != nil {
		return s, err
	}
	s.Status = atLast(s.Status, askDirector(ctx, c))
	s.Clock, err = readClock(began, s.Director.Started, c.Control.Socket)
	return s, err
}

// askDirector returns the status of the running director; nil: none answers.
func askDirector(ctx context.Context, c *configs.Config) *control.Status {
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	status, err := control.NewClient(c.Control.Socket).Status(ctx)
	if err != nil {
		return nil
	}
	return &status
}

// atLast returns the status of the beginning of the examination with the warnings and services of its end: checks need some seconds to
// see that a fault has gone. The virtual routers are those of the beginning, when the owners of the VIPs were asked, with the paths
// and tracks of its end.
func atLast(first, last *control.Status) *control.Status {
	if first == nil || last == nil {
		return first
	}
	all := *last
	all.VRRP = slices.Clone(first.VRRP)
	for i, r := range all.VRRP {
		if j := slices.IndexFunc(last.VRRP, func(now control.Router) bool { return now.Name == r.Name }); j >= 0 {
			all.VRRP[i].Paths, all.VRRP[i].Track = last.VRRP[j].Paths, last.VRRP[j].Track
		}
	}
	return &all
}

// listenTimes returns how long to listen for advertisements on each interface.
func (s *Snapshot) listenTimes(c *configs.Config) map[string]time.Duration {
	times := make(map[string]time.Duration)
	for _, r := range c.Routers {
		if s.working(r.Interface) {
			times[r.Interface] = max(times[r.Interface], min(max(3*r.AdvertInterval, minListen), maxListen))
		}
	}
	return times
}

// findRoutes asks the kernel for the routes to the servers of methods tunnel and nat.
func (s *Snapshot) findRoutes(c *configs.Config) error {
	s.Routes = make(map[netip.Addr]Route)
	for _, svc := range c.Services {
		for _, srv := range svc.Servers {
			if srv.Method == lvs.DR {
				continue
			}
			r, err := findRoute(srv.Addr)
			if err != nil {
				return err
			}
			if r.Interface != "" {
				s.Routes[srv.Addr] = r
			}
		}
	}
	return nil
}

// findRoute asks the kernel for the route to an address; the zero value: there is none.
func findRoute(addr netip.Addr) (r Route, err error) {
	routes, err := netlink.RouteGet(addr.AsSlice())
	if err != nil || len(routes) == 0 {
		return r, nil // there is no route
	}
	dev, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return r, fmt.Errorf("failed to find the route to %s: %w", addr, err)
	}
	r = Route{Interface: dev.Attrs().Name, MTU: dev.Attrs().MTU}
	if gateway, ok := netip.AddrFromSlice(routes[0].Gw); ok {
		r.Gateway = gateway.Unmap()
	}
	if routes[0].MTU != 0 {
		r.MTU = routes[0].MTU // of the route itself, or learnt from ICMP
	}
	return r, nil
}

// tryFirewall tests the firewall with each flow that the directors need.
func (s *Snapshot) tryFirewall(ctx context.Context, c *configs.Config) error {
	for _, f := range flows(c) {
		if !s.working(f.Interface) {
			continue
		}
		filtered, err := tryFirewall(ctx, f)
		if err != nil {
			return err
		}
		if filtered != nil {
			s.Filtered = append(s.Filtered, *filtered)
		}
	}
	return nil
}

// gather collects the facts that both roles need.
func gather() (Snapshot, error) {
	s := Snapshot{Links: make(map[string]vrrp.Link), Sysctls: make(map[string]string), Owners: make(map[string][]garp.Owner)}
	list, err := again(netlink.LinkList)
	if err != nil {
		return s, fmt.Errorf("failed to list interfaces: %w", err)
	}
	for _, dev := range list {
		a := dev.Attrs()
		l := vrrp.Link{Name: a.Name, Index: a.Index, Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
			MTU: a.MTU, Hardware: a.HardwareAddr}
		addrs, err := again(func() ([]netlink.Addr, error) { return netlink.AddrList(dev, netlink.FAMILY_ALL) })
		if err != nil {
			return s, fmt.Errorf("failed to list the addresses of %s: %w", a.Name, err)
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

// again reads a list again while it changes during the read, as when a director takes or gives up its VIPs.
func again[T any](read func() ([]T, error)) (list []T, err error) {
	const attempts = 10
	for range attempts {
		if list, err = read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	return list, err
}

func (s *Snapshot) readSysctls(paths []string) error {
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join("/proc/sys", path))
		switch {
		case err == nil:
			s.Sysctls[path] = strings.TrimSpace(string(text))
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("failed to read sysctl: %w", err)
		}
	}
	return nil
}

// askOwners asks on each working interface which machines have the VIPs.
func (s *Snapshot) askOwners(ctx context.Context, vips map[string][]netip.Addr) error {
	s.Asked = time.Now()
	for iface, addrs := range vips {
		if !s.working(iface) {
			continue
		}
		owners, err := wire.Owners(ctx, iface, addrs, ownersWait)
		if errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
			continue // a role has just changed, and a virtual MAC's interface with it
		}
		if err != nil {
			return fmt.Errorf("failed to ask which machines have the VIPs: %w", err)
		}
		s.Owners[iface] = owners
	}
	return nil
}
