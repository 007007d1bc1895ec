// SPDX-License-Identifier: Apache-2.0

// Package topology builds the networks of configs/topologies in the lab: with the addresses that their READMEs name, and by the
// commands that they print, which are run as they stand.
package topology

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"path/filepath"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/integration/lab"
)

// A Network is a topology in the lab.
type Network struct {
	*lab.Lab
	Name   string
	VIP    netip.AddrPort // of the service
	Client *Machine
	Router *Machine // nil if there is none
	A, B   *Machine // the directors: lb1, which has the higher priority, and lb2
	Webs   []*Machine

	t        lab.T
	page     page
	machines []*Machine
	vips     []string   // of the virtual routers
	port     uint16     // of the web servers
	source   netip.Addr // of the client
}

// Build makes the machines with their addresses, and the web servers' programs. It follows no step yet.
func Build(t lab.T, name string) *Network {
	t.Helper()
	text, err := fs.ReadFile(configs.Shipped, path.Join("topologies", name, "README.md"))
	if err != nil {
		t.Fatalf("topology %s: %v", name, err)
	}
	return build(t, name, string(text))
}

func build(t lab.T, name, text string) *Network {
	t.Helper()
	n := &Network{Lab: lab.New(t), Name: name, t: t}
	var err error
	if n.page, err = parse(text); err != nil {
		t.Fatalf("topology %s: %v", name, err)
	}
	first := n.config("director-a.toml")
	v := first.Services[0].Virtuals[0]
	n.VIP, n.port = netip.AddrPortFrom(v.Addr, v.Port), first.Services[0].Servers[0].Port
	for _, r := range first.Routers {
		n.vips = append(n.vips, r.VIPs[0].Addr().String())
	}
	switches := networks(n.page.machines)
	for _, m := range n.page.machines {
		n.add(m, switches)
	}
	if n.Client == nil || n.A == nil || n.B == nil || len(n.Webs) != 2 {
		t.Fatalf("topology %s: the table of machines lacks the client, a director or a web server", name)
	}
	t.Cleanup(func() {
		if t.Failed() {
			n.LogPrograms()
		}
	})
	return n
}

// LogPrograms logs what tandem has written on each machine.
func (n *Network) LogPrograms() {
	for _, m := range n.machines {
		out, _ := m.Shell("cat /run/*.log 2>/dev/null")
		n.t.Logf("%s, logs of %s:\n%s", n.Name, m.Name, out)
	}
}

// config reads a shipped configuration.
func (n *Network) config(name string) *configs.Config {
	n.t.Helper()
	file := path.Join("topologies", n.Name, name)
	text, err := fs.ReadFile(configs.Shipped, file)
	if err != nil {
		n.t.Fatalf("topology %s: %v", n.Name, err)
	}
	c, err := configs.Parse(file, text)
	if err != nil {
		n.t.Fatalf("topology %s: %v", n.Name, err)
	}
	return c
}

// TakeOver is VRRP's bound for lb2 to take over: three intervals of advertisements and its skew time (RFC 9568, section 6.1).
func (n *Network) TakeOver() time.Duration {
	n.t.Helper()
	r := n.config("director-b.toml").Routers[0]
	return 3*r.AdvertInterval + time.Duration(256-int(r.Priority))*r.AdvertInterval/256
}

// add makes a machine of the page's table.
func (n *Network) add(row machine, switches map[netip.Prefix]string) {
	n.t.Helper()
	var h *lab.Host
	for _, cable := range row.cables {
		var addrs []string
		for _, a := range cable {
			addrs = append(addrs, a.String())
		}
		if sw := switches[cable[0].Masked()]; h == nil {
			h = n.HostAt(sw, row.name, addrs...)
		} else {
			h.Join(sw, addrs...)
		}
	}
	m := newMachine(n.t, h)
	n.machines = append(n.machines, m)
	for _, cable := range row.cables {
		m.switches = append(m.switches, switches[cable[0].Masked()])
	}
	if row.gateway != "" {
		m.Must("ip route add default via " + row.gateway)
	}
	switch row.name {
	case "client":
		n.Client, n.source = m, row.cables[0][0].Addr()
	case "router":
		n.Router = m
	case "lb1":
		n.A = m
	case "lb2":
		n.B = m
	case "web1", "web2":
		n.Webs = append(n.Webs, m)
		dir := filepath.Dir(m.WriteFile("www/index.html", row.name+"\n"))
		m.WriteFile("www/health", "ok\n")
		m.Start("busybox", "httpd", "-f", "-p", fmt.Sprint(n.port), "-h", dir)
	default:
		n.t.Fatalf("topology %s: who is %s?", n.Name, row.name)
	}
}

// SetUp follows the page until the pair serves.
func (n *Network) SetUp() {
	n.t.Helper()
	n.follow(setUp)
	n.AwaitPair()
}

// Look follows the part of the page that shows that all is well.
func (n *Network) Look() { n.t.Helper(); n.follow(look) }

// FailOver follows the part of the page that has the other director take over, and then the first one again.
func (n *Network) FailOver() {
	n.t.Helper()
	n.follow(failOver)
	n.AwaitPair()
}

// Undo follows the part of the page that restores what was before.
func (n *Network) Undo() { n.t.Helper(); n.follow(undo) }

// follow runs the printed commands of a part, in their order. The first that fails ends the test. Where commands only look, it tries
// again for a while, because a stall of the machine may disturb the election.
func (n *Network) follow(p part) {
	n.t.Helper()
	for _, s := range n.page.steps {
		if s.part != p {
			continue
		}
		for _, m := range n.where(s.where) {
			began, out := time.Now(), ""
			run := func() (err error) {
				out, err = m.Shell("set -e; " + s.script)
				return err
			}
			if p == look {
				n.Eventually(20*time.Second, "the commands of the page succeed on "+m.Name, run)
			} else if err := run(); err != nil {
				n.t.Fatalf("on %s: %v", m.Name, err)
			}
			n.Logf("%s, on %s, %s:\n%s%s", n.Name, m.Name, time.Since(began).Round(time.Millisecond), s.script, out)
		}
	}
}

// where returns the machines that a step names.
func (n *Network) where(name string) []*Machine {
	n.t.Helper()
	switch name {
	case "the router":
		return []*Machine{n.Router}
	case "each web server":
		return n.Webs
	case "each director":
		return []*Machine{n.A, n.B}
	case "each machine":
		return append([]*Machine{n.A, n.B}, n.Webs...)
	case "lb1":
		return []*Machine{n.A}
	case "lb2":
		return []*Machine{n.B}
	case "the client":
		return []*Machine{n.Client}
	}
	n.t.Fatalf("topology %s: a step is for %q, which is no machine", n.Name, name)
	return nil
}

// AwaitPair waits until lb1 is master, lb2 is backup, and both have all servers in use.
func (n *Network) AwaitPair() {
	n.t.Helper()
	n.AwaitMaster(n.A)
	n.Eventually(40*time.Second, n.B.Name+" is backup", func() error {
		if n.B.Has(n.VIP.Addr().String()) {
			return errors.New("it has the VIP")
		}
		return n.B.serves("backup")
	})
}

// AwaitMaster waits until a director is master, with all servers in use.
func (n *Network) AwaitMaster(m *Machine) {
	n.t.Helper()
	n.Eventually(40*time.Second, m.Name+" is master", func() error {
		if !m.Has(n.VIP.Addr().String()) {
			return errors.New("it does not have the VIP")
		}
		return m.serves("master")
	})
}

// serves reports whether a director is in a state and has all servers in use.
func (m *Machine) serves(state string) error {
	status, err := m.Director().Status()
	if err != nil {
		return err
	}
	for _, r := range status.VRRP {
		if r.State != state {
			return fmt.Errorf("%s is %s", r.Name, r.State)
		}
	}
	for _, s := range status.Services[0].Servers {
		if s.EffectiveWeight != 1 || s.Health != "healthy" {
			return fmt.Errorf("%s has weight %d and is %s", s.Address, s.EffectiveWeight, s.Health)
		}
	}
	return nil
}

// URL is the service's.
func (n *Network) URL() string { return "http://" + n.VIP.Addr().String() + "/" }
