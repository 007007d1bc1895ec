// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"slices"

	"github.com/vishvananda/netlink"
)

// CutAt pulls the host's cable out at a switch that it has joined.
func (h *Host) CutAt(sw string) { h.lab.t.Helper(); h.cableAt(sw, "cut", netlink.LinkSetDown) }

// PlugAt puts it back.
func (h *Host) PlugAt(sw string) { h.lab.t.Helper(); h.cableAt(sw, "plugged in", netlink.LinkSetUp) }

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
