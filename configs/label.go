// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// validLabel refuses what the kernel does not take, and what nobody could name.
func validLabel(s string) *toml.Refusal {
	odd := func(r rune) bool { return r == '/' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	switch {
	case s == "" || strings.ContainsFunc(s, odd):
		return toml.Refuse("", "%q cannot be a label", toml.Abbreviate(s))
	case len(s) > maxInterface:
		return toml.Refuse("", "%q is longer than the %d bytes of a label", toml.Abbreviate(s), maxInterface)
	}
	return nil
}

// checkLabels refuses labels of IPv6 addresses, and those that belong to another interface: `ip address` refuses these as well.
func checkLabels(at toml.Node, r *virtualRouter) {
	if len(r.VIPLabels) == 0 || !at.Sound("interface", "vrid", "vips", "excluded_vips", "virtual_mac", "virtual_mac_interface") {
		return
	}
	for _, list := range []struct {
		key  string
		vips []netip.Prefix
	}{{"vips", r.VIPs}, {"excluded_vips", r.ExcludedVIPs}} {
		for i, vip := range list.vips {
			here := at.Key(list.key).Index(i)
			if !here.Has("label") {
				continue
			}
			label, link := r.VIPLabels[vip.Addr()], cmp.Or(r.VIPInterfaces[vip.Addr()], r.macvlanOf(lvs.IPv4, len(r.families()) == 1), r.Interface)
			switch {
			case vip.Addr().Is6():
				here.Key("label").Mistake("remove it", "has no meaning for %s: only IPv4 addresses have labels", vip.Addr())
			case label != link && !strings.HasPrefix(label, link+":"):
				here.Key("label").Mistake(fmt.Sprintf("write %q", link+":"+label[strings.LastIndexByte(label, ':')+1:]),
					"%q does not begin with %s:, the interface that gets the address", label, link)
			}
		}
	}
}
