// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// tandemOn runs a subcommand on a host, with a state directory of its own.
func tandemOn(h *lab.Host, args ...string) (string, error) {
	return h.TryRun(lab.Tandem.Path(), args...)
}

// realServer runs tandem realserver on a host.
func realServer(t *testing.T, h *lab.Host, args ...string) string {
	t.Helper()
	all := append([]string{"realserver"}, args...)
	out, err := tandemOn(h, append(all, "--state-dir", filepath.Join(h.Dir(), "realserver"))...)
	if err != nil {
		t.Fatalf("on %s: %v", h.Name, err)
	}
	return out
}

// arpSettings are the host's settings of ARP and of path filtering, to the byte.
func arpSettings(t *testing.T, h *lab.Host) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := h.Do(func() error {
		files, err := filepath.Glob("/proc/sys/net/ipv4/conf/*/*")
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			all[file] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// flushNeighbours has the client forget who has the VIP.
func flushNeighbours(h *lab.Host) { h.Run("ip", "neigh", "flush", "dev", "eth0") }

// neighbourOf is the hardware address that a host knows for an address; empty if none.
func neighbourOf(h *lab.Host, addr string) string {
	fields := strings.Fields(h.Run("ip", "neigh", "show", addr, "dev", "eth0"))
	if i := slices.Index(fields, "lladdr"); i >= 0 && i+1 < len(fields) {
		return fields[i+1]
	}
	return ""
}

// spread counts which servers answer n requests.
func spread(t *testing.T, h *lab.Host, n int) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for range n {
		body, err := h.Get(vipURL)
		if err != nil {
			t.Fatal(err)
		}
		got[body]++
	}
	return got
}

// TestARPProblem makes the classic mistake on purpose: a real server with the VIP and without silence takes the clients
// away from the director. The master says so within 2 s, and `tandem realserver apply` mends it.
func TestARPProblem(t *testing.T) {
	p := lab.NewPair(t, lab.PairSettings{})
	p.Launch()
	web := p.Webs[0]
	web.Sysctl(map[string]string{"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.arp_announce": "0"})
	before := arpSettings(t, web)

	var made time.Time
	p.Eventually(30*time.Second, "the client has been told by the real server", func() error {
		flushNeighbours(p.Client)
		made = time.Now()
		if _, err := p.Client.Get(vipURL); err != nil {
			return err
		}
		if mac := neighbourOf(p.Client, vip); mac != web.MAC() {
			return fmt.Errorf("it believes %s", mac)
		}
		return nil
	})
	counted := connections(p.A)
	if got := spread(t, p.Client, 6); got["web1"] != 6 {
		t.Errorf("answered by %v, want web1 alone", got)
	}
	if now := connections(p.A); now != counted {
		t.Errorf("the director counted %q, before %q: the requests passed it", now, counted)
	}
	p.Eventually(2*time.Second, "the master says who it is", func() error {
		s, err := p.A.Status()
		if err != nil {
			return err
		}
		for _, w := range s.Warnings {
			if strings.Contains(w, web.MAC()) && strings.Contains(w, "192.0.2.11, real server of www") {
				p.Logf("within %s of the claim: %s", time.Since(made).Round(time.Millisecond), w)
				return nil
			}
		}
		return fmt.Errorf("warnings %q", s.Warnings)
	})

	p.Logf("on web1:\n%s", realServer(t, web, "apply", "--vip", vip))
	flushNeighbours(p.Client)
	if got := spread(t, p.Client, 6); got["web1"] != 3 || got["web2"] != 3 {
		t.Errorf("mended, answered by %v, want both in turn", got)
	}
	if who := p.Client.WhoHas(vip); len(who) != 1 || who[0] != p.A.MAC() {
		t.Errorf("%v answer for the VIP, want director-a alone, %s", who, p.A.MAC())
	}
	p.Eventually(10*time.Second, "the warning ends", func() error {
		s, err := p.A.Status()
		if err == nil && len(s.Warnings) > 0 {
			err = fmt.Errorf("warnings %q", s.Warnings)
		}
		return err
	})
	if again := realServer(t, web, "apply", "--vip", vip); again != "" {
		t.Errorf("the second time it did\n%s", again)
	}
	realServer(t, web, "remove")
	for file, text := range arpSettings(t, web) {
		if before[file] != text {
			t.Errorf("%s is %q, was %q", file, text, before[file])
		}
	}
}

// connections is what the director's kernel has counted: every connection that it was asked for.
func connections(d *lab.Director) string {
	var b bytes.Buffer
	for l := range strings.Lines(d.Run("ipvsadm", "-Ln", "--stats", "--exact")) {
		if fields := strings.Fields(l); len(fields) > 2 && fields[0] == "TCP" {
			fmt.Fprintln(&b, fields[2])
		}
	}
	return b.String()
}
