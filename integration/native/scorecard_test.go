// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// goesWithin is the time from the mend of a fault to the beginning of the examinations that no longer find it.
const goesWithin = 2 * time.Second

// cardPair are the settings of the pairs. Their interval bridges short stalls of a busy machine.
var cardPair = lab.DuoSettings{Advert: 300 * time.Millisecond}

// A breakage is a row of the scorecard: a fault, the machine whose doctor names it, and what it names.
type breakage struct {
	name string
	on   *lab.Host
	fail func()
	want string // the only finding
	says string // in what it says
	// heal does what the finding advises to do in a file or with another program. The command in its advice, if it has one, runs
	// afterwards on this host; nil: on the host of the doctor. If there is neither, the test undoes the fault.
	heal    func()
	runs    *lab.Host
	works   func() error
	restore func() // what the mend leaves behind
}

// A card is the scorecard of machines whose faults are caused one after another.
type card struct {
	*lab.Lab
	t    *testing.T
	args map[*lab.Host][]string // of the doctor
	dirs []*lab.Director
}

// score is the table of all cards.
var score struct {
	sync.Mutex
	rows []string
}

// TestScorecard causes each fault by itself, has the doctor name it and nothing else, does what the doctor advises, sees the
// service work, and sees the finding gone. On machines without faults the doctor finds nothing. It prints a table.
func TestScorecard(t *testing.T) {
	t.Run("rows", func(t *testing.T) {
		t.Run("between directors", scoreOfDirectors)
		t.Run("addresses of directors", scoreOfAddresses)
		t.Run("real servers", scoreOfServers)
		t.Run("NAT", scoreOfNAT)
	})
	score.Lock()
	defer score.Unlock()
	t.Logf("breakage | found by | advice, carried out | gone after\n%s", strings.Join(score.rows, "\n"))
}

// clean checks that no machine has a finding.
func (c *card) clean(when string) {
	c.t.Helper()
	c.Eventually(20*time.Second, when, func() error {
		for h, args := range c.args {
			if all := c.relevant(h.StartDoctor(args...)); len(all) > 0 {
				return fmt.Errorf("on %s: %+v", h.Name, all)
			}
		}
		return nil
	})
}

// relevant returns the findings that are not about a kernel without IPVS.
func (c *card) relevant(d lab.Doctor) []lab.Finding {
	all, _ := d.Findings()
	return slices.DeleteFunc(all, func(f lab.Finding) bool { return slices.Contains(hasNoIPVS, f.ID) })
}

// run causes one breakage after another.
func (c *card) run(rows []breakage) {
	c.clean("at first")
	for _, row := range rows {
		c.t.Run(row.name, func(t *testing.T) {
			row.fail()
			args := c.args[row.on]
			var found lab.Finding
			c.Eventually(20*time.Second, "the doctor names it", func() error {
				all := c.relevant(row.on.StartDoctor(args...))
				if len(all) != 1 || all[0].ID != row.want || !strings.Contains(all[0].What, row.says) {
					return fmt.Errorf("%s finds %+v, want %s with %q", row.on.Name, all, row.want, row.says)
				}
				found = all[0]
				return nil
			})
			if row.heal != nil {
				row.heal()
			}
			if command := commandIn(found.Mend); command != "" {
				on := row.runs
				if on == nil {
					on = row.on
				}
				c.do(t, on, command)
			}
			took := c.goes(t, row.on, args)
			if row.works != nil {
				c.Eventually(10*time.Second, "the service works", row.works)
			}
			if row.restore != nil {
				row.restore()
			}
			score.Lock()
			defer score.Unlock()
			score.rows = append(score.rows, fmt.Sprintf("%-44s | %-32s | %s | %.1f s", row.name, row.want+" on "+row.on.Name, found.Mend, took.Seconds()))
		})
	}
	c.clean("at last")
}

// goes returns how long after now an examination begins that has no findings. Examinations begin every half a second.
// A stall of the machine may make a director lose its role for a moment: then it looks again.
func (c *card) goes(t *testing.T, h *lab.Host, args []string) time.Duration {
	t.Helper()
	const stalled, tries = 200 * time.Millisecond, 3
	for try := 1; ; try++ {
		watch := c.WatchStalls()
		gone, last := c.look(h, args)
		stall := watch.Stop()
		switch {
		case gone >= 0:
			return gone
		case stall < stalled || try == tries:
			t.Errorf("%s after the mend the doctor finds %+v; the machine stalled for %s", goesWithin, last, stall)
			return gone
		}
	}
}

// look returns how long after now an examination begins that has no findings; negative: none does until goesWithin, and the last
// found these.
func (c *card) look(h *lab.Host, args []string) (gone time.Duration, last []lab.Finding) {
	mended := time.Now()
	var all []lab.Doctor
	for range 5 {
		all = append(all, h.StartDoctor(args...))
		time.Sleep(goesWithin / 4)
		for len(all) > 0 && !all[0].Running() {
			if last = c.relevant(all[0]); len(last) == 0 {
				return all[0].Began.Sub(mended), nil
			}
			all = all[1:]
		}
	}
	for _, d := range all {
		if last = c.relevant(d); len(last) == 0 {
			return d.Began.Sub(mended), nil
		}
	}
	return -1, last
}

// commandIn returns the command in an advice: what is in backquotes, or all of it if it begins with the name of a program.
func commandIn(mend string) string {
	if _, rest, ok := strings.Cut(mend, "`"); ok {
		command, _, _ := strings.Cut(rest, "`")
		return command
	}
	if first, _, _ := strings.Cut(mend, " "); slices.Contains([]string{"ip", "sysctl", "nft", "tandem"}, first) {
		return mend
	}
	return ""
}

// do runs a command as the doctor prints it. A command of tandem's also gets the paths of the lab.
func (c *card) do(t *testing.T, h *lab.Host, command string) {
	t.Helper()
	words := strings.Fields(command)
	var err error
	switch {
	case words[0] == "nft":
		err = nft(h, words[1:])
	case words[0] == "sysctl" && words[1] == "-w": // the lab has no such program either
		name, value, _ := strings.Cut(words[2], "=")
		h.Sysctl(map[string]string{name: value})
	case words[0] == "tandem" && words[1] == "reload":
		i := slices.IndexFunc(c.dirs, func(d *lab.Director) bool { return d.Host == h })
		_, err = tandem(c.dirs[i], "reload")
	case words[0] == "tandem":
		_, err = h.TryRun(lab.Tandem.Path(), append(words[1:], "--state-dir", h.Dir()+"/realserver")...)
	default:
		_, err = h.TryRun(words[0], words[1:]...)
	}
	if err != nil {
		t.Errorf("%s on %s: %v", command, h.Name, err)
	}
}

func (c *card) reload(d *lab.Director) {
	if _, err := tandem(d, "reload"); err != nil {
		c.t.Errorf("reload of %s: %v", d.Name, err)
	}
}

// oneHolder checks that one director alone has the VIP.
func (c *card) oneHolder() error {
	if a, b := c.dirs[0].Has(vip), c.dirs[1].Has(vip); a == b {
		return fmt.Errorf("VIP on %s: %t, on %s: %t", c.dirs[0].Name, a, c.dirs[1].Name, b)
	}
	return nil
}

func newCard(t *testing.T, d lab.Duo) *card {
	return &card{d.Lab, t, make(map[*lab.Host][]string), []*lab.Director{d.A, d.B}}
}

// A duoCard is the card of two directors without real servers.
type duoCard struct {
	*card
	lab.Duo
	right map[*lab.Director]string // files
}

func newDuoCard(t *testing.T) duoCard {
	d := lab.NewDuo(t, cardPair)
	d.A.Join("inside", "10.0.0.2/24")
	d.Launch()
	c := duoCard{newCard(t, d), d, make(map[*lab.Director]string)}
	for x, priority := range map[*lab.Director]int{d.A: lab.PriorityA, d.B: lab.PriorityB} {
		c.right[x] = cardPair.Config(x.Name, priority)
		c.args[x.Host] = second(x, "card.toml", "")
	}
	return c
}

// differs is a row in which the file of one director is wrong.
func (c duoCard) differs(name string, on, changed *lab.Director, old, new, want, says string) breakage {
	write := func(text string) {
		changed.Configure(text)
		c.args[changed.Host] = second(changed, "card.toml", "")
	}
	return breakage{name: name, on: on.Host, want: want, says: says, works: c.oneHolder,
		fail: func() { write(strings.Replace(c.right[changed], old, new, 1)); c.reload(changed) },
		heal: func() {
			write(c.right[changed])
			if on != changed {
				c.reload(changed) // the doctor's advice is for both
			}
		}}
}

const ownVRID, ownVIPs = "vrid = 51", "vips = [\"" + vip + "/24\"]"

// scoreOfDirectors: faults between the two directors of a pair.
func scoreOfDirectors(t *testing.T) {
	t.Parallel()
	c := newDuoCard(t)
	var undo func()
	c.run([]breakage{
		{name: "VRRP dropped on the way in", on: c.B.Host, fail: func() { undo = drop(t, c.B.Host, false) }, want: "vrrp-filtered",
			says: "drops incoming VRRP", works: c.oneHolder, restore: func() { undo() }},
		{name: "VRRP dropped on the way out", on: c.A.Host, fail: func() { undo = drop(t, c.A.Host, true) }, want: "vrrp-filtered",
			says: "drops outgoing VRRP", works: c.oneHolder, restore: func() { undo() }},
		c.differs("another vrid, from the peer", c.A, c.B, ownVRID, "vrid = 52", "vrid-differs", "192.0.2.3 advertises 192.0.2.100 with vrid 52"),
		c.differs("another vrid, from itself", c.B, c.B, ownVRID, "vrid = 52", "vrid-differs", "192.0.2.2 advertises 192.0.2.100 with vrid 51"),
		c.differs("another version", c.A, c.B, "advert_interval = \"300ms\"", "advert_interval = \"1s\"\nversion = 2", "peer-differs", "version 2"),
		c.differs("unicast beside multicast", c.A, c.B, ownVRID, ownVRID+"\nunicast_peers = [\"192.0.2.2\"]", "peer-differs", "unicast_peers"),
		c.differs("more VIPs", c.B, c.B, ownVIPs, "vips = [\""+vip+"/24\", \"192.0.2.101/24\"]", "peer-differs", "it lacks 192.0.2.101"),
		c.differs("other VIPs", c.B, c.B, ownVIPs, "vips = [\"192.0.2.101/24\"]", "duplicate-vrid", "192.0.2.2 also advertises virtual router 51"),
		{name: "no multicast passes", on: c.B.Host, fail: c.B.HoldMulticast, want: "multicast-lost",
			says: "none of its advertisements arrives", heal: c.B.PassMulticast, works: c.oneHolder},
	})
}

// scoreOfAddresses: faults of one director's addresses and interfaces.
func scoreOfAddresses(t *testing.T) {
	t.Parallel()
	c := newDuoCard(t)
	c.run([]breakage{
		c.differs("VIP on the wrong interface", c.A, c.A, "interface = \"eth0\"", "interface = \"eth1\"", "wrong-interface", "192.0.2.0/24 is on eth0"),
		c.differs("wrong prefix length", c.A, c.A, ownVIPs, "vips = [\""+vip+"/16\"]", "prefix-length", "192.0.2.100/16"),
		{name: "VIP left on the backup's lo", on: c.B.Host, fail: func() { c.B.Run("ip", "addr", "add", vip+"/32", "dev", "lo") },
			want: "vip-misplaced", says: "192.0.2.100/32 is on lo of this machine", works: c.oneHolder},
		{name: "a stranger has the VIP", on: c.B.Host, fail: func() { c.Client.Run("ip", "addr", "add", vip+"/24", "dev", "eth0") },
			want: "two-owners", says: "is on 2 machines", heal: func() { c.Client.Run("ip", "addr", "del", vip+"/24", "dev", "eth0") }, works: c.oneHolder},
		{name: "no carrier", on: c.B.Host, fail: c.B.Cut, want: "no-carrier", heal: c.B.Plug, works: c.oneHolder},
		{name: "the interface is down", on: c.B.Host, fail: func() { c.B.Run("ip", "link", "set", "eth0", "down") }, want: "link-down", works: c.oneHolder},
		{name: "few files", on: c.A.Host, fail: func() { maxFiles(t, c.A, 100) }, want: "file-limit", heal: func() { maxFiles(t, c.A, 1000) }},
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
		return func() { c.args[x.Host] = second(x, "card.toml", pool("www", "dr", server)) }
	}
	for _, x := range c.dirs {
		files(x, "192.0.2.11")()
	}
	c.args[web] = []string{"-c", web.WriteFile("tandem.toml", "[realserver]\nvips = [\""+vip+"\"]\n"+pool("www", "dr", "192.0.2.11"))}
	port := func(n int) func() {
		return func() {
			c.args[d.A.Host] = second(d.A, "card.toml", strings.Replace(pool("www", "dr", "192.0.2.11"), ":80", fmt.Sprintf(":%d", n), 1))
		}
	}
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
	c.run([]breakage{
		{name: "VIP missing on a server, from the master", on: d.A.Host, fail: func() { web.Run("ip", "addr", "del", vip+"/32", "dev", "lo") },
			want: "server-lacks-vip", says: "192.0.2.11", runs: web, works: works},
		{name: "VIP missing on a server, from the backup", on: d.B.Host, fail: func() { web.Run("ip", "addr", "del", vip+"/32", "dev", "lo") },
			want: "server-lacks-vip", says: "192.0.2.11", runs: web, works: works},
		{name: "VIP missing, from the server", on: web, fail: func() { web.Run("ip", "addr", "del", vip+"/32", "dev", "lo") }, want: "vip-missing", works: works},
		{name: "web server on its own address, from outside", on: d.A.Host, fail: ownOnly, want: "server-refuses-vip", says: "192.0.2.11", heal: onAll, works: works},
		{name: "web server on its own address, from itself", on: web, fail: ownOnly, want: "not-listening", says: "192.0.2.11:80", heal: onAll, works: works},
		{name: "server without default route", on: web, fail: func() {
			web.Run("ip", "route", "del", "default")
			_, _ = far.Get("http://" + vip + "/") // it tries to answer
		}, want: "no-default-route", says: "no default route", heal: func() { web.Run("ip", "route", "add", "default", "via", "192.0.2.254") }, works: works},
		{name: "server answers ARP", on: d.A.Host, fail: func() {
			for _, name := range []string{"all", "eth0"} {
				web.Sysctl(map[string]string{"net.ipv4.conf." + name + ".arp_ignore": "0", "net.ipv4.conf." + name + ".arp_announce": "0"})
			}
		}, want: "server-answers", says: "192.0.2.11, real server of www", runs: web, works: works},
		{name: "another server", on: d.A.Host, fail: files(d.A, "192.0.2.12"), want: "server-unreachable", says: "192.0.2.12", heal: files(d.A, "192.0.2.11")},
		{name: "another port", on: d.A.Host, fail: port(8080), want: "server-refuses", says: "8080", heal: files(d.A, "192.0.2.11")},
	})
}
