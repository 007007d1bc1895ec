// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/scorecard"
)

const syncID = "[lvs]\nsync = { interface = \"eth0\", id = 51 }\n"

// TestScorecardOfServices: healthy machines have no findings. A real server that answers ARP for the VIP is named on both directors
// and on itself, and repaired there. Then the files of the directors have faults in their services.
func TestScorecardOfServices(t *testing.T) {
	t.Parallel()
	p := lab.NewPair(t, patient)
	p.A.Configure(patient.Config(p.A.Name, lab.PriorityA) + syncID)
	p.B.Configure(patient.Config(p.B.Name, lab.PriorityB) + syncID)
	p.Launch()
	web := p.Webs[0]
	all := map[*lab.Host][]string{p.A.Host: {"-c", p.A.File}, p.B.Host: {"-c", p.B.File}, web: {"--vip", vip}}
	healthy := func() error {
		for h, args := range all {
			if found, code := h.Doctor(args...); len(found) > 0 || code != 0 {
				return fmt.Errorf("on %s: %+v, exit code %d", h.Name, found, code)
			}
		}
		return nil
	}
	if err := p.Undisturbed(healthy); err != nil {
		t.Error(err)
	}

	web.Sysctl(map[string]string{"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.arp_announce": "0"})
	for _, d := range []*lab.Director{p.A, p.B} {
		if err := p.Undisturbed(func() error {
			found, code := d.Doctor("-c", d.File)
			if len(found) == 0 || code != 3 || found[0].ID != "server-answers" || found[0].Severity != "error" ||
				!strings.Contains(found[0].What, "another machine claims "+vip+": "+web.MAC()+" (192.0.2.11, real server of ") {
				return fmt.Errorf("on %s: %+v, exit code %d, want web1 named, %s", d.Name, found, code, web.MAC())
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	found, code := web.Doctor("--vip", vip)
	if len(found) != 1 || found[0].ID != "not-silent" || !found[0].Fixable || code != 3 {
		t.Errorf("on web1: %+v, exit code %d", found, code)
	}
	if found, code := web.Doctor("--vip", vip, "--fix"); len(found) > 0 || code != 0 {
		t.Errorf("on web1 after the mending: %+v, exit code %d", found, code)
	}
	p.Eventually(20*time.Second, "all is well again", healthy)
	c := scorecard.New(t, p.Lab, p.A, p.B)
	c.Starts = []time.Duration{0, 1500 * time.Millisecond} // an emulated machine carries no more
	c.Args = all
	load := p.Client.Load("http://"+vip+"/", 200*time.Millisecond)
	defer load.Stop()
	c.Run(scoreOfServices(p, c))
}

// scoreOfServices: faults of services in the files of the directors.
func scoreOfServices(p *lab.Pair, c *scorecard.Card) []scorecard.Breakage {
	differs := func(name string, changed *lab.Director, old, new, want, says string, works func() error) scorecard.Breakage {
		file, err := os.ReadFile(changed.File)
		if err != nil {
			c.T.Fatal(err)
		}
		write := func(text string) {
			changed.WriteFile("tandem.toml", text)
		}
		return scorecard.Breakage{Name: name, On: changed.Host, Want: want, Says: says, Works: works,
			Fail: func() {
				write(strings.Replace(string(file), old, new, 1))
				tandem(c.T, changed, "reload")
			},
			Heal: func() { write(string(file)) }}
	}
	served := func() error {
		var names []string
		for range 4 {
			name, err := p.Client.Get("http://" + vip + "/")
			if err != nil {
				return err
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if len(names) != len(p.Webs) {
			return fmt.Errorf("%v serve", names)
		}
		return nil
	}
	learns := func() error { return learnt(p.Client, p.B) }
	const first = "[[service]]\nname = \"www\"\nvirtual = \"" + vip
	config := patient.Config(p.B.Name, lab.PriorityB)
	www := config[strings.Index(config, first):strings.Index(config, "[[service]]\nname = \"echo\"")]
	const second = "  [[service.server]]\n  address = \"192.0.2.12\"\n  weight = 1\n"
	rows := []scorecard.Breakage{
		differs("another server", p.A, "192.0.2.12", "192.0.2.19", "server-unreachable", "192.0.2.19", served),
		differs("another port", p.A, first+":80", first+":8080", "server-refuses", "8080", served),
		differs("a server that only the peer has", p.B, second, "", "services-differ", "192.0.2.2 sends clients of www to 192.0.2.12:80", learns),
		differs("a service that only the peer has", p.B, www, "", "services-differ", "no such service", learns),
		differs("another sync id", p.B, "\"eth0\", id = 51", "\"eth0\", id = 52", "sync-id-differs", "the sync id 51, and this director has 52", learns),
	}
	// A director whose servers all fail steps back after some seconds. If the other one could serve, clients would be served again.
	rows[1] = alsoOn(c, rows[1], p.B, first+":80", first+":8080")
	rows[1].Hurts = true
	return append(rows, driftOverChannel(p, c, second, learns))
}

// alsoOn is a row with a fault that another director's file has too, until the end of the row.
func alsoOn(c *scorecard.Card, row scorecard.Breakage, d *lab.Director, old, new string) scorecard.Breakage {
	file, err := os.ReadFile(d.File)
	if err != nil {
		c.T.Fatal(err)
	}
	write := func(text string) {
		d.WriteFile("tandem.toml", text)
		tandem(c.T, d, "reload")
	}
	fail := row.Fail
	row.Fail = func() {
		write(strings.Replace(string(file), old, new, 1))
		fail()
	}
	row.Restore = func() { write(string(file)) }
	return row
}

// driftOverChannel is a row in which the backup lacks a real server, and the directors tell each other so.
func driftOverChannel(p *lab.Pair, c *scorecard.Card, server string, works func() error) scorecard.Breakage {
	without, with := make(map[*lab.Director]string), make(map[*lab.Director]string)
	for d, other := range map[*lab.Director]string{p.A: "192.0.2.3", p.B: "192.0.2.2"} {
		text, err := os.ReadFile(d.File)
		if err != nil {
			c.T.Fatal(err)
		}
		without[d] = string(text)
		with[d] = without[d] + fmt.Sprintf("[peer]\naddress = \"%s:8474\"\nkey = \"hex:%s\"\n", other, strings.Repeat("0123456789abcdef", 4))
	}
	write := func(d *lab.Director, text string) {
		d.WriteFile("tandem.toml", text)
		tandem(c.T, d, "reload")
	}
	return scorecard.Breakage{Name: "a server that only the peer has, told over the channel", On: p.B.Host, Want: "services-differ",
		Says: "service www: server 192.0.2.12:80 is configured on " + p.A.Name + ", and not here", Works: works,
		Fail: func() {
			write(p.A, with[p.A])
			write(p.B, strings.Replace(with[p.B], server, "", 1))
		},
		Heal: func() { p.B.WriteFile("tandem.toml", with[p.B]) },
		Restore: func() {
			write(p.A, without[p.A])
			write(p.B, without[p.B])
		}}
}

// learnt opens a connection to the VIP, and checks that a director learns of it by connection sync, with its server. The kernel sends what
// it has to tell every 3 s.
func learnt(client *lab.Host, d *lab.Director) error {
	var conn net.Conn
	if err := client.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", vip+":80", time.Second)
		return err
	}); err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		return err
	}
	row := fmt.Sprintf("TCP C0000201 %04X C0000264 0050 ", conn.LocalAddr().(*net.TCPAddr).Port)
	var last string
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err := d.Do(func() error {
			text, err := os.ReadFile("/proc/thread-self/net/ip_vs_conn")
			last = string(text)
			return err
		}); err != nil {
			return err
		}
		if strings.Contains(last, row) {
			return nil
		}
	}
	return fmt.Errorf("%s does not know %q of %d connections", d.Name, row, strings.Count(last, "\n")-1)
}
