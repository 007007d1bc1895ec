// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// protocolVRRP is the number of the IP protocol.
const protocolVRRP = 112

func drillTable() *nftables.Table {
	return &nftables.Table{Name: drill.TableName, Family: nftables.TableFamilyINet}
}

// dropAdverts makes the firewall drop the advertisements that leave, by a table of its own.
func dropAdverts() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("failed to reach nftables: %w", err)
	}
	table := conn.AddTable(drillTable())
	chain := conn.AddChain(&nftables.Chain{
		Name: "output", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocolVRRP}},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("failed to add the nftables table inet %s: %w", drill.TableName, err)
	}
	return nil
}

// passAdverts removes the table. It may be gone already.
func passAdverts() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("failed to reach nftables: %w", err)
	}
	conn.DelTable(drillTable())
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("failed to remove the nftables table inet %s: %w", drill.TableName, err)
	}
	return nil
}

// tableItems says whether the table is there.
func tableItems() []drill.Item {
	conn, err := nftables.New()
	if err != nil {
		return nil
	}
	if _, err := conn.ListTableOfFamily(drill.TableName, nftables.TableFamilyINet); err != nil {
		return nil // there is none, or the kernel has no nftables
	}
	return []drill.Item{{What: "nftables table inet " + drill.TableName, Is: "there"}}
}
