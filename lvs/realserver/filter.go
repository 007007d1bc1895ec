// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Where the fields of an ARP packet for IPv4 over Ethernet are (RFC 826).
const (
	arpOperation = 6
	arpSenderIP  = 14
	arpTargetIP  = 24
	arpRequest   = 1
)

// The hooks of the arp family (linux/netfilter_arp.h).
var (
	arpHookIn  = nftables.ChainHook(0)
	arpHookOut = nftables.ChainHook(1)
)

func load(offset, size uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}
}

func equals(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

// expressions returns the rule as nftables' virtual machine runs it.
func (r Rule) expressions() []expr.Any {
	if r.Interface == "" {
		return []expr.Any{
			load(arpOperation, 2), equals(binary.BigEndian.AppendUint16(nil, arpRequest)),
			load(arpTargetIP, 4), equals(r.VIP.AsSlice()),
			&expr.Verdict{Kind: expr.VerdictDrop},
		}
	}
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, r.Interface)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, equals(name),
		load(arpSenderIP, 4), equals(r.VIP.AsSlice()),
		&expr.Immediate{Register: 1, Data: r.Own.AsSlice()},
		&expr.Payload{
			OperationType: expr.PayloadWrite, SourceRegister: 1,
			Base: expr.PayloadBaseNetworkHeader, Offset: arpSenderIP, Len: 4,
		},
	}
}

// parseRule is the inverse of expressions. ok is false for a rule that we did not make.
func parseRule(exprs []expr.Any) (r Rule, ok bool) {
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Cmp:
			if len(e.Data) == 4 {
				r.VIP, _ = netip.AddrFromSlice(e.Data)
			}
			if len(e.Data) == unix.IFNAMSIZ {
				r.Interface = unix.ByteSliceToString(e.Data)
			}
		case *expr.Immediate:
			r.Own, _ = netip.AddrFromSlice(e.Data)
		}
	}
	return r, r.VIP.Is4() && r.Own.IsValid() == (r.Interface != "") && reflect.DeepEqual(r.expressions(), exprs)
}

func chains(table *nftables.Table) []*nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return []*nftables.Chain{
		{Name: "in", Table: table, Type: nftables.ChainTypeFilter, Hooknum: &arpHookIn,
			Priority: nftables.ChainPriorityFilter, Policy: &accept},
		{Name: "out", Table: table, Type: nftables.ChainTypeFilter, Hooknum: &arpHookOut,
			Priority: nftables.ChainPriorityFilter, Policy: &accept},
	}
}

func arpTable() *nftables.Table {
	return &nftables.Table{Name: filterTable, Family: nftables.TableFamilyARP}
}

// readFilter returns the rules of our table, nil if there is no table. A rule that we did not make is a zero Rule.
func readFilter() ([]Rule, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("failed to open nftables: %w", err)
	}
	present, err := conn.ListChainsOfTableFamily(nftables.TableFamilyARP)
	lacks := func(errno unix.Errno) bool { return errors.Is(err, errno) }
	if slices.ContainsFunc([]unix.Errno{unix.ENOENT, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EINVAL}, lacks) {
		return nil, nil // the kernel has no nftables, or none for ARP
	}
	if err != nil {
		return nil, fmt.Errorf("failed to list the ARP filter: %w", err)
	}
	var rules []Rule
	for _, want := range chains(arpTable()) {
		for _, c := range present {
			if c.Table.Name != filterTable || c.Name != want.Name {
				continue
			}
			hooked := c.Hooknum != nil && *c.Hooknum == *want.Hooknum
			list, err := conn.GetRules(c.Table, c)
			if err != nil {
				return nil, fmt.Errorf("failed to list the ARP filter: %w", err)
			}
			if rules == nil {
				rules = []Rule{}
			}
			for _, one := range list {
				r, ok := parseRule(one.Exprs)
				if !ok || !hooked {
					r = Rule{}
				}
				rules = append(rules, r)
			}
		}
	}
	return rules, nil
}

// installFilter replaces our table in one transaction, so that it is always there.
func installFilter(rules []Rule) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("failed to open nftables: %w", err)
	}
	conn.AddTable(arpTable()) // so that there is one to delete
	conn.DelTable(arpTable())
	addRules(conn, conn.AddTable(arpTable()), rules)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("failed to install the ARP filter: %w", err)
	}
	return nil
}

// addRules adds our chains to a table, and the rules to the chains. The expressions in first come first in each rule.
func addRules(conn *nftables.Conn, table *nftables.Table, rules []Rule, first ...expr.Any) {
	both := chains(table)
	for _, c := range both {
		conn.AddChain(c)
	}
	for _, r := range rules {
		c := both[0]
		if r.Interface != "" {
			c = both[1]
		}
		conn.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: slices.Concat(first, r.expressions())})
	}
}

func removeFilter() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("failed to open nftables: %w", err)
	}
	conn.DelTable(arpTable())
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("failed to remove the ARP filter: %w", err)
	}
	return nil
}
