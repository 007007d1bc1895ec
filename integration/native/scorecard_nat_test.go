// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// firewall gives a host rules by a program's commands, one a line, until undo is called.
func firewall(h *lab.Host, commands, undoing string) (do, undo func()) {
	each := func(lines string) func() {
		return func() {
			for line := range strings.Lines(strings.TrimSpace(lines)) {
				words := strings.Fields(line)
				h.Run(words[0], words[1:]...)
			}
		}
	}
	return each(commands), each(undoing)
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
	for i, x := range c.Dirs {
		priority := []int{lab.PriorityA, lab.PriorityB}[i]
		x.Join("inside", fmt.Sprintf("10.0.0.%d/24", 2+i))
		x.Configure(lab.DuoSettings{Advert: cardPair.Advert, Keys: `sync_group = "nat"`, Tables: fmt.Sprintf(natPair, priority)}.Config(x.Name, priority))
		x.Sysctl(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.send_redirects": "0",
			"net.ipv4.conf.eth0.send_redirects": "0", "net.ipv4.conf.eth1.send_redirects": "0"})
		c.Args[x.Host] = second(x, "card.toml", pool("www", "nat", "10.0.0.11")+"port = 8080\n")
	}
	d.Launch()
	web := d.Host("web1")
	web.Join("inside", "10.0.0.11/24")
	web.Run("ip", "link", "set", "eth0", "down")
	web.Run(lab.Tandem.Path(), "realserver", "apply", "--vip", "10.0.0.1", "--mode", "nat", "--state-dir", web.Dir()+"/realserver")
	web.WriteFile("www/index.html", web.Name)
	web.Start("busybox", "httpd", "-f", "-p", "8080", "-h", filepath.Join(web.Dir(), "www"))
	c.Args[web] = []string{"--vip", "10.0.0.1", "--mode", "nat"}
	d.Client.Run("ip", "route", "add", "10.0.0.0/24", "via", vip)
	works := func() error {
		_, err := d.Client.Get("http://10.0.0.11:8080/")
		return err
	}
	awaitHas(d.Lab, 10*time.Second, d.A.Host, "10.0.0.1", true)
	// At the VIP the director itself answers: IPVS takes packets at the same place.
	d.A.WriteFile("www/index.html", d.A.Name)
	d.A.Start("busybox", "httpd", "-f", "-p", "80", "-h", filepath.Join(d.A.Dir(), "www"))
	worksAtVIP := func() error {
		_, err := d.Client.Get("http://" + vip + "/")
		return err
	}
	file := func(group string) func() {
		return func() {
			inside := strings.Replace(fmt.Sprintf(natPair, lab.PriorityA), `sync_group = "nat"`, group, 1)
			d.A.Configure(lab.DuoSettings{Advert: cardPair.Advert, Keys: group, Tables: inside}.Config(d.A.Name, lab.PriorityA))
			c.Args[d.A.Host] = second(d.A, "card.toml", pool("www", "nat", "10.0.0.11")+"port = 8080\n")
		}
	}
	filtered := func(name, commands, undoing, want, says string, works func() error) breakage {
		do, undo := firewall(d.A.Host, commands, undoing)
		return breakage{Name: name, On: d.A.Host, Fail: do, Want: want, Says: says, Works: works, Restore: undo}
	}
	c.Run([]breakage{
		{Name: "NAT server without route, from the master", On: d.A.Host, Fail: func() { web.Run("ip", "route", "del", "default") },
			Want: "answers-elsewhere", Says: "10.0.0.11", Runs: []*lab.Host{web}, Works: works},
		{Name: "NAT server's route through the backup", On: d.A.Host, Fail: func() { web.Run("ip", "route", "replace", "default", "via", "10.0.0.3") },
			Want: "answers-elsewhere", Says: "10.0.0.11", Runs: []*lab.Host{web}, Works: works},
		{Name: "NAT server without route, from itself", On: web, Fail: func() { web.Run("ip", "route", "del", "default") }, Want: "no-route", Works: works},
		filtered("forward policy drop", nftDrops("forward", "iifname eth0 accept"), "nft delete table inet site",
			"forward-filtered", "inet site drops", works),
		filtered("forward policy drop, iptables-legacy", "iptables-legacy -P FORWARD DROP\niptables-legacy -A FORWARD -i eth0 -j ACCEPT",
			"iptables-legacy -P FORWARD ACCEPT\niptables-legacy -F", "forward-filtered", "iptables-legacy filter FORWARD", works),
		filtered("service port dropped", nftDrops("input", "meta l4proto != tcp accept\ntcp dport != 80 accept"), "nft delete table inet site",
			"service-filtered", "port 80", worksAtVIP),
		filtered("service port dropped, iptables-nft", siteOf("iptables-nft"), noSiteOf("iptables-nft"), "service-filtered", "ip filter INPUT", worksAtVIP),
		filtered("service port dropped, iptables-legacy", siteOf("iptables-legacy"), noSiteOf("iptables-legacy"),
			"service-filtered", "iptables-legacy filter INPUT", worksAtVIP),
		{Name: "no forwarding", On: d.A.Host, Fail: func() { d.A.Sysctl(map[string]string{"net.ipv4.ip_forward": "0"}) }, Want: "forwarding-off", Works: works},
		{Name: "the routers of a NAT pair have no group in common", On: d.A.Host, Fail: func() { file("")(); c.reload(d.A) }, Want: "nat-split",
			Says: "service www: the virtual routers web and inside are not in one sync_group", Heal: file(`sync_group = "nat"`), Works: works},
		{Name: "the outer cable is silent", On: d.A.Host, Fail: d.A.Isolate, Want: "segment-silent", Says: "eth0: no other machine answers there",
			Advises: "look at the cable, the switch and the VLAN of eth0", Works: works,
			// While the master changes, answers come to the one or the other director. The doctor names the silence before it does.
			Heal: func() {
				d.AwaitMaster(d.B)
				d.A.Rejoin()
				d.AwaitMaster(d.A)
				awaitHas(d.Lab, 10*time.Second, d.A.Host, "10.0.0.1", true)
			}},
		{Name: "redirects", On: d.A.Host, Fail: func() { d.A.Sysctl(map[string]string{"net.ipv4.conf.eth1.send_redirects": "1"}) }, Want: "sends-redirects", Works: works},
	})
}

// nftDrops makes a chain of a hook that drops what its rules, one a line, do not accept.
func nftDrops(hook, rules string) string {
	commands := "nft add table inet site\nnft add chain inet site drops { type filter hook " + hook + " priority 0 ; policy drop ; }"
	for rule := range strings.Lines(rules) {
		commands += "\nnft add rule inet site drops " + strings.TrimSpace(rule)
	}
	return commands
}

// siteOf returns the usual rules of a site, by a program of iptables: they let everything pass but new connections to port 80.
func siteOf(program string) string {
	return strings.ReplaceAll(`PROGRAM -P INPUT DROP
PROGRAM -N site
PROGRAM -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
PROGRAM -A INPUT -i lo -j ACCEPT
PROGRAM -A INPUT -j site
PROGRAM -A site ! -p tcp -m comment --comment site -j ACCEPT
PROGRAM -A site -p tcp -m multiport --dports 22,8000:9000 -j ACCEPT
PROGRAM -A site -p tcp --dport 443 -j ACCEPT`, "PROGRAM", program)
}

func noSiteOf(program string) string {
	return strings.ReplaceAll("PROGRAM -P INPUT ACCEPT\nPROGRAM -F\nPROGRAM -X", "PROGRAM", program)
}
