// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	procSys = "/proc/sys"
	// netlinkTimeout is how long the kernel may take to answer.
	netlinkTimeout = 5 * time.Second
	// listAttempts is how often a list that changed while it was read is read again.
	listAttempts = 10
)

// A kernel reads and writes the network of the calling thread's namespace.
type kernel struct{ handle *netlink.Handle }

func openKernel() (*kernel, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("failed to open netlink socket: %w", err)
	}
	if err := handle.SetSocketTimeout(netlinkTimeout); err != nil {
		handle.Close()
		return nil, fmt.Errorf("failed to set timeout of netlink socket: %w", err)
	}
	return &kernel{handle}, nil
}

func (k *kernel) close() { k.handle.Close() }

// again reads a list again while it changes during the read.
func again[T any](read func() ([]T, error)) (list []T, err error) {
	for range listAttempts {
		if list, err = read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	return list, err
}

// read returns the state of what the configuration and the record name, without the files.
func (k *kernel) read(c Config, r Record, operator Operator) (State, error) {
	s := State{Sysctls: make(map[string]string), Operator: operator}
	links, err := again(k.handle.LinkList)
	if err != nil {
		return s, fmt.Errorf("failed to list interfaces: %w", err)
	}
	names := make(map[int]string, len(links))
	for _, dev := range links {
		a := dev.Attrs()
		names[a.Index] = a.Name
		noARP := a.RawFlags&(unix.IFF_LOOPBACK|unix.IFF_NOARP|unix.IFF_POINTOPOINT) != 0
		l := Link{Name: a.Name, Up: a.RawFlags&unix.IFF_UP != 0, Ethernet: len(a.HardwareAddr) == 6 && !noARP}
		addrs, err := again(func() ([]netlink.Addr, error) { return k.handle.AddrList(dev, netlink.FAMILY_ALL) })
		if err != nil {
			return s, fmt.Errorf("failed to list addresses of %s: %w", a.Name, err)
		}
		for _, addr := range addrs {
			l.Addrs = append(l.Addrs, address(a.Name, addr))
		}
		s.Links = append(s.Links, l)
	}
	if err := k.readRoutes(&s, names, append(r.vips(), c.VIPs...)); err != nil {
		return s, err
	}
	if s.Directed, err = directed(); err != nil {
		return s, err
	}
	if s.Operator.Gateway, err = k.gateway(operator.Remote); err != nil {
		return s, err
	}
	if s.Filter, err = readFilter(); err != nil {
		return s, err
	}
	return s, readModules(&s, r)
}

// readFiles reads the settings, and the file that makes them at the next start.
func readFiles(s *State, c Config, r Record, more []string) error {
	paths := append(more, sysctl("all", "promote_secondaries"), sysctl("all", "rp_filter"))
	for _, l := range s.Links {
		paths = append(paths, sysctl(l.Name, "promote_secondaries"))
	}
	paths = append(paths, wantedSysctls(c, *s)...)
	paths = slices.AppendSeq(paths, maps.Keys(r.Sysctls))
	paths = slices.AppendSeq(paths, maps.Keys(r.Kept))
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(procSys, path))
		switch {
		case err == nil:
			s.Sysctls[path] = string(text)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("failed to read sysctl: %w", err)
		}
	}
	if c.DropIn == "" {
		return nil
	}
	text, err := os.ReadFile(c.DropIn)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to read sysctl file: %w", err)
	}
	s.DropIn = string(text)
	return nil
}

func address(iface string, a netlink.Addr) Address {
	ip, _ := netip.AddrFromSlice(a.IP)
	ones, _ := a.Mask.Size()
	broadcast, _ := netip.AddrFromSlice(a.Broadcast)
	label := a.Label
	if label == iface {
		label = ""
	}
	return Address{
		Interface: iface, Prefix: netip.PrefixFrom(ip.Unmap(), ones), Label: label, Scope: a.Scope,
		Broadcast: broadcast.Unmap(), Secondary: ip.Is4() && a.Flags&unix.IFA_F_SECONDARY != 0,
		Preferred: ip.Is6() && a.Flags&unix.IFA_F_DEPRECATED == 0, Dynamic: a.Flags&unix.IFA_F_PERMANENT == 0,
		Routeless: a.Flags&unix.IFA_F_NOPREFIXROUTE != 0,
	}
}

func (k *kernel) setLink(name string, up bool) error {
	dev, err := k.handle.LinkByName(name)
	if err == nil && up {
		err = k.handle.LinkSetUp(dev)
	} else if err == nil {
		err = k.handle.LinkSetDown(dev)
	}
	if err != nil {
		return fmt.Errorf("failed to set %s up (%t): %w", name, up, err)
	}
	return nil
}

func (k *kernel) addAddress(a Address) error {
	dev, err := k.handle.LinkByName(a.Interface)
	if err != nil {
		return fmt.Errorf("failed to add %s to %s: %w", a.Prefix, a.Interface, err)
	}
	addr := &netlink.Addr{IPNet: network(a.Prefix), Label: a.Label, Scope: a.Scope}
	if a.Broadcast.IsValid() {
		addr.Broadcast = a.Broadcast.AsSlice()
	}
	if a.Routeless {
		addr.Flags = unix.IFA_F_NOPREFIXROUTE
	}
	if a.Prefix.Addr().Is6() {
		addr.Flags |= unix.IFA_F_NODAD
		if a.Prefix.IsSingleIP() && !a.Preferred {
			// A deprecated address is the source of answers only.
			addr.ValidLft, addr.PreferedLft = math.MaxUint32, 0
		}
	}
	if err := k.handle.AddrAdd(dev, addr); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("failed to add %s to %s: %w", a.Prefix, a.Interface, err)
	}
	return k.awaitLocalRoute(a.Prefix.Addr())
}

// awaitLocalRoute waits for the local route that the kernel makes for an IPv6 address in the background. Apply would
// otherwise add one, which stays when the address goes.
func (k *kernel) awaitLocalRoute(addr netip.Addr) error {
	const attempts, pause = 100, 2 * time.Millisecond
	for range attempts {
		var s State
		if addr.Is4() || addr.IsLinkLocalUnicast() {
			return nil
		}
		if err := k.readRoutes(&s, nil, nil); err != nil {
			return err
		}
		if slices.ContainsFunc(s.Local, func(r Route) bool { return r.Addr == addr }) {
			return nil
		}
		time.Sleep(pause)
	}
	return nil // somebody has deleted it: Apply adds it
}

func (k *kernel) deleteAddress(a Address) error {
	dev, err := k.handle.LinkByName(a.Interface)
	if err == nil {
		err = k.handle.AddrDel(dev, &netlink.Addr{IPNet: network(a.Prefix)})
	}
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("failed to delete %s from %s: %w", a.Prefix, a.Interface, err)
	}
	return nil
}

func network(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
