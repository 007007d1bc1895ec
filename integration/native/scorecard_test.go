// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/scorecard"
)

// cardPair are the settings of the pairs. Their interval bridges short stalls of a busy machine.
var cardPair = lab.DuoSettings{Advert: 300 * time.Millisecond}

type breakage = scorecard.Breakage

// TestScorecard causes each fault by itself, has the doctor name it and nothing else, does what the doctor advises, sees the
// service work, and sees the finding gone. On machines without faults the doctor finds nothing.
func TestScorecard(t *testing.T) {
	t.Run("between directors", scoreOfDirectors)
	t.Run("the channel between directors", scoreOfChannel)
	t.Run("addresses of directors", scoreOfAddresses)
	t.Run("states of directors", scoreOfStates)
	t.Run("real servers", scoreOfServers)
	t.Run("NAT", scoreOfNAT)
}

// A card is the scorecard of a pair on a kernel that may have no IPVS.
type card struct{ *scorecard.Card }

func newCard(t *testing.T, d lab.Duo) card {
	c := scorecard.New(t, d.Lab, d.A, d.B)
	c.Ignore = hasNoIPVS
	return card{c}
}

func (c card) reload(d *lab.Director) {
	if _, err := tandem(d, "reload"); err != nil {
		c.T.Errorf("reload of %s: %v", d.Name, err)
	}
}

// oneHolder checks that one director alone has the VIP.
func (c card) oneHolder() error {
	if a, b := c.Dirs[0].Has(vip), c.Dirs[1].Has(vip); a == b {
		return fmt.Errorf("VIP on %s: %t, on %s: %t", c.Dirs[0].Name, a, c.Dirs[1].Name, b)
	}
	return nil
}

// A duoCard is the card of two directors without real servers.
type duoCard struct {
	card
	lab.Duo
	right map[*lab.Director]string // files
}

func newDuoCard(t *testing.T) duoCard {
	d := lab.NewDuo(t, cardPair)
	d.A.Join("inside", "10.0.0.2/24")
	d.A.OtherUsers, d.B.OtherUsers = true, true // of scripts that rows add
	d.Launch()
	c := duoCard{newCard(t, d), d, make(map[*lab.Director]string)}
	for x, priority := range map[*lab.Director]int{d.A: lab.PriorityA, d.B: lab.PriorityB} {
		c.right[x] = cardPair.Config(x.Name, priority)
		c.Args[x.Host] = second(x, "card.toml", "")
	}
	return c
}

// differs returns a row in which the file of one director is wrong.
func (c duoCard) differs(name string, on, changed *lab.Director, old, new, want, says string) breakage {
	write := func(text string) {
		changed.Configure(text)
		c.Args[changed.Host] = second(changed, "card.toml", "")
	}
	return breakage{Name: name, On: on.Host, Want: want, Says: says, Works: c.oneHolder,
		Fail: func() { write(strings.Replace(c.right[changed], old, new, 1)); c.reload(changed) },
		Heal: func() {
			write(c.right[changed])
			if on != changed {
				c.reload(changed) // the doctor's advice is for both
			}
		}}
}

// unicastLost is a row in which the master sends its advertisements to a stranger.
func (c duoCard) unicastLost() breakage {
	write := func(keys map[*lab.Director]string) {
		for _, d := range c.Dirs {
			d.Configure(strings.Replace(c.right[d], ownVRID, ownVRID+"\n"+keys[d], 1))
			c.Args[d.Host] = second(d, "card.toml", "")
		}
	}
	return breakage{Name: "unicast to the wrong address", On: c.B.Host, Want: "unicast-lost", Says: "none of its advertisements arrives",
		Fail: func() {
			write(map[*lab.Director]string{c.A: "unicast_peers = [\"192.0.2.77\"]", c.B: "unicast_peers = [\"192.0.2.2\"]"})
			c.reload(c.A)
			c.reload(c.B)
		},
		Heal: func() {
			write(nil)
			c.reload(c.A)
			c.reload(c.B)
		}, Works: c.oneHolder}
}

const syncTable = "[lvs]\nsync = { interface = \"eth0\", id = 7 }\n"

const ownVRID, ownVIPs = "vrid = 51", "vips = [\"" + vip + "/24\"]"

// datagramPasses checks that a datagram reaches a host at an address.
func datagramPasses(from, to *lab.Host, at string) error {
	var in net.PacketConn
	if err := to.Do(func() (err error) {
		in, err = net.ListenPacket("udp4", at)
		return err
	}); err != nil {
		return err
	}
	defer in.Close()
	if err := from.Do(func() error {
		out, err := net.Dial("udp4", at)
		if err != nil {
			return err
		}
		_, err = out.Write([]byte("passes"))
		return errors.Join(err, out.Close())
	}); err != nil {
		return err
	}
	if err := in.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, _, err := in.ReadFrom(make([]byte, 16))
	return err
}

// scoreOfDirectors: faults between the two directors of a pair.
func scoreOfDirectors(t *testing.T) {
	t.Parallel()
	c := newDuoCard(t)
	withSync := func(tables string, then func()) func() {
		return func() { c.Args[c.B.Host] = second(c.B, "card.toml", tables); then() }
	}
	syncDo, syncUndo := firewall(c.B.Host, "iptables-legacy -A INPUT -p udp --dport 8848 -j DROP", "iptables-legacy -F")
	syncPasses := func() error { return datagramPasses(c.A.Host, c.B.Host, "192.0.2.3:8848") }
	var undo func()
	legacyDo, legacyUndo := firewall(c.B.Host, "iptables-legacy -A INPUT -m comment --comment site -p 112 -j DROP", "iptables-legacy -F")
	legacyOutDo, legacyOutUndo := firewall(c.A.Host, "iptables-legacy -t mangle -A OUTPUT -d 224.0.0.0/8 -p 112 -j DROP", "iptables-legacy -t mangle -F")
	c.Run([]breakage{
		{Name: "VRRP dropped on the way in, iptables-legacy", On: c.B.Host, Fail: legacyDo, Want: "vrrp-filtered",
			Says: "drops incoming VRRP", Works: c.oneHolder, Restore: legacyUndo},
		{Name: "VRRP dropped on the way out, iptables-legacy", On: c.A.Host, Fail: legacyOutDo, Want: "vrrp-filtered",
			Says: "drops outgoing VRRP", Works: c.oneHolder, Restore: legacyOutUndo},
		{Name: "VRRP dropped on the way in", On: c.B.Host, Fail: func() { undo = drop(t, c.B.Host, false) }, Want: "vrrp-filtered",
			Says: "drops incoming VRRP", Works: c.oneHolder, Restore: func() { undo() }},
		{Name: "VRRP dropped on the way out", On: c.A.Host, Fail: func() { undo = drop(t, c.A.Host, true) }, Want: "vrrp-filtered",
			Says: "drops outgoing VRRP", Works: c.oneHolder, Restore: func() { undo() }},
		{Name: "VRRP dropped at the other director", On: c.A.Host, Fail: func() { undo = drop(t, c.B.Host, false) }, Want: "two-masters",
			Says: "192.0.2.3 advertises virtual router 51", Heal: func() { undo() }, Works: c.oneHolder},
		{Name: "connection sync dropped, iptables-legacy", On: c.B.Host, Fail: withSync(syncTable, syncDo), Want: "sync-filtered", Says: "drops incoming connection sync",
			Works: syncPasses, Hurts: true, Restore: withSync("", syncUndo)},
		c.unicastLost(),
		c.differs("another vrid, from the peer", c.A, c.B, ownVRID, "vrid = 52", "vrid-differs", "192.0.2.3 advertises 192.0.2.100 with vrid 52"),
		c.differs("another vrid, from itself", c.B, c.B, ownVRID, "vrid = 52", "vrid-differs", "192.0.2.2 advertises 192.0.2.100 with vrid 51"),
		c.differs("another version", c.A, c.B, "advert_interval = \"300ms\"", "advert_interval = \"1s\"\nversion = 2", "peer-differs", "version 2"),
		c.differs("unicast beside multicast", c.A, c.B, ownVRID, ownVRID+"\nunicast_peers = [\"192.0.2.2\"]", "peer-differs", "unicast_peers"),
		c.differs("more VIPs", c.B, c.B, ownVIPs, "vips = [\""+vip+"/24\", \"192.0.2.101/24\"]", "peer-differs", "it lacks 192.0.2.101"),
		c.differs("other VIPs", c.B, c.B, ownVIPs, "vips = [\"192.0.2.101/24\"]", "duplicate-vrid", "192.0.2.2 also advertises virtual router 51"),
		{Name: "no multicast passes", On: c.B.Host, Fail: c.B.HoldMulticast, Want: "multicast-lost",
			Says: "none of its advertisements arrives", Heal: c.B.PassMulticast, Works: c.oneHolder},
	})
}

// beside is a row in which a program runs that does not go together with tandem.
func (c duoCard) beside(program, want string) breakage {
	var p *lab.Process
	return breakage{Name: program + " runs too", On: c.B.Host, Want: want, Says: program, Works: c.oneHolder,
		Fail: func() {
			if err := unix.Mkfifo(c.B.Dir()+"/never", 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
				c.T.Fatal(err)
			}
			p = idle(c.T, c.B.Host, program)
		}, Heal: func() { p.Stop() }}
}

// scoreOfAddresses: faults of one director's addresses and interfaces.
func scoreOfAddresses(t *testing.T) {
	t.Parallel()
	c := newDuoCard(t)
	c.Run([]breakage{
		c.differs("VIP on the wrong interface", c.A, c.A, "interface = \"eth0\"", "interface = \"eth1\"", "wrong-interface", "192.0.2.0/24 is on eth0"),
		c.differs("wrong prefix length", c.A, c.A, ownVIPs, "vips = [\""+vip+"/16\"]", "prefix-length", "192.0.2.100/16"),
		{Name: "VIP left on the backup's lo", On: c.B.Host, Fail: func() { c.B.Run("ip", "addr", "add", vip+"/32", "dev", "lo") },
			Want: "vip-misplaced", Says: "192.0.2.100/32 is on lo of this machine", Works: c.oneHolder},
		{Name: "a stranger has the VIP", On: c.B.Host, Fail: func() { c.Client.Run("ip", "addr", "add", vip+"/24", "dev", "eth0") },
			Want: "two-owners", Says: "is on 2 machines", Heal: func() { c.Client.Run("ip", "addr", "del", vip+"/24", "dev", "eth0") }, Works: c.oneHolder},
		{Name: "no carrier", On: c.B.Host, Fail: c.B.Cut, Want: "no-carrier", Heal: c.B.Plug, Works: c.oneHolder},
		{Name: "the interface is down", On: c.B.Host, Fail: func() { c.B.Run("ip", "link", "set", "eth0", "down") }, Want: "link-down", Works: c.oneHolder},
		c.differs("no such interface", c.B, c.B, "interface = \"eth0\"", "interface = \"eth9\"", "wrong-interface", "is for eth9, and its network 192.0.2.0/24 is on eth0"),
		c.beside("keepalived", "keepalived-runs"),
		c.beside("NetworkManager", "address-manager"),
		{Name: "few files", On: c.A.Host, Fail: func() { maxFiles(t, c.A, 100) }, Want: "file-limit", Heal: func() { maxFiles(t, c.A, 1000) }, Works: c.oneHolder},
	})
}

// scoreOfServers: faults of real servers for direct routing. A user that knows the server's hardware address as the VIP's sends
// what a director would forward.
func scoreOfServers(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, cardPair)
	d.Launch()
	web := d.Host("web1", "192.0.2.11/24")
	router := d.Host("router", "192.0.2.254/24")
	router.Join("outside", "198.51.100.254/24")
	router.Sysctl(map[string]string{"net.ipv4.ip_forward": "1"})
	far := d.Host("far")
	far.Join("outside", "198.51.100.1/24")
	far.Run("ip", "link", "set", "eth0", "down")
	far.Run("ip", "route", "add", "default", "via", "198.51.100.254")
	for _, h := range []*lab.Host{d.Client, router} {
		h.Run("ip", "neigh", "replace", vip, "lladdr", web.MAC(), "dev", "eth0", "nud", "permanent")
	}
	web.Run("ip", "route", "add", "default", "via", "192.0.2.254")
	web.Run(lab.Tandem.Path(), "realserver", "apply", "--vip", vip, "--state-dir", web.Dir()+"/realserver")
	program := web.HTTPServer(web.Name)
	c := newCard(t, d)
	files := func(x *lab.Director, server string) func() {
		return func() { c.Args[x.Host] = second(x, "card.toml", pool("www", "dr", server)) }
	}
	for _, x := range c.Dirs {
		files(x, "192.0.2.11")()
	}
	c.Args[web] = []string{"-c", web.WriteFile("tandem.toml", "[realserver]\nvips = [\""+vip+"\"]\n"+pool("www", "dr", "192.0.2.11"))}
	works := func() error {
		for _, h := range []*lab.Host{d.Client, far} {
			if _, err := h.Get("http://" + vip + "/"); err != nil {
				return err
			}
		}
		return nil
	}
	ownOnly := func() {
		program.Stop()
		program = web.Start("busybox", "httpd", "-f", "-p", "192.0.2.11:80", "-h", web.Dir()+"/www")
	}
	onAll := func() {
		program.Stop()
		program = web.HTTPServer(web.Name)
	}
	silent := func() breakage {
		do, undo := firewall(web, nftDrops("input", "meta l4proto != tcp accept\ntcp dport != 80 accept"), "nft delete table inet site")
		return breakage{Name: "server's firewall drops the service", On: d.A.Host, Fail: do, Heal: undo, Want: "server-silent",
			Says: "real server 192.0.2.11 of www: no answer at port 80", Advises: "let TCP port 80 pass in its firewall", Works: works}
	}
	c.Run([]breakage{
		{Name: "VIP missing on a server, from the master", On: d.A.Host, Fail: func() { web.Run("ip", "addr", "del", vip+"/32", "dev", "lo") },
			Want: "server-lacks-vip", Says: "192.0.2.11", Runs: []*lab.Host{web}, Works: works},
		{Name: "VIP missing on a server, from the backup", On: d.B.Host, Fail: func() { web.Run("ip", "addr", "del", vip+"/32", "dev", "lo") },
			Want: "server-lacks-vip", Says: "192.0.2.11", Runs: []*lab.Host{web}, Works: works},
		{Name: "VIP missing, from the server", On: web, Fail: func() { web.Run("ip", "addr", "del", vip+"/32", "dev", "lo") }, Want: "vip-missing", Works: works},
		{Name: "web server on its own address, from outside", On: d.A.Host, Fail: ownOnly, Want: "server-refuses-vip", Says: "192.0.2.11", Heal: onAll, Works: works},
		{Name: "web server on its own address, from itself", On: web, Fail: ownOnly, Want: "not-listening", Says: "192.0.2.11:80", Heal: onAll, Works: works},
		{Name: "server without default route", On: web, Fail: func() {
			web.Run("ip", "route", "del", "default")
			_, _ = far.Get("http://" + vip + "/") // it tries to answer
		}, Want: "no-default-route", Says: "no default route", Router: "192.0.2.254", Works: works},
		{Name: "server's default route leads to the master", On: web, Fail: func() {
			web.Run("ip", "route", "replace", "default", "via", "192.0.2.2")
			web.Run("ip", "neigh", "replace", "192.0.2.2", "lladdr", d.A.MAC(), "dev", "eth0", "nud", "reachable")
		}, Want: "default-route", Says: "192.0.2.2, the director that holds " + vip, Hurts: true, Router: "192.0.2.254", Works: works},
		{Name: "the VIP is the source of the server's default route", On: web, Fail: func() {
			web.Run(lab.Tandem.Path(), "realserver", "remove", "--state-dir", web.Dir()+"/realserver")
			web.Run("ip", "addr", "add", vip+"/32", "dev", "lo")
			web.Run("ip", "route", "replace", "default", "via", "192.0.2.254", "src", vip)
		}, Want: "refused", Says: "is the source of this machine's default route",
			Heal: func() { web.Run("ip", "route", "replace", "default", "via", "192.0.2.254") }, Works: works},
		silent(),
		{Name: "server answers ARP", On: d.A.Host, Fail: func() {
			for _, name := range []string{"all", "eth0"} {
				web.Sysctl(map[string]string{"net.ipv4.conf." + name + ".arp_ignore": "0", "net.ipv4.conf." + name + ".arp_announce": "0"})
			}
		}, Want: "server-answers", Says: "192.0.2.11, real server of www", Runs: []*lab.Host{web}, Works: works},
		{Name: "server answers ARP, from itself", On: web, Fail: func() {
			web.Sysctl(map[string]string{"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.arp_announce": "0"})
		}, Want: "not-silent", Says: "arp_ignore", Works: works},
		{Name: "server in another network", On: d.A.Host, Fail: files(d.A, "198.51.100.11"), Want: "server-elsewhere", Says: "198.51.100.11",
			Heal: files(d.A, "192.0.2.11"), Works: works},
		{Name: "a director forwards packets", On: d.A.Host, Fail: func() { d.A.Sysctl(map[string]string{"net.ipv4.ip_forward": "1"}) },
			Want: "forwarding-on", Works: works},
	})
}
