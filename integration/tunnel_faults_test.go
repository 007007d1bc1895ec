// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/topology"
)

// wantTunnelFaults breaks and mends the tunnels. Both directors name each fault, and say what to do.
func (n *followed) wantTunnelFaults(t *testing.T) {
	t.Helper()
	first, both := "real server 198.51.100.11 of www: ", "real servers 198.51.100.11, 198.51.100.12 of www: "
	filter := func(value string) {
		n.Router.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": value, "net.ipv4.conf.eth1.rp_filter": value})
	}
	apply := func() { n.Webs[0].Must("tandem realserver apply") }
	n.Webs[0].Must("systemctl disable --now tandem-realserver") // which would mend the faults
	var undo func()
	for _, f := range []struct {
		name       string
		fail, mend func()
		id, says   string
		advice     string
	}{
		{"VIP missing", func() { n.Webs[0].Run("ip", "addr", "del", n.vip()+"/32", "dev", "tunl0") }, apply,
			"server-lacks-vip", first, "`tandem realserver apply --vip " + n.vip() + " --mode tunnel`"},
		{"tunnel down", func() { n.Webs[0].Run("ip", "link", "set", "tunl0", "down") }, apply,
			"server-lacks-tunnel", first, "`tandem realserver apply --vip " + n.vip() + " --mode tunnel`"},
		{"router's rp_filter", func() { filter("1") }, func() { filter("2") }, "server-lacks-vip", both, "sysctl -w net.ipv4.conf.all.rp_filter=2 there"},
		{"IPIP dropped", func() { undo = dropTunnels(n.Router.Host) }, func() { undo() }, "tunnel-dropped", both, "let IP protocol 4 pass on the way"},
	} {
		f.fail()
		for _, d := range []*topology.Machine{n.A, n.B} {
			got := n.wantFindings(d, f.id)[0]
			if !strings.HasPrefix(got.What, f.says) || !strings.Contains(got.Mend, f.advice) {
				t.Errorf("%s: %s finds %+v, want %q and the advice %q", f.name, d.Name, got, f.says, f.advice)
			}
		}
		f.mend()
		n.wantClean()
	}
	n.Webs[0].Must("systemctl enable --now tandem-realserver")
}

// dropTunnels has a host drop the IP in IP that arrives, until undo is called.
func dropTunnels(h *lab.Host) (undo func()) {
	return h.FirewallTable(nftables.Table{Name: "lab", Family: nftables.TableFamilyIPv4}, func(c *nftables.Conn, table *nftables.Table) {
		chain := c.AddChain(&nftables.Chain{Name: "drop", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityFilter})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_IPIP}},
			&expr.Verdict{Kind: expr.VerdictDrop}}})
	})
}
