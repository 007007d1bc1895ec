// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"slices"
)

// A Refusal says why a plan was not made: it would cut a connection.
type Refusal struct {
	VIP    netip.Addr
	Reason string
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused: %s %s", r.VIP, r.Reason) }

// refuse finds what would cut off the operator, or remove other addresses.
func refuse(c Config, s State, r Record) error {
	op := s.Operator
	for _, vip := range c.VIPs {
		want := Address{Interface: c.device(vip), Prefix: whole(vip)}
		switch {
		case s.holds(want):
			continue
		case vip == op.Remote:
			return &Refusal{vip, "is the address that you come from: the machine would answer itself instead of you"}
		case vip == op.Gateway:
			return &Refusal{vip, "is the gateway on your way to this machine: it would be cut"}
		case vip == op.Local:
			return &Refusal{vip, "is the address that you reached this machine by: come by another one"}
		}
	}
	for _, a := range s.misplaced(c) {
		if err := s.losing(a, c); err != nil {
			return err
		}
	}
	for _, a := range r.Added {
		if vip := a.Prefix.Addr(); vip == op.Local && !slices.Contains(c.VIPs, vip) {
			return &Refusal{vip, "is the address that you reached this machine by: come by another one"}
		}
	}
	return nil
}

// losing refuses to delete an address that others depend on.
func (s State) losing(a Address, c Config) error {
	l, _ := s.link(a.Interface)
	onLink := func(hop netip.Addr) bool {
		return slices.ContainsFunc(l.Addrs, func(o Address) bool {
			return !slices.Contains(c.VIPs, o.Prefix.Addr()) && o.Prefix.Contains(hop)
		})
	}
	for _, hop := range []netip.Addr{s.Operator.Gateway, s.Operator.Remote} {
		if hop.IsValid() && a.Prefix.Bits() < a.Prefix.Addr().BitLen() && a.Prefix.Contains(hop) && !onLink(hop) {
			return &Refusal{a.Prefix.Addr(), fmt.Sprintf(
				"is misplaced on %s, and its prefix %s alone leads back to you: give %[1]s an address of its own",
				a.Interface, a.Prefix.Masked())}
		}
	}
	promotes := s.value(sysctl("all", "promote_secondaries")) == "1" || s.value(sysctl(a.Interface, "promote_secondaries")) == "1"
	if a.Secondary || promotes || a.Prefix.Addr().Is6() {
		return nil
	}
	for _, o := range l.Addrs {
		if o.Secondary && o.Prefix.Masked() == a.Prefix.Masked() {
			return &Refusal{a.Prefix.Addr(), fmt.Sprintf(
				"is misplaced on %s as the first address of its network: the kernel would delete %s with it; "+
					"set sysctl net.ipv4.conf.all.promote_secondaries=1 first",
				a.Interface, o.Prefix)}
		}
	}
	return nil
}
