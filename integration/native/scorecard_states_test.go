// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// scoreOfStates: directors that do not run, cannot be master, or nobody hears.
func scoreOfStates(t *testing.T) {
	t.Parallel()
	c := newDuoCard(t)
	c.Run([]breakage{
		{Name: "a director does not run", On: c.B.Host, Want: "not-running", Says: c.B.Socket, Advises: "systemctl start tandem", Works: c.oneHolder,
			Fail: func() { terminate(t, c.B) }, Heal: func() { c.B.Launch() }},
		c.justStarted(),
		c.differs("the director warns", c.B, c.B, ownVRID, ownVRID+"\nsync_group = \"alone\"", "director-warns", "alone has no other member"),
		{Name: "an interface that is nowhere", On: c.B.Host, Want: "link-missing", Says: "interface eth9 is missing", Works: c.oneHolder,
			Fail: c.write(func(text string, _ *lab.Director) string {
				return strings.NewReplacer("\"eth0\"", "\"eth9\"", vip, "198.51.100.100").Replace(text)
			}, c.B), Heal: c.write(right, c.B)},
		c.scriptFails(),
		c.bothFail(),
		c.guard("a path over which nothing comes", []string{`heartbeat = [{ peer = "192.0.2.2" }]`, ""}, "path-silent", "not over 192.0.2.2",
			[]string{`heartbeat = [{ peer = "192.0.2.2" }]`, `heartbeat = [{ peer = "192.0.2.3" }]`}),
		c.guard("a path over no interface", []string{`heartbeat = ["eth9"]`, ""}, "path-down", "the path over eth9 does not work", []string{"", ""}),
		c.guard("a witness that does not answer", []string{`witness = ["192.0.2.77"]`, ""}, "witness-silent", "no witness answers",
			[]string{`witness = ["192.0.2.1"]`, ""}),
		c.deafToARP(),
		c.sameAddress(),
		c.strictPathFilter(),
	})
}

// write gives directors other files, and has them read the files.
func (c duoCard) write(text func(right string, d *lab.Director) string, directors ...*lab.Director) func() {
	return func() {
		for _, d := range directors {
			d.Configure(text(c.right[d], d))
			c.Args[d.Host] = second(d, "card.toml", "")
			c.reload(d)
		}
	}
}

// keys returns the file with more keys of the virtual router.
func keys(more string) func(string, *lab.Director) string {
	return func(right string, _ *lab.Director) string {
		return strings.Replace(right, ownVRID, ownVRID+"\n"+more, 1)
	}
}

func right(text string, _ *lab.Director) string { return text }

// justStarted is a row in which the doctor looks before the only director has become master. A long interval gives it time to look.
func (c duoCard) justStarted() breakage {
	return breakage{Name: "a director has just started", On: c.B.Host, Want: "election-open", Says: "no machine answers for " + vip, Works: c.oneHolder,
		Fail: func() {
			terminate(c.T, c.A)
			terminate(c.T, c.B)
			c.B.Configure(strings.Replace(c.right[c.B], "\"300ms\"", "\"1s\"", 1))
			c.Args[c.B.Host] = second(c.B, "card.toml", "")
			c.B.Launch()
			c.B.AwaitState(10*time.Second, "backup")
		},
		Heal: func() { c.B.AwaitState(10*time.Second, "master") },
		Restore: func() {
			c.write(right, c.B)()
			c.A.Launch()
			c.AwaitMaster(c.A)
		}}
}

// guard is a row in which the backup, and perhaps the master, have wrong keys. Wrong and healed are the keys of both.
func (c duoCard) guard(name string, wrong []string, want, says string, healed []string) breakage {
	use := func(all []string) func() {
		return func() {
			c.write(keys(all[0]), c.B)()
			c.write(keys(all[1]), c.A)()
		}
	}
	return breakage{Name: name, On: c.B.Host, Want: want, Says: says, Fail: use(wrong), Heal: use(healed), Works: c.oneHolder,
		Restore: c.write(right, c.A, c.B)}
}

// scriptFails is a row in which a tracked script needs more than its user may do.
func (c duoCard) scriptFails() breakage {
	secret := c.B.Host.WriteFile("secret", "") // of root
	if err := os.Chmod(secret, 0o600); err != nil {
		c.T.Fatal(err)
	}
	track := fmt.Sprintf("track = [{ script = [\"/usr/bin/busybox\", \"cat\", %q], interval = \"300ms\", timeout = \"300ms\"%%s }]", secret)
	return breakage{Name: "a tracked script fails as its user", On: c.B.Host, Want: "script-fails", Says: "fails as user nobody: ",
		Fail: c.write(keys(fmt.Sprintf(track, "")), c.B), Heal: c.write(keys(fmt.Sprintf(track, ", user = \"root\"")), c.B),
		Works: func() error { return c.isIn(c.B, "backup") }, Hurts: true, Restore: c.write(right, c.B)}
}

func (c duoCard) isIn(d *lab.Director, state string) error {
	if is := d.State(); is != state {
		return fmt.Errorf("%s is in state %s", d.Name, is)
	}
	return nil
}

// bothFail is a row in which what both directors track has failed.
func (c duoCard) bothFail() breakage {
	both := []*lab.Director{c.A, c.B}
	set := func(number string) {
		for _, d := range both {
			d.WriteFile("step-back", number)
		}
	}
	set("0")
	return breakage{Name: "what both directors track has failed", On: c.B.Host, Also: []*lab.Host{c.A.Host}, Want: "nobody-owns", Says: "step-back", Hurts: true,
		Fail: func() {
			c.write(func(text string, d *lab.Director) string {
				return keys(fmt.Sprintf("track = [{ file = %q }]", d.Dir()+"/step-back"))(text, d)
			}, both...)()
			set("1")
		},
		Heal: func() { set("0") }, Works: c.oneHolder, Restore: func() {
			c.write(right, both...)()
			c.AwaitMaster(c.A)
		}}
}

// deafToARP is a row in which the master drops the ARP requests of others.
func (c duoCard) deafToARP() breakage {
	do, undo := firewall(c.A.Host, "nft add table arp site\nnft add chain arp site drops { type filter hook input priority 0 ; }\n"+
		"nft add rule arp site drops arp operation request drop", "nft delete table arp site")
	return breakage{Name: "the master drops ARP requests", On: c.B.Host, Fail: do, Heal: undo, Want: "nobody-owns", Says: "192.0.2.2 advertises " + vip,
		Advises: "nft list tables arp", Hurts: true, Works: func() error {
			if who := c.Client.WhoHas(vip); len(who) != 1 {
				return fmt.Errorf("%v answer for the VIP", who)
			}
			return nil
		}}
}

// sameAddress is a row in which both directors have one address.
func (c duoCard) sameAddress() breakage {
	replace := func(old, address string) func() {
		return func() {
			c.B.Run("ip", "addr", "del", old, "dev", "eth0")
			c.B.Run("ip", "addr", "add", address, "dev", "eth0")
		}
	}
	return breakage{Name: "the peer has the same address", On: c.A.Host, Want: "duplicate-address", Says: c.B.MAC(), Hurts: true, Works: c.oneHolder,
		Fail: replace("192.0.2.3/24", "192.0.2.2/24"), Heal: replace("192.0.2.2/24", "192.0.2.3/24")}
}

// strictPathFilter is a row in which the kernel drops what clients send to the VIP of a virtual MAC.
func (c duoCard) strictPathFilter() breakage {
	const table = "\n[[vrrp]]\nname = \"mac\"\ninterface = \"eth0\"\nvrid = 53\nvips = [\"192.0.2.103/24\"]\nvirtual_mac = true\nadvert_interval = \"300ms\"\n"
	return breakage{Name: "strict rp_filter with a virtual MAC", On: c.A.Host, Want: "path-filter", Says: "rp_filter of vrrp.53 is strict", Hurts: true,
		Fail: func() {
			c.write(func(text string, _ *lab.Director) string { return text + table }, c.A)()
			awaitHas(c.Duo.Lab, 10*time.Second, c.A.Host, "192.0.2.103", true)
			c.A.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": "0"})
			// The interface's name has a dot, which Sysctl takes for a separator.
			if err := c.A.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/vrrp.53/rp_filter", []byte("1"), 0) }); err != nil {
				c.T.Fatal(err)
			}
		},
		Works:   func() error { return datagramPasses(c.Client, c.A.Host, "192.0.2.103:9") },
		Restore: c.write(right, c.A)}
}
