// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// CutAt pulls the host's cable out at a switch that it has joined.
func (h *Host) CutAt(sw string) { h.lab.t.Helper(); h.cableAt(sw, "cut", netlink.LinkSetDown) }

// PlugAt puts it back.
func (h *Host) PlugAt(sw string) { h.lab.t.Helper(); h.cableAt(sw, "plugged in", netlink.LinkSetUp) }

// IsolateAt makes the switch drop all frames from and to the host. The carrier stays.
func (h *Host) IsolateAt(sw string) {
	h.lab.t.Helper()
	h.cableAt(sw, "isolated", netlink.LinkSetNoMaster)
}

// RejoinAt ends what IsolateAt began.
func (h *Host) RejoinAt(sw string) { h.lab.t.Helper(); h.cableAt(sw, "rejoined", joinBridge) }

// HoldMulticast makes the switch forward no multicast to eth0 of the host, like a snooping switch without a querier. What
// the host sends, and broadcast, still pass. PassMulticast ends it.
func (h *Host) HoldMulticast() { h.lab.t.Helper(); h.cable("gets no multicast", multicast("off")) }

// PassMulticast makes the switch forward multicast to eth0 of the host again.
func (h *Host) PassMulticast() { h.lab.t.Helper(); h.cable("gets multicast", multicast("on")) }

func multicast(flood string) func(netlink.Link) error {
	return func(port netlink.Link) error {
		if out, err := exec.Command("bridge", "link", "set", "dev", port.Attrs().Name, "mcast_flood", flood).CombinedOutput(); err != nil {
			return fmt.Errorf("bridge link set: %w: %s", err, out)
		}
		return nil
	}
}

func (h *Host) cableAt(sw, what string, do func(netlink.Link) error) {
	h.lab.t.Helper()
	i := slices.IndexFunc(h.cables, func(c cable) bool { return c.sw == sw })
	if i < 0 {
		h.lab.t.Fatalf("%s has no cable to switch %s", h.Name, sw)
	}
	err := h.lab.inSwitch(sw, func(*netlink.Bridge) error {
		port, err := netlink.LinkByName(h.cables[i].port)
		if err != nil {
			return err
		}
		return do(port)
	})
	if err != nil {
		h.lab.t.Fatalf("cable of %s at %s: %v", h.Name, sw, err)
	}
	h.lab.Logf("%s %s at %s", h.Name, what, sw)
}

// Impair makes the switch impair the packets that it sends to eth0 of the host, as netem's arguments say ("loss", "10%").
// Without arguments it ends the impairment.
func (h *Host) Impair(netem ...string) {
	h.lab.t.Helper()
	h.cable(strings.Join(append([]string{"impaired:"}, netem...), " "), func(port netlink.Link) error {
		args := append([]string{"qdisc", "replace", "dev", port.Attrs().Name, "root", "netem"}, netem...)
		if len(netem) == 0 {
			args = []string{"qdisc", "del", "dev", port.Attrs().Name, "root"}
		}
		if out, err := exec.Command("tc", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("tc %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	})
}

// Cable plugs a cable into both hosts, with no switch between them, and returns the hardware address of the other end. The interface
// has this name at both ends, and no address.
func (h *Host) Cable(other *Host, ifi string) (mac string) {
	h.lab.t.Helper()
	err := errors.Join(h.Do(func() error { return plug(ifi, 0, other, ifi) }), other.Do(func() error {
		end, err := net.InterfaceByName(ifi)
		if err == nil {
			mac = end.HardwareAddr.String()
		}
		return errors.Join(err, setUp(ifi))
	}))
	if err != nil {
		h.lab.t.Fatalf("cable from %s to %s: %v", h.Name, other.Name, err)
	}
	return mac
}

// plug adds a cable from the namespace of this thread to a host, and brings this end up. master is the index of this end's bridge;
// 0: none.
func plug(end string, master int, other *Host, ifi string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = end, master
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: ifi, PeerNamespace: netlink.NsFd(int(other.ns))}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("add cable %s: %w", end, err)
	}
	return setUp(end)
}
