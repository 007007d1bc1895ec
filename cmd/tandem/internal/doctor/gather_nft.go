// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// readRules reads the rules of nftables. A kernel without nftables has none.
func readRules() *ruleset {
	rs := &ruleset{rules: make(map[Chain][]*nftables.Rule), sets: make(map[[2]string][][]byte)}
	conn, err := nftables.New()
	if err != nil {
		return rs
	}
	chains, err := conn.ListChains()
	if err != nil {
		return rs
	}
	for _, c := range chains {
		rules, err := conn.GetRules(c.Table, c)
		if err != nil || nameOf(c).Family == "" {
			continue // it is gone, or not about IP
		}
		rs.chains = append(rs.chains, c)
		rs.rules[nameOf(c)] = rules
		for _, r := range rules {
			rs.readSets(conn, c.Table, r)
		}
	}
	return rs
}

// readSets reads the sets that a rule asks.
func (rs *ruleset) readSets(conn *nftables.Conn, table *nftables.Table, r *nftables.Rule) {
	for _, e := range r.Exprs {
		lookup, ok := e.(*expr.Lookup)
		if !ok {
			continue
		}
		set, err := conn.GetSetByName(table, lookup.SetName)
		if err != nil || set.Interval || set.IsMap || set.Concatenation {
			continue
		}
		members, err := conn.GetSetElements(set)
		if err != nil {
			continue
		}
		keys := [][]byte{}
		for _, m := range members {
			keys = append(keys, m.Key)
		}
		rs.sets[[2]string{table.Name, lookup.SetName}] = keys
	}
}
