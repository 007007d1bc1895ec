// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"net"
	"slices"

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
