// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/scorecard"
)

// card is the scorecard of the machines, which have no findings now.
func (n *topology) card(t *testing.T) *scorecard.Card {
	c := scorecard.New(t, n.Lab, n.a, n.b)
	c.Starts = []time.Duration{0, 1500 * time.Millisecond} // an emulated machine carries no more
	for _, d := range c.Dirs {
		c.Args[d.Host] = []string{"-c", d.File}
	}
	for _, w := range n.webs {
		c.Args[w] = []string{"-c", filepath.Join(w.Dir(), "tandem.toml")}
	}
	return c
}

// TestScorecardOfTunnels: faults of tunnels, which both directors name.
func TestScorecardOfTunnels(t *testing.T) {
	t.Parallel()
	n, router := newTunnels(t)
	n.launch()
	n.wantClean(t)
	first, both := "real server 198.51.100.11 of www: ", "real servers 198.51.100.11, 198.51.100.12 of www: "
	filter := func(value string) {
		router.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": value, "net.ipv4.conf.eth1.rp_filter": value})
	}
	get := func(url string) func() error {
		return func() error {
			for range 2 * len(n.webs) {
				if _, err := n.client.Get(url); err != nil {
					return err
				}
			}
			return nil
		}
	}
	works := get(n.url())
	large := get(n.url() + "?" + strings.Repeat("large", 600))
	causes := "connections in a tunnel to its own address are answered, and those to " + n.vip + ":80 not: it lacks the VIP, or a router drops"
	apply := "`tandem realserver apply --vip " + n.vip + " --mode tunnel`"
	directors := []*lab.Host{n.a.Host, n.b.Host}
	narrow := func(mtu string) { router.Run("ip", "link", "set", "eth1", "mtu", mtu) }
	var undo func()
	c := n.card(t)
	rows := []scorecard.Breakage{
		{Name: "VIP missing behind a tunnel", Fail: func() { n.webs[0].Run("ip", "addr", "del", n.vip+"/32", "dev", "tunl0") },
			Want: "server-lacks-vip", Says: first, Advises: apply, Runs: n.webs[:1], Works: works},
		{Name: "tunnel down", Fail: func() { n.webs[0].Run("ip", "link", "set", "tunl0", "down") },
			Want: "server-lacks-tunnel", Says: first, Advises: apply, Runs: n.webs[:1], Works: works},
		{Name: "router's rp_filter", Fail: func() { filter("1") }, Want: "server-lacks-vip", Says: both + causes,
			Advises: "sysctl -w net.ipv4.conf.all.rp_filter=2 there", Heal: func() { filter("2") }, Runs: n.webs, Works: works, Hurts: true},
		{Name: "IP in IP dropped on the way", Fail: func() { undo = dropTunnels(router) }, Want: "tunnel-dropped", Says: both,
			Advises: "let IP protocol 4 pass on the way", Heal: func() { undo() }, Runs: n.webs, Works: works, Hurts: true},
		{Name: "large packets lost in a tunnel", Fail: func() { narrow("1400"); undo = mute(router) }, Want: "tunnel-mtu",
			Says: both + "packets of 1500 bytes in a tunnel are lost on the way, and packets of 1400 arrive", Runs: directors, Works: large, Hurts: true,
			Restore: func() {
				undo()
				for _, d := range directors {
					d.Run("ip", "route", "del", "198.51.100.11/32")
					d.Run("ip", "route", "del", "198.51.100.12/32")
				}
				c.Clean("while a router says which packets are too large")
				c.Eventually(20*time.Second, "large requests work while a router says which packets are too large", large)
				narrow("1500")
				for _, h := range append(directors, n.client) {
					h.Run("ip", "route", "flush", "cache")
				}
			}},
		{Name: "fragments lost in a tunnel", Fail: func() {
			for _, d := range directors {
				d.Sysctl(map[string]string{"net.ipv4.vs.pmtu_disc": "0"})
			}
			undo = dropFragments(router)
		}, Want: "tunnel-mtu", Says: both + "packets of 1520 bytes in a tunnel, sent in fragments, are lost on the way", Runs: directors, Works: large,
			Hurts: true, Restore: func() {
				undo()
				for _, h := range append(directors, n.client) {
					h.Run("ip", "route", "flush", "cache")
				}
			}},
	}
	for i := range rows {
		rows[i].On, rows[i].Also = n.a.Host, []*lab.Host{n.b.Host}
	}
	rows = append(rows, scorecard.Breakage{Name: "tunnel down, from the server", On: n.webs[0], Want: "no-tunnel", Says: "tunl0", Works: works,
		Fail: func() { n.webs[0].Run("ip", "link", "set", "tunl0", "down") }})
	c.Run(rows)
}

// mute drops a router's messages that a packet is too large, until undo is called.
func mute(router *lab.Host) (undo func()) {
	router.Run("nft", "add", "table", "ip", "mute")
	router.Run("nft", "add", "chain", "ip", "mute", "out", "{ type filter hook output priority 0 ; }")
	router.Run("nft", "add", "rule", "ip", "mute", "out", "icmp", "type", "destination-unreachable", "drop")
	return func() { router.Run("nft", "delete", "table", "ip", "mute") }
}

// dropFragments has a router drop fragments, as some firewalls do, until undo is called. The chain comes before the kernel puts
// fragments together.
func dropFragments(router *lab.Host) (undo func()) {
	router.Run("nft", "add", "table", "ip", "fragments")
	router.Run("nft", "add", "chain", "ip", "fragments", "in", "{ type filter hook prerouting priority -450 ; }")
	router.Run("nft", "add", "rule", "ip", "fragments", "in", "ip", "frag-off", "&", "0x3fff", "!=", "0", "drop")
	return func() { router.Run("nft", "delete", "table", "ip", "fragments") }
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
