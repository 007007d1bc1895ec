// SPDX-License-Identifier: Apache-2.0

package native

import (
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// drop makes a host's firewall drop VRRP and connection sync until undo is called: either what arrives or what leaves.
func drop(t *testing.T, h *lab.Host, out bool) (undo func()) {
	t.Helper()
	return h.FirewallTable(nftables.Table{Name: "firewall", Family: nftables.TableFamilyIPv4}, func(c *nftables.Conn, table *nftables.Table) {
		hook := nftables.ChainHookInput
		if out {
			hook = nftables.ChainHookOutput
		}
		chain := c.AddChain(&nftables.Chain{Name: "filter", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: hook, Priority: nftables.ChainPriorityFilter})
		protocol := func(number byte, more ...expr.Any) {
			exprs := []expr.Any{
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
			}
			exprs = append(append(exprs, more...), &expr.Verdict{Kind: expr.VerdictDrop})
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		}
		protocol(112)
		protocol(17, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{8848 >> 8, 8848 & 0xff}})
	})
}
