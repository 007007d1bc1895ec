// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// mismatch returns in words why an interface is not the macvlan of v on its parent. If it is, mismatch returns "".
func mismatch(v vrrp.VirtualMAC, dev, parent netlink.Link) string {
	attrs := dev.Attrs()
	switch {
	case dev.Type() != "macvlan":
		return "is of kind " + dev.Type() + ", not macvlan"
	case attrs.ParentIndex != parent.Attrs().Index:
		return fmt.Sprintf("is not on %s but on interface number %d", v.Parent, attrs.ParentIndex)
	case !slices.Equal(attrs.HardwareAddr, hardwareOf(v)):
		return fmt.Sprintf("has address %s, not %s", attrs.HardwareAddr, hardwareOf(v))
	}
	return ""
}

func hardwareOf(v vrrp.VirtualMAC) net.HardwareAddr {
	a := v.Hardware()
	return a[:]
}

// macvlan returns the interface of that name, nil if it is missing. If have is set and there is a parent, it makes a missing
// interface, which is down; an interface of that name that is not ours is an error.
func (k *kernel) macvlan(name string, v vrrp.VirtualMAC, have bool) (netlink.Link, error) {
	parent, err := k.link(v.Parent)
	if err != nil || parent == nil {
		return nil, err
	}
	dev, err := k.link(name)
	if err != nil {
		return nil, err
	}
	if dev != nil {
		why := mismatch(v, dev, parent)
		switch {
		case why == "":
			return dev, k.setVEPA(dev)
		case have:
			return nil, fmt.Errorf("interface %s %s: it is not ours; choose another virtual_mac_interface or remove it", name, why)
		}
	}
	if !have {
		return nil, nil
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.HardwareAddr = name, parent.Attrs().Index, hardwareOf(v)
	k.writes.Add(1)
	if err := k.handle.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_VEPA}); err != nil {
		return nil, fmt.Errorf("failed to add virtual MAC interface %s: %w", name, err)
	}
	return k.link(name)
}

// setVEPA changes the mode of an interface that was made in another mode.
func (k *kernel) setVEPA(dev netlink.Link) error {
	is, ok := dev.(*netlink.Macvlan)
	if !ok || is.Mode == netlink.MACVLAN_MODE_VEPA {
		return nil
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Index, attrs.Name = is.Index, is.Name
	k.writes.Add(1)
	if err := k.handle.LinkModify(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_VEPA}); err != nil {
		return fmt.Errorf("failed to put virtual MAC interface %s into VEPA mode: %w", describe(dev), err)
	}
	return nil
}

// removeMacvlan deletes the interface if it is ours. A missing interface is not an error.
func (k *kernel) removeMacvlan(name string, v vrrp.VirtualMAC) error {
	dev, err := k.link(name)
	if err != nil || dev == nil {
		return err
	}
	parent, err := k.link(v.Parent)
	if err != nil || parent == nil || mismatch(v, dev, parent) != "" {
		return err
	}
	k.writes.Add(1)
	if err := k.handle.LinkDel(dev); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("failed to delete virtual MAC interface %s: %w", name, err)
	}
	return nil
}

// setUp brings the interface up or down, unless it is so already.
func (k *kernel) setUp(dev netlink.Link, up bool) error {
	if up == (dev.Attrs().RawFlags&unix.IFF_UP != 0) {
		return nil
	}
	k.writes.Add(1)
	set, verb := k.handle.LinkSetUp, "up"
	if !up {
		set, verb = k.handle.LinkSetDown, "down"
	}
	if err := set(dev); err != nil {
		return fmt.Errorf("failed to bring interface %s %s: %w", describe(dev), verb, err)
	}
	return nil
}

// A sysctl is a setting of one interface; %s in its key is the interface's name.
type sysctl struct {
	key, value string
	enough     string // other values that are good enough
}

// Without these settings each interface would answer ARP requests for the addresses of both, with its own MAC address.
var (
	// The parent answers for its own addresses only, and its ARP requests have no other source. A request from a VIP would
	// teach the neighbours the parent's MAC address for it.
	parentSysctls = []sysctl{
		{key: "ipv4/conf/%s/arp_ignore", value: "1", enough: "2 8"},
		{key: "ipv4/conf/%s/arp_announce", value: "2"},
	}
	// The macvlan answers for the VIPs. The route back to a sender may lead through the parent, so rp_filter must not be
	// strict. The kernel uses the greater of this value and conf/all, so 2 is always right. The interface gets no IPv6
	// address by itself.
	macvlanSysctls = []sysctl{
		{key: "ipv4/conf/%s/arp_ignore", value: "1", enough: "2"},
		{key: "ipv4/conf/%s/rp_filter", value: "2"},
		{key: "ipv6/conf/%s/addr_gen_mode", value: "1"},
		{key: "ipv6/conf/%s/accept_ra", value: "0"},
	}
)

// applySysctls changes the settings of an interface that differ, and logs them. It skips settings that the kernel lacks.
func applySysctls(log hclog.Logger, iface string, list []sysctl) error {
	var failures failures
	for _, s := range list {
		path := filepath.Join("/proc/sys/net", fmt.Sprintf(s.key, iface))
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		old := strings.TrimSpace(string(b))
		if err == nil && (old == s.value || old != "" && strings.Contains(s.enough, old)) {
			continue
		}
		if err == nil {
			err = os.WriteFile(path, []byte(s.value), 0)
		}
		if err != nil {
			failures.add(fmt.Errorf("failed to set sysctl of interface %s: %w", iface, err))
			continue
		}
		log.Debug("sysctl set", "path", path, "from", old, "to", s.value)
	}
	return failures.err()
}
