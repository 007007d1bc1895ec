// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// routeProtocol marks our routes and rules in the kernel (rtnetlink(7), rtm_protocol). So we recognize those of an instance
// that was killed, and touch no others. It is the IP protocol number of VRRP; keepalived uses 18.
const routeProtocol = 112

// defaultMetric6 is what the kernel makes of metric 0 in IPv6.
const defaultMetric6 = 1024

// keyOf returns what identifies a route in the kernel.
func keyOf(r vrrp.Route) routeKey {
	key := routeKey{to: r.To.Masked(), table: r.Table, metric: r.Metric}
	if key.table == 0 {
		key.table = unix.RT_TABLE_MAIN
	}
	if key.metric == 0 && r.To.Addr().Is6() {
		key.metric = defaultMetric6
	}
	return key
}

// String returns the route in the words of ip-route(8), without the device.
func (k routeKey) String() string {
	s := k.to.String()
	if k.table != unix.RT_TABLE_MAIN {
		s += fmt.Sprintf(" table %d", k.table)
	}
	if k.metric != 0 && !(k.metric == defaultMetric6 && k.to.Addr().Is6()) {
		s += fmt.Sprintf(" metric %d", k.metric)
	}
	return s
}

// A path is where a route leads.
type path struct {
	index       int // of the interface
	via, source netip.Addr
	onLink      bool
}

// request returns the route in the kernel's terms.
func (k routeKey) request(p path) *netlink.Route {
	r := &netlink.Route{
		Dst: ipNet(k.to), Table: int(k.table), Priority: int(k.metric), Protocol: routeProtocol,
		LinkIndex: p.index, Gw: p.via.AsSlice(), Src: p.source.AsSlice(),
	}
	if k.to.Addr().Is4() && !p.via.IsValid() {
		r.Scope = netlink.SCOPE_LINK
	}
	if p.onLink {
		r.Flags = int(netlink.FLAG_ONLINK)
	}
	return r
}

// routes returns our routes in the tables of the given ones.
func (k *kernel) routes(given ...[]vrrp.Route) (map[routeKey]path, error) {
	type table struct {
		family int
		number uint32
	}
	read := map[table]bool{}
	found := map[routeKey]path{}
	for _, list := range given {
		for _, r := range list {
			t := table{netlink.FAMILY_V4, keyOf(r).table}
			if r.To.Addr().Is6() {
				t.family = netlink.FAMILY_V6
			}
			if read[t] {
				continue
			}
			read[t] = true
			if err := k.readRoutes(t.family, t.number, found); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func (k *kernel) readRoutes(family int, table uint32, found map[routeKey]path) error {
	filter := &netlink.Route{Table: int(table), Protocol: routeProtocol}
	var list []netlink.Route
	err := again(func() (err error) {
		list, err = k.strict.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
		return err
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("failed to read routes of table %d: %w", table, err)
	}
	for _, r := range list {
		to, _ := fromIPNet(r.Dst)
		via, _ := netip.AddrFromSlice(r.Gw)
		source, _ := netip.AddrFromSlice(r.Src)
		found[routeKey{to, table, uint32(r.Priority)}] = path{
			index: r.LinkIndex, via: via, source: source, onLink: r.Flags&int(netlink.FLAG_ONLINK) != 0,
		}
	}
	return nil
}

// removeRoutes deletes the present routes that are listed in off.
func (k *kernel) removeRoutes(present map[routeKey]path, off []vrrp.Route) error {
	var failures failures
	for _, r := range off {
		key := keyOf(r)
		if _, ok := present[key]; !ok {
			continue
		}
		request := key.request(path{})
		request.Scope = netlink.SCOPE_NOWHERE // of any scope
		k.writes.Add(1)
		if err := k.handle.RouteDel(request); err != nil && !errors.Is(err, unix.ESRCH) {
			failures.add(fmt.Errorf("failed to delete route %s: %w", key, err))
			continue
		}
		delete(present, key)
	}
	return failures.err()
}

// path returns where the route leads. dev is the interface of a route that names none.
func (k *kernel) path(r vrrp.Route, dev netlink.Link) (path, error) {
	p := path{index: dev.Attrs().Index, via: r.Via, source: r.Source, onLink: r.OnLink}
	if r.Device != "" {
		other, err := k.link(r.Device)
		if err != nil {
			return p, err
		}
		if other == nil {
			return p, fmt.Errorf("interface %s is missing", r.Device)
		}
		p.index = other.Attrs().Index
	}
	return p, nil
}

// addRoute adds or changes a route, and reports whether that was necessary. If a route of somebody else is in its place,
// the error is EEXIST.
func (k *kernel) addRoute(present map[routeKey]path, r vrrp.Route, dev netlink.Link) (added bool, err error) {
	key := keyOf(r)
	p, err := k.path(r, dev)
	if err == nil {
		old, there := present[key]
		switch {
		case there && old == p:
			return false, nil
		case there:
			err = k.handle.RouteReplace(key.request(p))
		default:
			err = k.handle.RouteAdd(key.request(p))
		}
		k.writes.Add(1)
	}
	if err != nil {
		return false, fmt.Errorf("failed to add route %s: %w", key, err)
	}
	return true, nil
}

// canonical returns the rule in the form in which rules are compared.
func canonical(r vrrp.Rule) vrrp.Rule {
	for _, p := range []*netip.Prefix{&r.From, &r.To} {
		if p.Bits() == 0 {
			*p = netip.Prefix{}
		}
		*p = p.Masked()
	}
	return r
}

// ruleRequest returns the rule in the kernel's terms.
func ruleRequest(r vrrp.Rule) *netlink.Rule {
	q := netlink.NewRule()
	q.Family = netlink.FAMILY_V4
	if r.Family == 6 {
		q.Family = netlink.FAMILY_V6
	}
	q.Priority, q.Table, q.Mark, q.Protocol = int(r.Priority), int(r.Table), r.FWMark, routeProtocol
	q.Src, q.Dst = ipNet(r.From), ipNet(r.To)
	return q
}

// rules returns our rules of the families of the given ones.
func (k *kernel) rules(given ...[]vrrp.Rule) (map[vrrp.Rule]bool, error) {
	read := map[uint8]bool{}
	found := map[vrrp.Rule]bool{}
	for _, list := range given {
		for _, r := range list {
			if read[r.Family] {
				continue
			}
			read[r.Family] = true
			if err := k.readRules(r.Family, found); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func (k *kernel) readRules(family uint8, found map[vrrp.Rule]bool) error {
	var list []netlink.Rule
	err := again(func() (err error) {
		list, err = k.handle.RuleList(ruleRequest(vrrp.Rule{Family: family}).Family)
		return err
	})
	if err != nil {
		return fmt.Errorf("failed to read rules of IPv%d: %w", family, err)
	}
	for _, q := range list {
		whole := q.Mask == nil || *q.Mask == math.MaxUint32
		if q.Protocol != routeProtocol || !whole || q.IifName != "" || q.OifName != "" || q.Invert {
			continue
		}
		r := vrrp.Rule{Family: family, FWMark: q.Mark, Table: uint32(q.Table), Priority: uint32(q.Priority)}
		r.From, _ = fromIPNet(q.Src)
		r.To, _ = fromIPNet(q.Dst)
		found[r] = true
	}
	return nil
}

// removeRules deletes the present rules that are listed in off.
func (k *kernel) removeRules(present map[vrrp.Rule]bool, off []vrrp.Rule) error {
	var failures failures
	for _, r := range off {
		r = canonical(r)
		if !present[r] {
			continue
		}
		k.writes.Add(1)
		if err := k.handle.RuleDel(ruleRequest(r)); err != nil && !errors.Is(err, unix.ENOENT) {
			failures.add(fmt.Errorf("failed to delete rule %s: %w", r, err))
			continue
		}
		delete(present, r)
	}
	return failures.err()
}

// addRule adds the rule unless it exists, and reports whether it did. EEXIST means that this kernel takes the rule of
// another program for the same.
func (k *kernel) addRule(present map[vrrp.Rule]bool, r vrrp.Rule) (added bool, err error) {
	r = canonical(r)
	if present[r] {
		return false, nil
	}
	k.writes.Add(1)
	if err := k.handle.RuleAdd(ruleRequest(r)); err != nil {
		return false, fmt.Errorf("failed to add rule %s: %w", r, err)
	}
	return true, nil
}

// ipNet returns a prefix as netlink wants it; nil for the zero Prefix.
func ipNet(p netip.Prefix) *net.IPNet {
	if !p.IsValid() {
		return nil
	}
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func fromIPNet(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	if len(n.Mask) == net.IPv4len {
		addr = addr.Unmap()
	}
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr, bits), ok
}
