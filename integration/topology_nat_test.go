// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// wantSilentCable makes the master's outside cable silent: its carrier stays, and the peer still hears the master on the inside.
// The peer takes over both addresses.
func (n *topology) wantSilentCable(t *testing.T) {
	t.Helper()
	began := time.Now()
	n.a.Isolate()
	n.Eventually(30*time.Second, "the other director serves instead of the one with a silent cable", func() error {
		_, err := n.client.Get(n.url())
		return err
	})
	n.Logf("the master's outside cable is silent: served again after %s", time.Since(began).Round(time.Millisecond))
	if n.a.Has("10.0.0.1") || !n.b.Has("10.0.0.1") {
		t.Error("the servers' gateway stayed at the director with a silent cable")
	}
	if s, err := n.a.Status(); err != nil || !strings.Contains(strings.Join(s.Warnings, "\n"), "eth0: no other machine answers there") {
		t.Errorf("the director does not warn of its silent cable: %q, %v", s.Warnings, err)
	}
	n.Eventually(15*time.Second, "the director with a silent cable gives up the address that nobody there can reach", func() error {
		if n.a.Has(n.vip) {
			return errors.New("it has not")
		}
		return nil
	})
	n.a.Rejoin()
	n.awaitMaster(n.a, n.b)
	n.Eventually(10*time.Second, "both addresses are at the first director alone, and the client is served", func() error {
		for _, addr := range []string{n.vip, "10.0.0.1"} {
			if !n.a.Has(addr) || n.b.Has(addr) {
				return fmt.Errorf("%s on director-a: %t, on director-b: %t", addr, n.a.Has(addr), n.b.Has(addr))
			}
		}
		_, err := n.client.Get(n.url())
		return err
	})
	n.wantTurns(t)
}

func TestTopologyNAT(t *testing.T) {
	t.Parallel()
	n := newTopology(t, "nat", "192.0.2.100")
	n.client = n.Host("client", "192.0.2.1/24")
	n.directors(t, "192.0.2.2/24", "192.0.2.3/24")
	for i, d := range []*lab.Director{n.a, n.b} {
		d.Join("inside", fmt.Sprintf("10.0.0.%d/24", 2+i))
	}
	for i, name := range []string{"web1", "web2"} {
		h := outsider(t, n.Lab, name, "inside", fmt.Sprintf("10.0.0.%d/24", 11+i), "10.0.0.254") // which nobody has
		realServer(t, h, "apply", "-c", h.WriteFile("tandem.toml", n.file(t, "realserver.toml")))
		h.WriteFile("www/index.html", name)
		h.WriteFile("www/health", name)
		h.Start("busybox", "httpd", "-f", "-p", "8080", "-h", filepath.Join(h.Dir(), "www"))
		n.webs = append(n.webs, h)
	}
	n.launch()
	doctors := make(map[string]*lab.Process)
	for _, d := range []*lab.Director{n.a, n.b} {
		doctors[d.Name] = d.Start(lab.Tandem.Path(), "doctor", "-c", d.File, "--fix")
	}
	for name, p := range doctors {
		p.AwaitOutput(30*time.Second, "fixed forwarding-off")
		if code := p.Wait(30 * time.Second); code != 0 {
			t.Errorf("%s, which did not forward: exit code %d after the mending\n%s", name, code, p.Output())
		}
	}
	n.Eventually(10*time.Second, "the client is served", func() error {
		_, err := n.client.Get(n.url())
		return err
	})
	n.wantTurns(t)
	n.wantClean(t)
	n.sysctls(t, n.a.Host, "director-sysctl.conf")
	n.wantSilentCable(t)
	n.wantFailover(t)
	if !n.b.Has("10.0.0.1") {
		t.Error("the servers' gateway did not follow the master")
	}
	for _, w := range n.webs {
		realServer(t, w, "remove")
		if route := w.Run("ip", "route", "show", "default"); !strings.Contains(route, "via 10.0.0.254 ") {
			t.Errorf("%s has the default route %q after the removal", w.Name, route)
		}
	}
}
