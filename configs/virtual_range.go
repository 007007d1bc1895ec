// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// cutRange splits "192.0.2.10-20:80" and "[2001:db8::10-20]:80" into the addresses and the rest. It reports false for text without
// a range of addresses: a hyphen behind the last colon belongs to a range of ports.
func cutRange(s string) (addrs, ports string, is bool) {
	if inside, ok := strings.CutPrefix(s, "["); ok {
		addrs, ports, is = strings.Cut(inside, "]:")
	} else {
		addrs, ports, is = strings.Cut(s, ":")
		is = is && !strings.Contains(ports, ":")
	}
	return addrs, ports, is && strings.Contains(addrs, "-")
}

// addressRange returns the endpoints of a range of addresses. As with keepalived, the number behind the hyphen replaces the last
// one of the first address, and is hexadecimal in an IPv6 address. It may also be a whole address.
func addressRange(addrs, ports string) (ids []lvs.ServiceID, _ *toml.Refusal) {
	from, to, _ := strings.Cut(addrs, "-")
	first, err := netip.ParseAddr(from)
	if err != nil {
		return nil, toml.Refuse("write "+wantEndpoints, "%q is not an address", toml.Abbreviate(from))
	}
	if no := unicast(first); no != nil {
		return nil, no
	}
	last, err := netip.ParseAddr(to)
	if err != nil {
		last, err = netip.ParseAddr(from[:strings.LastIndexAny(from, ".:")+1] + to)
	}
	if err != nil || last.Is4() != first.Is4() || last.Zone() != "" || last.Less(first) {
		return nil, toml.Refuse("", "%q is not the end of a range that begins with %s", toml.Abbreviate(to), first)
	}
	if no := unicast(last); no != nil {
		return nil, no
	}
	for addr := first; ; addr = addr.Next() {
		text := addr.String() + ":" + ports
		if addr.Is6() {
			text = "[" + addr.String() + "]:" + ports
		}
		own, no := parseEndpoint(text)
		if no != nil {
			return nil, no
		}
		if ids = append(ids, own...); len(ids) > maxVirtuals {
			return nil, toml.Refuse(useMark, "has more than %d addresses and ports", maxVirtuals)
		}
		if addr == last {
			return ids, nil
		}
	}
}
