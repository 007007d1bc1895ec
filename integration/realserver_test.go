// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
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

// arpSettings returns the host's settings of ARP and of path filtering, to the byte.
func arpSettings(h *lab.Host) map[string]string { return h.ReadFiles("/proc/sys/net/ipv4/conf/*/*") }

// flushNeighbours makes the client forget who has the VIP.
func flushNeighbours(h *lab.Host) { h.Run("ip", "neigh", "flush", "dev", "eth0") }

// neighbourOf returns the hardware address that a host knows for an address; empty if none.
func neighbourOf(h *lab.Host, addr string) string {
	fields := strings.Fields(h.Run("ip", "neigh", "show", addr, "dev", "eth0"))
	if i := slices.Index(fields, "lladdr"); i >= 0 && i+1 < len(fields) {
		return fields[i+1]
	}
	return ""
}

// spread counts which servers answer n requests.
func spread(h *lab.Host, n int) (map[string]int, error) {
	got := make(map[string]int)
	for range n {
		body, err := h.Get(vipURL)
		if err != nil {
			return got, err
		}
		got[body]++
	}
	return got, nil
}

// TestARPProblem makes the usual mistake on purpose: a real server has the VIP and answers ARP for it, so some clients reach
// it instead of the director. The master reports this within 2 s, and `tandem realserver apply` repairs it.
func TestARPProblem(t *testing.T) {
	t.Parallel()
	// This test is not about failovers and checks: they must not happen because the machine stalls.
	p := lab.NewPair(t, lab.PairSettings{Advert: time.Second, Interval: 5 * time.Second, Timeout: 4 * time.Second})
	p.Launch()
	web := p.Webs[0]
	web.Sysctl(map[string]string{"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.arp_announce": "0"})
	before := arpSettings(web)

	flushNeighbours(p.Client)
	watch := p.WatchStalls()
	made := time.Now()
	served := make(chan error, 1)
	go func() {
		_, err := p.Client.Get(vipURL)
		served <- err
	}()
	p.Eventually(10*time.Second, "the master says who it is", func() error {
		s, err := p.A.Status()
		if err != nil {
			return err
		}
		for _, w := range s.Warnings {
			if strings.Contains(w, web.MAC()) && strings.Contains(w, "192.0.2.11, real server of www") {
				p.Logf("after %s: %s", time.Since(made).Round(time.Millisecond), w)
				return nil
			}
		}
		return fmt.Errorf("warnings %q", s.Warnings)
	})
	took, stall := time.Since(made), watch.Stop()
	if took > 2*time.Second+observing+stall {
		t.Errorf("the master said so after %s, want 2s at most; the machine itself stalled for %s", took, stall)
	}
	if err := <-served; err != nil {
		// The client may have believed one machine, and then the other, which has reset the connection.
		p.Eventually(10*time.Second, "a request is served, whoever answers for the VIP", func() error {
			_, err := p.Client.Get(vipURL)
			return err
		})
	}
	wantTheft(p, web)

	p.Logf("on web1:\n%s", realServer(t, web, "apply", "--vip", vip))
	p.Eventually(30*time.Second, "mended, both answer in turn", func() error {
		flushNeighbours(p.Client)
		if got, err := spread(p.Client, 6); got["web1"] != 3 || got["web2"] != 3 {
			return fmt.Errorf("answered by %v, %v", got, err)
		}
		return nil
	})
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
	after := arpSettings(web)
	for file, text := range before { // another scene may load a module that gives each host a new interface
		if after[file] != text {
			t.Errorf("%s is %q, was %q", file, after[file], text)
		}
	}
}

// wantTheft checks that the client can reach the real server directly, without the director. Both answer ARP, and the
// director announces itself too, so it may take several attempts.
func wantTheft(p *lab.Pair, web *lab.Host) {
	p.Eventually(60*time.Second, "the client believes the real server, and reaches no other", func() error {
		flushNeighbours(p.Client)
		if _, err := p.Client.Get(vipURL); err != nil {
			return err
		}
		counted, believed := connections(p.A), neighbourOf(p.Client, vip)
		got, err := spread(p.Client, 6)
		if err != nil {
			return err // a connection is reset if its packets begin to go to another machine
		}
		now, still := connections(p.A), neighbourOf(p.Client, vip)
		if believed != web.MAC() || still != believed {
			return fmt.Errorf("it believes %s, and then %s", believed, still)
		}
		if got[web.Name] != 6 || now != counted {
			return fmt.Errorf("answered by %v, and the director counted %q, before %q", got, now, counted)
		}
		return nil
	})
}

// connections returns the director's kernel's count of all connections that clients asked for.
func connections(d *lab.Director) string {
	var b bytes.Buffer
	for l := range strings.Lines(d.Run("ipvsadm", "-Ln", "--stats", "--exact")) {
		if fields := strings.Fields(l); len(fields) > 2 && fields[0] == "TCP" {
			fmt.Fprintln(&b, fields[2])
		}
	}
	return b.String()
}
