// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// nft does what `nft insert rule FAMILY TABLE CHAIN MATCH VALUE accept` does. The machine that runs the lab may not have nft.
func nft(h *lab.Host, words []string) error {
	if len(words) < 8 || words[0] != "insert" || words[1] != "rule" || words[len(words)-1] != "accept" {
		return fmt.Errorf("not understood: nft %s", strings.Join(words, " "))
	}
	families := map[string]nftables.TableFamily{"ip": nftables.TableFamilyIPv4, "ip6": nftables.TableFamilyIPv6, "inet": nftables.TableFamilyINet}
	table := &nftables.Table{Family: families[words[2]], Name: words[3]}
	var exprs []expr.Any
	match := strings.Join(words[5:len(words)-2], " ")
	value := words[len(words)-2]
	number, _ := strconv.Atoi(value)
	switch match {
	case "meta l4proto":
		exprs = append(exprs, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(number)}})
	case "iifname":
		name := make([]byte, 16)
		copy(name, value)
		exprs = append(exprs, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name})
	case "tcp dport":
		exprs = append(exprs, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{6}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(number >> 8), byte(number)}})
	default:
		return fmt.Errorf("not understood: %s", match)
	}
	return h.Firewall(func(c *nftables.Conn) {
		c.InsertRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Name: words[4], Table: table},
			Exprs: append(exprs, &expr.Verdict{Kind: expr.VerdictAccept})})
	})
}

// firewall makes a chain of a hook with a policy of drop, and rules that accept everything by TCP but a port; 0: that accept nothing.
func firewall(t *testing.T, h *lab.Host, hook *nftables.ChainHook, except uint16) (undo func()) {
	t.Helper()
	return h.FirewallTable(nftables.Table{Name: "site", Family: nftables.TableFamilyINet}, func(c *nftables.Conn, table *nftables.Table) {
		policy := nftables.ChainPolicyDrop
		chain := c.AddChain(&nftables.Chain{Name: "chain", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: hook, Priority: nftables.ChainPriorityFilter, Policy: &policy})
		if except == 0 {
			return
		}
		port := []byte{byte(except >> 8), byte(except)}
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{6}},
			&expr.Verdict{Kind: expr.VerdictAccept}}})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{6}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: port}, &expr.Verdict{Kind: expr.VerdictAccept}}})
	})
}

const natPair = `
[[vrrp]]
name = "inside"
interface = "eth1"
vrid = 52
priority = %d
advert_interval = "300ms"
vips = ["10.0.0.1/24"]
sync_group = "nat"
`

// scoreOfNAT: faults of a pair for NAT. The kernel may have no IPVS, so a client asks the server without translation: both ways pass
// the master.
func scoreOfNAT(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, cardPair)
	c := newCard(t, d)
	for i, x := range c.dirs {
		priority := []int{lab.PriorityA, lab.PriorityB}[i]
		x.Join("inside", fmt.Sprintf("10.0.0.%d/24", 2+i))
		x.Configure(lab.DuoSettings{Advert: cardPair.Advert, Keys: `sync_group = "nat"`, Tables: fmt.Sprintf(natPair, priority)}.Config(x.Name, priority))
		x.Sysctl(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.send_redirects": "0",
			"net.ipv4.conf.eth0.send_redirects": "0", "net.ipv4.conf.eth1.send_redirects": "0"})
		c.args[x.Host] = second(x, "card.toml", pool("www", "nat", "10.0.0.11")+"port = 8080\n")
	}
	d.Launch()
	web := d.Host("web1")
	web.Join("inside", "10.0.0.11/24")
	web.Run("ip", "link", "set", "eth0", "down")
	web.Run(lab.Tandem.Path(), "realserver", "apply", "--vip", "10.0.0.1", "--mode", "nat", "--state-dir", web.Dir()+"/realserver")
	web.WriteFile("www/index.html", web.Name)
	web.Start("busybox", "httpd", "-f", "-p", "8080", "-h", filepath.Join(web.Dir(), "www"))
	c.args[web] = []string{"--vip", "10.0.0.1", "--mode", "nat"}
	d.Client.Run("ip", "route", "add", "10.0.0.0/24", "via", vip)
	works := func() error {
		_, err := d.Client.Get("http://10.0.0.11:8080/")
		return err
	}
	awaitHas(d.Lab, 10*time.Second, d.A.Host, "10.0.0.1", true)
	var undo func()
	c.run([]breakage{
		{name: "NAT server without route, from the master", on: d.A.Host, fail: func() { web.Run("ip", "route", "del", "default") },
			want: "answers-elsewhere", says: "10.0.0.11", runs: web, works: works},
		{name: "NAT server's route through the backup", on: d.A.Host, fail: func() { web.Run("ip", "route", "replace", "default", "via", "10.0.0.3") },
			want: "answers-elsewhere", says: "10.0.0.11", runs: web, works: works},
		{name: "NAT server without route, from itself", on: web, fail: func() { web.Run("ip", "route", "del", "default") }, want: "no-route", works: works},
		{name: "forward policy drop", on: d.A.Host, fail: func() { undo = firewall(t, d.A.Host, nftables.ChainHookForward, 0) },
			want: "forward-filtered", says: "inet site chain", works: nil, restore: func() { undo() }},
		{name: "service port dropped", on: d.A.Host, fail: func() { undo = firewall(t, d.A.Host, nftables.ChainHookInput, 80) },
			want: "service-filtered", says: "port 80", restore: func() { undo() }},
		{name: "no forwarding", on: d.A.Host, fail: func() { d.A.Sysctl(map[string]string{"net.ipv4.ip_forward": "0"}) }, want: "forwarding-off", works: works},
		{name: "redirects", on: d.A.Host, fail: func() { d.A.Sysctl(map[string]string{"net.ipv4.conf.eth1.send_redirects": "1"}) }, want: "sends-redirects", works: works},
	})
}
