// SPDX-License-Identifier: Apache-2.0

package lab

import "github.com/google/nftables"

// Firewall changes the nftables rules of the host in one step.
func (h *Host) Firewall(change func(*nftables.Conn)) error {
	return h.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		change(conn)
		return conn.Flush()
	})
}

// FirewallTable adds a table to the nftables rules of the host, which fill fills, until undo is called.
func (h *Host) FirewallTable(table nftables.Table, fill func(*nftables.Conn, *nftables.Table)) (undo func()) {
	h.lab.t.Helper()
	change := func(f func(*nftables.Conn)) {
		h.lab.t.Helper()
		if err := h.Firewall(f); err != nil {
			h.lab.t.Fatalf("firewall of %s: %v", h.Name, err)
		}
	}
	change(func(c *nftables.Conn) { fill(c, c.AddTable(&table)) })
	return func() { h.lab.t.Helper(); change(func(c *nftables.Conn) { c.DelTable(&table) }) }
}
